"""Reads what a server says about an error. Vendors agree on little more than JSON, and not all on that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_MOST_SAID = 300
_DEEPEST = 5
_INSIDE = ("error", "message", "msg", "detail")
_ACCOUNT_KINDS = {
    *("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated"),  # OpenAI
    *("exceeded_current_quota_error", "insufficient_balance", "insufficient_credits", "credit_limit_exceeded"),
    *("organization_restricted", "billing_error", "payment_required", "arrearage", "budget_exceeded", "account_suspended"),
}
_ACCOUNT_WORDS = re.compile(
    r"credit balance is too low"  # Anthropic, with status 400
    r"|reached your specified (api )?usage limits"
    r"|insufficient (account |available )?(balance|credits?|funds)"  # DeepSeek, OpenRouter
    r"|(requires|needs?) more credits"  # OpenRouter
    r"|(credit|key|budget|spend(ing)?) limit (has been )?(exceeded|reached)"  # Together, OpenRouter
    r"|exceeded your (current quota|(monthly|daily) (included )?(credits|quota))"
    r"|billing (hard )?limit|check your (plan and )?billing|budget has been exceeded"
    r"|reached (its|your|the) (monthly |hard )?(spend(ing)?|usage|budget|credit) limit"
    r"|used all (of )?((its|your|the) )?(available )?credits|(no|out of) (available |remaining )?credits"
    r"|account (is |has been )?(not active|suspended|deactivated|disabled|overdue)|account \S{1,80} is suspended"
    r"|organi[sz]ation has been (restricted|disabled)|account is in good standing"
    r"|api key (has |is |was )?(been )?(expired|revoked|disabled|deactivated|not valid)"
    r"|(per[- ]day|daily)\b.{0,40}\blimit (reached|exceeded)|limit (reached|exceeded).{0,60}\bper[- ]day\b",
    re.IGNORECASE,
)
_SOON = re.compile(
    r"per[ _-]?(minute|second)|\b[rt]pm\b|(try again|retry) (in|after) [0-9.]+ ?(ms|s|m)", re.IGNORECASE
)  # a rate, which passes; Gemini also calls it a quota
_REFUSES = re.compile(
    r"not? (a )?(support|permit|allow|accept|recogni|valid|available|compatible)|unsupported|unknown|unrecogni[sz]ed|unexpected"
    r"|does ?n.t (support|allow|accept|take)|cannot find|extra(neous|_forbidden)?\b|deprecated"
    r"|only .{0,40}(support|allow|accept)",
    re.IGNORECASE,
)
_OVERLOADED = {"overloaded_error", "rate_limit_error", "rate_limit_exceeded", "engine_overloaded_error", "server_overloaded"}
_ABOUT_N = re.compile(
    r"""(?<!\w)['"`\[]n['"`\]]|\bn(:| (>|=|must|is|should|larger|greater))|one (completion )?choice""", re.IGNORECASE
)  # llama.cpp: only one completion choice is allowed
OVERLOADS = (408, 429, 503, 529)


@dataclass(frozen=True)
class Said:
    """An error in short: its words, and what else its body says."""

    words: str
    kinds: frozenset[str] = frozenset()
    """Its `code` and `type`, in lower case."""
    status: int | None = None
    """The HTTP status given in the body: that of a proxy's upstream, or one in a 200."""
    named: frozenset[str] = frozenset()
    """The request fields that it names in a field of their own (OpenAI's `param`, FastAPI's `loc`)."""

    @property
    def text(self) -> str:
        """The words, shortened for messages."""
        return self.words[:_MOST_SAID].encode("utf-8", "replace").decode("utf-8")  # half of a surrogate pair cannot be stored

    @property
    def is_overload(self) -> bool:
        """True if it says itself that there was too much to do."""
        return self.status in OVERLOADS or not self.kinds.isdisjoint(_OVERLOADED)

    def is_about_the_account(self, asked: bytes) -> bool:
        """True if nothing of this account is answered until somebody pays for it or repairs it."""
        if not self.kinds.isdisjoint(_ACCOUNT_KINDS):
            return True
        return not _SOON.search(self.words) and _says(_ACCOUNT_WORDS, self.words, asked)

    def refused_field(self, sent: Iterable[str], asked: bytes) -> str | None:
        """Return the request field, out of those `sent`, that the server says it rejects."""
        whole = " ".join([*sorted(self.kinds), self.words])
        for name in sent:
            if name == "n":
                if "n" in self.named or _ABOUT_N.search(self.words):
                    return name
            elif (name in self.named or re.search(rf"\b{re.escape(name)}\b", self.words)) and _says(_REFUSES, whole, asked):
                return name
        return None


def read_error(body: bytes) -> Said:
    """Read the body of an error."""
    text = body.decode("utf-8", "replace")
    try:
        return said_in(json.loads(text), text)
    except (ValueError, RecursionError):
        return Said(_line(text))


def said_in(value: Any, text: str = "") -> Said:
    """Read an error in JSON: the words are OpenAI's error.message if there is one, else `text`."""
    found = _Found()
    shown = found.look(value, _DEEPEST)
    return Said(_line(shown if shown is not None else text), frozenset(found.kinds), found.status, frozenset(found.named))


@dataclass
class _Found:
    """The findings on the way down to the words."""

    kinds: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    status: int | None = None

    def look(self, value: Any, deep: int) -> str | None:
        """Return the words in a value; None if there are none."""
        if isinstance(value, str):
            return value
        if isinstance(value, list):  # FastAPI's details, Gemini's list of one error
            return "; ".join(words for one in value[:3] if deep and (words := self.look(one, deep - 1))) or None
        if not isinstance(value, dict) or not deep:
            return None
        self._note(value)
        inside = next((value[name] for name in _INSIDE if value.get(name)), None)
        words = self.look(inside, deep - 1)
        metadata = value.get("metadata")
        if words and isinstance(metadata, dict) and isinstance(raw := metadata.get("raw"), str):
            words = f"{words}: {raw}"  # OpenRouter: what its upstream said
        where = value.get("loc")
        return f"{'.'.join(map(str, where))}: {words}" if words and isinstance(where, list) else words

    def _note(self, value: dict[str, Any]) -> None:
        for name in ("code", "type", "status"):
            word = value.get(name)
            if isinstance(word, str):
                self.kinds.add(word.lower())
            if str(word).isdecimal() and 400 <= int(str(word)[:9]) < 600:
                self.status = int(str(word))
        self.named |= {param for param in [value.get("param")] if isinstance(param, str)}
        if isinstance(where := value.get("loc"), list):
            self.named |= {part for part in where if isinstance(part, str)}


def _says(what: re.Pattern[str], words: str, asked: bytes) -> bool:
    """True if the pattern occurs in the words, other than in text that the server quotes from the request."""
    return any(found[0].lower().encode("utf-8", "replace") not in asked.lower() for found in what.finditer(words))


def _line(text: str) -> str:
    return " ".join(text.split())
