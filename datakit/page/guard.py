"""Access control of the local server: requests need the token of the printed address and must come from our own pages."""

from __future__ import annotations

import secrets
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost", "::1")
COOKIE = "datakit"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Only our own style and script are allowed; no text of a model can load, send or run anything."""


class Guard:
    """Refuses requests without the token, by another host name (DNS rebinding), or from another page."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *given]
            await send(message)

        answer = self._refused(Request(scope))
        await (answer or self._app)(scope, receive, with_headers)

    def _refused(self, request: Request) -> Response | None:
        """Return the reason for a refusal; None if the request may pass."""
        if request.url.hostname not in HOSTS:
            return PlainTextResponse("this server answers on 127.0.0.1 and localhost only", 421)
        query = dict(request.query_params)
        if self._knows(query.pop("token", "")):
            rest = f"?{urlencode(query)}" if query else ""
            answer = RedirectResponse(f"{request.url.path}{rest}", 303)
            answer.set_cookie(COOKIE, self._token, httponly=True, samesite="lax")
            return answer
        if not self._knows(request.cookies.get(COOKIE, "")):
            return PlainTextResponse("open the address that datakit browse has printed; it contains the token", 403)
        if request.method not in ("GET", "HEAD") and not _is_ours(request):
            return PlainTextResponse("only a page of this server may send that", 403)
        return None

    def _knows(self, token: str) -> bool:
        return secrets.compare_digest(token.encode(), self._token.encode())


def _is_ours(request: Request) -> bool:
    """Return True if the browser's headers name one of our pages; ours send no referrer, so Origin may be null."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return urlsplit(request.headers.get("origin", "")).netloc == request.headers.get("host")
