"""Keys from the environment, and whether an endpoint answers before anything is asked of it."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from datakit.client.faults import of_status
from datakit.client.replica import CONNECT_S, LOCAL
from datakit.errors import BadInput


def read_key(env: str | None, field: str) -> str | None:
    """The key in the environment variable; BadInput where the variable is named but not set."""
    if env is None:
        return None
    key = os.environ.get(env, "").strip()
    if not key:
        raise BadInput(f"{field}: the environment variable {env} is not set; export {env}=... or set api_key_env: null")
    if not key.isascii() or not key.isprintable():
        raise BadInput(f"{field}: the environment variable {env} holds characters that no HTTP header may have; set it anew")
    return key


def probe_endpoint(base_urls: list[str], key: str | None, model: str) -> dict[str, str]:
    """What is wrong with each URL, by asking it for its models; empty where all is well. Ten seconds a URL at most."""
    troubles = {}
    for url in base_urls:
        trouble = _trouble(url.rstrip("/") + "/models", key, model)
        if trouble is not None:
            troubles[url] = trouble.replace(key, "[the key]") if key else trouble
    return troubles


def _trouble(url: str, key: str | None, model: str) -> str | None:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    proxies = urllib.request.ProxyHandler({} if urlsplit(url).hostname in LOCAL else None)
    try:
        with urllib.request.build_opener(proxies).open(request, timeout=CONNECT_S) as response:
            known = [str(entry["id"]) for entry in json.load(response)["data"]]
    except urllib.error.HTTPError as error:
        if error.code == 404:  # a proxy may not list its models
            return None
        return of_status(error.code, error.read(), dict(error.headers.items())).message
    except (OSError, urllib.error.URLError) as error:
        return f"does not answer ({getattr(error, 'reason', error)})"
    except (ValueError, LookupError, TypeError):  # a page of HTML
        return "answers, but not as OpenAI's API does; does the URL end in /v1?"
    if known and model not in known:
        return f"does not serve '{model}'; it serves {', '.join(known[:5])}"
    return None
