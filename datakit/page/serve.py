"""Serve the pages of a run until Ctrl-C."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from datakit.audit.browsing import Browsing
from datakit.errors import BadInput
from datakit.page.browse import make_app, new_token


def serve(browsing: Browsing, who: str, port: int, say: Callable[[str], None]) -> None:
    """Serve on 127.0.0.1, at a free port if `port` is 0; `say` gets the address. BadInput if the port is taken."""
    token = new_token()
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(64)
    except OSError as error:
        listening.close()
        raise BadInput(f"--port {port}: cannot be used ({error.strerror}); leave it out for a free one") from error
    number = listening.getsockname()[1]
    say(f"http://127.0.0.1:{number}/?token={token}")
    say(f"from another machine: ssh -L {number}:127.0.0.1:{number} THIS_MACHINE, then open this address there. Ctrl-C ends it.")
    config = uvicorn.Config(make_app(browsing, token, who), log_level="warning", access_log=False, lifespan="off", ws="none")
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()
