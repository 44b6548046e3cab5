"""The pages for reading pairs in a browser: a local server with an address for every state. Works without JavaScript."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any, get_args
from urllib.parse import parse_qsl, quote, urlencode

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from datakit.audit.browsing import LIST, PAGE, Browsing
from datakit.audit.finding import Filter, Sort
from datakit.errors import BadInput
from datakit.page.differences import differences
from datakit.page.guard import Guard
from datakit.page.jinja import environment
from datakit.tables import FLAGGED, FLAGS, Row, Rows

MOST_CHARS = 6_000  # of a text beside others; the prompt's page shows all of it
NUMBERS = ("margin_low", "margin_high", "ratio_low", "ratio_high")


@dataclass(frozen=True)
class Asked:
    """The filters and options in the address of a page of pairs."""

    filter: Filter
    anchor: int | None
    forward: bool
    always: bool
    """True to mark differences even if the texts have little in common."""


def make_app(browsing: Browsing, token: str, who: str) -> Starlette:
    """The pages of a run. `token` is needed for every request; `who` is the name that flags are stored under."""
    pages = _Pages(browsing, who)
    routes = [
        Route("/", pages.pairs),
        Route("/prompt", pages.prompt),
        Route("/flips", pages.flips),
        Route("/dropped", pages.dropped),
        Route("/failures", pages.failures),
        Route("/flags", pages.flags),
        Route("/flag", pages.flag, methods=["POST"]),
        Route("/style.css", partial(_file, "style.css", "text/css")),
        Route("/browse.css", partial(_file, "browse.css", "text/css")),
        Route("/browse.js", partial(_file, "browse.js", "text/javascript")),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, token=token)],
        exception_handlers={BadInput: _bad_input},
    )


def new_token() -> str:
    """Return a random token that cannot be guessed."""
    return secrets.token_urlsafe(24)


def read_filter(query: Mapping[str, str]) -> Asked:
    """Read the filters of an address; empty ones do not filter. BadInput for a value that is not a number or not allowed."""
    given = {name: value.strip() for name, value in query.items() if value.strip()}
    known = {one.name for one in fields(Filter)}
    values: dict[str, Any] = {name: value for name, value in given.items() if name in known}
    for name in NUMBERS:
        if name in values:
            values[name] = _number(name, values[name])
            if name.startswith("ratio") and values[name] <= 0:
                raise BadInput(f"{name}: must be above 0 (got {given[name]})")
    for name in ("against", "descends"):
        values[name] = name in values
    if values.get("sort", "n") not in get_args(Sort):
        raise BadInput(f"sort: must be one of {', '.join(get_args(Sort))} (got {values['sort']!r:.40})")
    if values.get("flagged", "any") not in ("any", *FLAGS):
        raise BadInput(f"flagged: must be any, {', '.join(FLAGS)} (got {values['flagged']!r:.40})")
    anchor = given.get("after", given.get("before"))
    number = None if anchor is None else _whole("after", anchor)
    return Asked(Filter(**values), number, "before" not in given, "always" in given)


def address(wanted: Filter, **more: object) -> str:
    """Return the address of a page of pairs."""
    plain = asdict(Filter())
    values = {name: value for name, value in asdict(wanted).items() if value != plain[name]} | more
    query = {name: (1 if value is True else value) for name, value in values.items() if value not in (None, False)}
    return f"/?{urlencode(query)}" if query else "/"


class _Pages:
    """The handlers; each returns a whole page."""

    def __init__(self, browsing: Browsing, who: str) -> None:
        self._browsing = browsing
        self._who = who

    def pairs(self, request: Request) -> Response:
        asked = read_filter(request.query_params)
        if "" in request.query_params.values():  # drop the empty fields of the form, for a short address
            return RedirectResponse(address(asked.filter), 303)
        page = self._browsing.page(asked.filter, asked.anchor, asked.forward)
        if not page.rows and asked.anchor is not None:  # past the end, after a filter with more rows
            page = self._browsing.page(asked.filter)
        pairs = [_beside(row, row["chosen"], row["rejected"], asked.always) for row in page.rows]
        links = {
            "earlier": None if page.first or not pairs else address(asked.filter, before=pairs[0]["n"], always=asked.always),
            "later": None if page.last or not pairs else address(asked.filter, after=pairs[-1]["n"], always=asked.always),
            "always": address(asked.filter, after=request.query_params.get("after"), always=not asked.always),
            "without": address(replace(asked.filter, words=None)),
        }
        return self._draw("pairs.html", request, filter=asked.filter, page=page, pairs=pairs, links=links, always=asked.always)

    def prompt(self, request: Request) -> Response:
        lineage = self._browsing.lineage(request.query_params.get("id", ""))
        return self._draw("prompt.html", request, lineage=lineage)

    def flips(self, request: Request) -> Response:
        sources = self._browsing.facets.contestants
        better, worse = (request.query_params.get(side) or None for side in ("better", "worse"))
        rows: Rows = []
        total = 0
        if better is not None and worse is not None:
            after = _whole("after", request.query_params.get("after") or "0")
            rows, total = self._browsing.flips(better, worse, after)
        pairs = [_beside(row, row["right"], row["wrong"], "always" in request.query_params) for row in rows]
        query = {"better": better or "", "worse": worse or ""}
        later = f"/flips?{urlencode({**query, 'after': rows[-1]['prompt_no']})}" if len(rows) == PAGE else None
        return self._draw("flips.html", request, **query, sources=sources, pairs=pairs, total=total, later=later)

    def dropped(self, request: Request) -> Response:
        reason = request.query_params.get("reason") or None
        rows = self._browsing.dropped(reason, request.query_params.get("after", ""))
        later = _later("/dropped", "reason", reason, rows[-1]["prompt_id"] if len(rows) == LIST else None)
        return self._draw("dropped.html", request, rows=rows, reason=reason, later=later)

    def failures(self, request: Request) -> Response:
        cause = request.query_params.get("cause") or None
        rows = self._browsing.failures(cause, request.query_params.get("after", ""))
        last = rows[-1]["key"] + rows[-1]["stage"] + rows[-1]["source"] if len(rows) == LIST else None
        return self._draw("failures.html", request, rows=rows, cause=cause, later=_later("/failures", "cause", cause, last))

    def flags(self, request: Request) -> Response:
        return self._draw("flags.html", request, flags=self._browsing.flags())

    async def flag(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        target = next((name for name in FLAGGED if name == form.get("target")), None)
        if target is None or not all(form.get(name) for name in FLAGGED[target]):
            raise BadInput(f"flag: target must be one of {', '.join(FLAGGED)}, with its ids")
        said = next((one for one in (*FLAGS, "undo") if one == form.get("flag")), None)
        note = (form.get("note") or "").strip() or None
        if said is None or (said == "note" and note is None):
            raise BadInput("flag: give exclude, keep, clear or undo, or note with a note")
        ids = {"target": target, **{name: form[name] for name in FLAGGED[target]}}
        self._browsing.flag(ids, said, note, self._who)  # type: ignore[arg-type]
        back = form.get("back", "/")
        return RedirectResponse(back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/", 303)

    def _draw(self, template: str, request: Request, **values: Any) -> Response:
        found = environment().get_template(template)
        query = f"?{request.url.query}" if request.url.query else ""
        shared = {"facets": self._browsing.facets, "run": self._browsing.run.folder.name, "who": self._who}
        links = {"address": address, "prompt_address": prompt_address, "here": request.url.path + query}
        return HTMLResponse(found.render(**shared, **links, **values))


def prompt_address(prompt_id: str, response_id: str | None = None) -> str:
    """Return the address of a prompt's page, or of a response on it."""
    return f"/prompt?id={quote(prompt_id, safe='')}" + (f"#{response_id}" if response_id else "")


def _beside(row: Row, left: Row | None, right: Row | None, always: bool) -> Row:
    """Return a row with both texts as shown: at most MOST_CHARS of each, with the differences marked."""
    texts = [(one or {}).get("text") or "" for one in (left, right)]
    cut = [text[:MOST_CHARS] for text in texts]
    marked = differences(cut[0], cut[1], always) if all(cut) else None
    rest = [len(text) - len(part) for text, part in zip(texts, cut, strict=True)]
    return {**row, "texts": marked or cut, "marked": marked is not None, "rest": rest}


def _later(path: str, name: str, value: str | None, after: str | None) -> str | None:
    query = {name: value, "after": after}
    return None if after is None else f"{path}?{urlencode({key: one for key, one in query.items() if one is not None})}"


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadInput(f"{name}: must be a whole number (got {text!r:.40})") from None


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"{name}: must be a number (got {text!r:.40})") from None


def _file(name: str, kind: str, request: Request) -> Response:
    return Response(environment().loader.get_source(environment(), name)[0], media_type=kind)  # type: ignore[union-attr]


def _bad_input(request: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 400)
