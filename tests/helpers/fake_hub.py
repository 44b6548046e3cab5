"""A small part of the Hugging Face hub's HTTP interface, for pushing datasets: create, list, preupload, commit.

It takes every file as an ordinary one, in the commit itself; the hub takes large ones by way of a store beside it. So what is
shown with it is what datakit asks of the hub, and that huggingface_hub sends it; not the transfer of large files.

    with hub() as fake: ... fake.url, fake.files, fake.commits
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

TOKEN = "hf_of_the_fake"


@dataclass
class FakeHub:
    """`refuses`: a path's part -> the status that it is answered with."""

    url: str = ""
    private: dict[str, bool] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    refuses: dict[str, int] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: bytes, token: str) -> tuple[int, Any]:
        if status := next((status for part, status in self.refuses.items() if part in path), None):
            return status, {"error": "refused", "errors": [{"message": "refused"}], "warnings": []}
        if token != f"Bearer {TOKEN}":
            return 401, {"error": "Invalid username or password."}
        match path.strip("/").split("/"):
            case ["api", "repos", "create"]:
                asked = json.loads(body)
                name = f"{asked.get('organization') or 'me'}/{asked['name']}"
                known = name in self.files
                self.files.setdefault(name, {".gitattributes": b""})
                self.private.setdefault(name, asked.get("visibility") == "private" or asked.get("private") is True)
                made = {"url": f"{self.url}/datasets/{name}", "name": name}
                return (409, {**made, "error": "exists already"}) if known else (200, made)
            case ["api", "validate-yaml"]:
                return 200, {"errors": [], "warnings": []}
            case ["api", "datasets", owner, name, "tree", *_]:
                files = self.files[f"{owner}/{name}"]
                return 200, [{"type": "file", "path": path, "size": len(data), "oid": "0"} for path, data in files.items()]
            case ["api", "datasets", _, _, "preupload", _]:
                asked = json.loads(body)["files"]
                return 200, {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in asked]}
            case ["api", "datasets", owner, name, "commit", _]:
                return 200, self._commit(f"{owner}/{name}", [json.loads(line) for line in body.splitlines()])
        return 404, {"error": f"the fake has no {method} {path}"}

    def _commit(self, repo: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        for line in lines:
            value = line["value"]
            match line["key"]:
                case "header":
                    self.commits.append(value["summary"])
                case "file":
                    self.files[repo][value["path"]] = base64.b64decode(value["content"])
                case "deletedFile":
                    del self.files[repo][value["path"]]
        return {"commitUrl": f"{self.url}/datasets/{repo}/commit/1", "commitOid": "1" * 40, "hookOutput": "", "success": True}


@contextmanager
def hub() -> Iterator[FakeHub]:
    fake = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            status, values = fake.answer(self.command, path, body, self.headers.get("Authorization", ""))
            data = json.dumps(values).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _handle

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
