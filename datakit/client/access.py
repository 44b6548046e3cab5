"""What a server asks of a client (key, headers), URLs of paths below a base URL, and secrets that are never shown."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from datakit.errors import BadInput

MASK = "[the key]"
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_NO_SECRET = 3  # texts of at most this many characters are not masked: they occur in ordinary words


@dataclass(frozen=True)
class Access:
    """The headers of every request, and the secrets in them that came from the environment."""

    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()

    @property
    def has_key(self) -> bool:
        """True if a key is among the headers."""
        return bool(self.secrets) or any(word in name.lower() for name in self.headers for word in ("auth", "key", "token"))

    def hide(self, said: bytes) -> bytes:
        """Return what a server said without our secrets. Give it the whole text, not yet cut: half a key is still a secret."""
        for secret in self.secrets:
            said = said.replace(secret.encode(), MASK.encode())
        return said

    def hide_text(self, text: str) -> str:
        """Return a message without our secrets."""
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return text


OPEN = Access()
"""The access of a server that asks for no key."""


def read_access(api_key_env: str | None, headers: Mapping[str, str], where: str) -> Access:
    """Return the access of a section of the recipe, or of an option that names the key's variable.

    `where` names the section or option in messages. Raise BadInput if a variable is not set. An Authorization header of the
    section replaces the one made from the key.
    """
    secrets: set[str] = set()

    def read(env: str, field: str, instead: str) -> str:
        value = _read_variable(env, where if where.startswith("--") else f"{where}.{field}", instead)
        secrets.add(value)
        return value

    own = {
        name: _VARIABLE.sub(lambda found, at=f"headers.{name}": read(found[1], at, "take it out of the header"), value)  # type: ignore[misc]
        for name, value in headers.items()
    }
    if api_key_env is not None:
        key = read(api_key_env, "api_key_env", "leave it out" if where.startswith("--") else "set api_key_env: null")
        if "authorization" not in {name.lower() for name in own}:
            own["Authorization"] = f"Bearer {key}"
    return Access(own, tuple(sorted((one for one in secrets if len(one) > _NO_SECRET), key=len, reverse=True)))


def _read_variable(env: str, field: str, instead: str) -> str:
    value = os.environ.get(env, "").strip()
    if not value:
        raise BadInput(f"{field}: the environment variable {env} is not set; export {env}=... or {instead}")
    if not value.isascii() or not value.isprintable():
        raise BadInput(f"{field}: the environment variable {env} has characters that no HTTP header may have; set it again")
    return value


@functools.lru_cache
def at(base_url: str, path: str) -> str:
    """Return the URL of a path below a base URL; the query stays at the end.

    >>> at("http://h/v1/?api-version=2024-10-21", "/models")
    'http://h/v1/models?api-version=2024-10-21'
    """
    parts = urlsplit(base_url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path))


def server_url(base_url: str) -> str:
    """Return the server's own URL, which has /health, /metrics and /classify beside /v1, not below it.

    >>> server_url("http://h:8000/v1?key=1")
    'http://h:8000?key=1'
    """
    parts = urlsplit(base_url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/").removesuffix("/v1")))
