"""The pages of `datakit browse`, served from a thread of the test, and a client that knows the token."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import uvicorn

from datakit.audit.browsing import Browsing
from datakit.page.browse import make_app
from datakit.store import Run

TOKEN = "the token of a test"


@contextmanager
def served(folder: Path, who: str = "ann") -> Iterator[str]:
    """The server's address without the token, as long as the block takes."""
    with Run.open(folder) as run, socket.socket() as listening:
        browsing = Browsing(run)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        config = uvicorn.Config(make_app(browsing, TOKEN, who), log_level="error", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            browsing.close()


def ask(address: str, path: str, form: dict[str, str] | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of one answer; `form` makes it a POST. `cookie` is the right one unless it is given."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"))
    given = {"cookie": f'datakit="{TOKEN}"', **{name.replace("_", "-"): value for name, value in headers.items()}}
    if form is None:
        connection.request("GET", path, headers=given)
    else:
        kind = {"content-type": "application/x-www-form-urlencoded"}
        connection.request("POST", path, urlencode(form), headers={**kind, **given})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text
