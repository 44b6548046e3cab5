"""The fake endpoint with OpenAI's files and batches beside it: lists in pages, results in any order, and every way to end.

with running(FakeBatches(looks=3)) as fake: ... fake.url ... fake.paid
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from tests.helpers.fake_endpoint import ACCOUNT, CHOICES, ERRORS, Body, Fake, error

PAGE = 20
EXPIRED = {"code": "batch_expired", "message": "This request could not be executed before the completion window expired."}
CANCELLED = {"code": "batch_cancelled", "message": "This batch was cancelled before the request was executed."}


@dataclass
class FakeBatches(Fake):
    """What it was asked is in `calls`; what it did for it, by custom_id, in `paid`."""

    looks: int = 1
    """A batch ends at the look of this number; until then it answers a part of its lines at each."""
    ends: Callable[[int], str] = field(default=lambda number: "completed")
    """How the batch of this number (from 1) ends."""
    share: float = 0.5
    """Of the lines of a batch that expires or is cancelled, those that were answered before."""
    names_unanswered: bool = True
    """Whether the others are in its error file."""
    validate: Callable[[int], Body | None] = field(default=lambda number: None)
    """The error for which the batch of this number is refused as a whole."""
    http: Callable[[int, str], web.Response | None] = field(default=lambda number, call: None)
    """A response in the place of that of a call to files or batches, which is not carried out."""
    lost_answer: Callable[[int, str], bool] = field(default=lambda number, call: False)
    """Whether a call is carried out, and its answer lost on the way (502)."""
    hold: tuple[int, Literal["before", "after"]] | None = None
    """The call that is never answered, and whether it is carried out first."""
    lists: bool = True
    """Whether it has lists of files and batches."""
    others: int = 0
    """Batches of other people in the account, newer than ours."""

    calls: list[str] = field(default_factory=list)
    """Method and path of every call to files and batches, ids left out."""
    paid: Counter[str] = field(default_factory=Counter)
    """How often a line was answered, by custom_id."""
    files: dict[str, Body] = field(default_factory=dict)
    batches: dict[str, Body] = field(default_factory=dict)
    bodies: list[Body] = field(default_factory=list)
    """Requests of lines that were answered."""
    held: threading.Event = field(default_factory=threading.Event)
    metadata: list[Body] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.removeprefix(self.prefix)
        if not path.startswith(("/files", "/batches")):
            return await super().handle(request)
        parts = path.strip("/").split("/")
        call = f"{request.method} /{parts[0]}" + ("/id" if len(parts) > 1 else "") + "".join(f"/{part}" for part in parts[2:])
        self.calls.append(call)
        number = len(self.calls)
        if (refused := self._refused(request) or self.http(number, call)) is not None:
            return refused
        if self.hold == (number, "before"):
            await self._hang()
        answer = await self._carry_out(request, call, parts)
        if self.hold == (number, "after"):
            await self._hang()
        return error(502, "upstream closed the connection") if self.lost_answer(number, call) else answer

    async def _hang(self) -> None:
        self.held.set()
        await asyncio.sleep(math.inf)

    async def _carry_out(self, request: web.BaseRequest, call: str, parts: list[str]) -> web.StreamResponse:
        match call:
            case "POST /files":
                return web.json_response(await self._upload(request))
            case "POST /batches":
                return self._create(json.loads(await request.read()))
            case "GET /files" | "GET /batches" if not self.lists:
                return error(404, "Not Found", "NotFoundError")
            case "GET /files":
                return self._page(request, [_public(file) for file in self.files.values()])
            case "GET /batches":
                strangers = [self._stranger(at) for at in range(self.others)]
                return self._page(request, strangers + [_public(batch) for batch in reversed(self.batches.values())])
            case "GET /batches/id" if parts[1] in self.batches:
                self._advance(self.batches[parts[1]])
                return web.json_response(_public(self.batches[parts[1]]))
            case "GET /files/id/content" if parts[1] in self.files:
                return web.Response(body=self.files[parts[1]]["_content"], content_type="application/octet-stream")
        return error(404, f"No such object: {parts[-1]}", "invalid_request_error")

    def _page(self, request: web.BaseRequest, found: list[Body]) -> web.Response:
        """A page of a list, after the cursor."""
        limit, after = int(request.query.get("limit", PAGE)), request.query.get("after")
        begin = next((at + 1 for at, one in enumerate(found) if one["id"] == after), 0)
        some = found[begin : begin + limit]
        more = begin + limit < len(found)
        return web.json_response({"object": "list", "data": some, "has_more": more})

    async def _upload(self, request: web.BaseRequest) -> Body:
        request._client_max_size = 2**30  # a bare aiohttp server has no other way to take more than a megabyte
        name, purpose, content = "", "", b""
        async for part in await request.multipart():
            data = await part.read()  # type: ignore[union-attr]
            if part.name == "file":  # type: ignore[union-attr]
                name, content = part.filename or "", bytes(data)  # type: ignore[union-attr]
            else:
                purpose = data.decode()
        return _public(self._keep(name, purpose, content))

    def _keep(self, name: str, purpose: str, content: bytes) -> Body:
        key = f"file-{len(self.files) + 1}"
        self.files[key] = {
            **{"id": key, "object": "file", "filename": name, "purpose": purpose, "bytes": len(content)},
            **{"created_at": int(time.time()), "status": "processed", "_content": content},
        }
        return self.files[key]

    def _create(self, asked: Body) -> web.Response:
        """As documented: a file that was uploaded for batches, one of the endpoints, a window."""
        file = self.files.get(asked["input_file_id"])
        if file is None or file["purpose"] != "batch":
            return error(400, f"Cannot find file {asked['input_file_id']}, or the project does not have access to it.")
        number = len(self.batches) + 1
        batch: Body = {
            **{"id": f"batch_{number}", "object": "batch", "status": "validating", "created_at": int(time.time())},
            **{"output_file_id": None, "error_file_id": None, "errors": None, "_number": number, "_looks": 0},
            **asked,
        }
        lines = [json.loads(line) for line in file["_content"].splitlines()]
        assert all(line["url"] == asked["endpoint"] and line["method"] == "POST" for line in lines)
        assert len({line["custom_id"] for line in lines}) == len(lines)
        batch["_lines"], batch["_answered"] = lines, 0
        random.Random(number).shuffle(batch["_lines"])
        batch["request_counts"] = {"total": len(lines), "completed": 0, "failed": 0}
        self.batches[batch["id"]] = batch
        self.metadata.append(asked["metadata"])
        return web.json_response(_public(batch))

    # ---------------------------------------------------------------------------------------------------------- its work

    def _advance(self, batch: Body) -> None:
        """What has come about until this look."""
        if batch["status"] in ("completed", "failed", "expired", "cancelled"):
            return
        if (refusal := self.validate(batch["_number"])) is not None:
            batch |= {"status": "failed", "errors": {"object": "list", "data": [refusal]}}
            batch["request_counts"] = {"total": 0, "completed": 0, "failed": 0}
            return
        batch["_looks"] += 1
        end = self.ends(batch["_number"])
        whole = len(batch["_lines"]) if end == "completed" else round(len(batch["_lines"]) * self.share)
        n = whole * min(batch["_looks"], self.looks) // self.looks
        batch.setdefault("_results", []).extend(self._result(line) for line in batch["_lines"][batch["_answered"] : n])
        batch["_answered"] = n
        failed = sum(not _is_answer(result) for result in batch["_results"])
        batch["request_counts"] |= {"completed": n - failed, "failed": failed}
        batch["status"] = "in_progress"
        if batch["_looks"] >= self.looks:
            self._end(batch, end)

    def _end(self, batch: Body, end: str) -> None:
        results, left = batch["_results"], batch["_lines"][batch["_answered"] :]
        if self.names_unanswered:
            why = EXPIRED if end == "expired" else CANCELLED
            results += [{"id": "r", "custom_id": line["custom_id"], "response": None, "error": why} for line in left]
        for name, wanted in (("output_file_id", True), ("error_file_id", False)):
            some = [json.dumps(result) for result in results if _is_answer(result) == wanted]
            if some:
                batch[name] = self._keep(f"{batch['id']}_{name}.jsonl", "batch_output", "\n".join(some).encode() + b"\n")["id"]
        batch["status"] = end

    def _result(self, line: Body) -> Body:
        """A line's answer, or the error that `fault` has for it."""
        body, custom_id = line["body"], line["custom_id"]
        self.n_requests += 1
        fault = self.fault(self.n_requests, body)
        status, said = 200, None
        if isinstance(fault, str) and fault in ERRORS:
            status, kind, message = ERRORS[fault]
            said = {"error": {"message": message, "type": kind, "param": None, "code": None}}
        elif isinstance(fault, web.Response):
            assert isinstance(fault.body, bytes)
            status, said = fault.status, json.loads(fault.body)
        elif isinstance(fault, str) and fault in ACCOUNT:
            status, said = ACCOUNT[fault]
        else:
            self.paid[custom_id] += 1
            self.bodies.append(body)
            said = json.loads(self._answer(body, "/chat/completions"))
            if isinstance(fault, str):
                said |= {"choices": CHOICES[fault](said["choices"])}
        response = {"status_code": status, "request_id": f"req-{self.n_requests}", "body": said}
        return {"id": f"batch_req_{self.n_requests}", "custom_id": custom_id, "response": response, "error": None}

    def _stranger(self, at: int) -> Body:
        batch = {"id": f"batch_other_{at}", "object": "batch", "status": "completed", "created_at": 0}
        about = {"completion_window": "24h", "endpoint": "/v1/embeddings", "input_file_id": f"file-other-{at}"}
        return batch | about | {"metadata": None if at % 2 else {"a": "b"}}


def _is_answer(result: Body) -> bool:
    return bool(result["response"]) and result["response"]["status_code"] == 200


def _public(what: Body) -> dict[str, Any]:
    return {name: value for name, value in what.items() if not name.startswith("_")}
