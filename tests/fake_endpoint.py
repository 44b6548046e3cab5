"""A real HTTP server that speaks the chat completions API, with a knob for every fault; for faults and load only.

Its answers are a function of the messages, the seed and the choice's number, so a build against it can be repeated exactly.
Questions read "What is A + B?"; about half of the answers are right.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Body = dict[str, Any]


@dataclass
class Fake:
    """Knobs to set before or while it runs, and what it was asked."""

    latency_s: float = 0.0
    ignore_n: bool = False
    copies: bool = False
    """Every answer to a prompt is one text, whatever the seed."""
    fault: Callable[[int, Body], web.Response | None] = field(default=lambda number, body: None)
    """Called with the request's number and body; what it returns is sent in the place of an answer."""
    key: str | None = None
    models: tuple[str, ...] = ()
    """Model names it knows; empty for any."""
    requests: list[Body] = field(default_factory=list)
    most_in_flight: int = 0
    url: str = ""
    _in_flight: int = 0

    @property
    def asked_twice(self) -> int:
        """Answers given for a (messages, model, seed) that had been answered before."""
        counts = Counter((json.dumps(body["messages"]), body["model"], body["seed"]) for body in self.requests)
        return sum(count - 1 for count in counts.values())

    async def complete(self, request: web.Request) -> web.Response:
        """POST /v1/chat/completions."""
        body = await request.json()
        self.requests.append(body)
        number = len(self.requests)
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            await asyncio.sleep(self.latency_s)
            if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
                return error(401, "invalid api key")
            if self.models and body["model"] not in self.models:
                return error(404, f"The model `{body['model']}` does not exist.")
            faulty = self.fault(number, body)
            return faulty if faulty is not None else self._answer(body)
        finally:
            self._in_flight -= 1

    def _answer(self, body: Body) -> web.Response:
        texts = [self.text(body, number) for number in range(1 if self.ignore_n else body.get("n", 1))]
        choices = [
            {"index": number, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for number, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": 11, "completion_tokens": sum(len(text.split()) for text in texts)}
        return web.json_response({"id": "x", "object": "chat.completion", "choices": choices, "usage": usage})

    def text(self, body: Body, number: int) -> str:
        """The answer to the last message: right or one off, of varying length."""
        seed = 0 if self.copies else body["seed"] + number
        chance = int(hashlib.sha256(f"{body['model']}/{body['messages']}/{seed}".encode()).hexdigest(), 16)
        a, b = map(int, re.findall(r"\d+", body["messages"][-1]["content"])[:2])
        words = " ".join(["Let me think."] * (chance // 7 % 5))
        return f"{words} {a} + {b} = {a + b + chance % 2} ({chance % 9973}). The answer is {a + b + chance % 2}.".strip()

    async def list_models(self, request: web.Request) -> web.Response:
        """GET /v1/models."""
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return error(401, "invalid api key")
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})


def error(status: int, message: str) -> web.Response:
    """An error as OpenAI's API writes it."""
    return web.json_response({"error": {"message": message, "code": status}}, status=status)


def body_text(text: str) -> web.Response:
    """A 200 whose body is the text as it is."""
    return web.Response(text=text, content_type="application/json")


@contextmanager
def running(fake: Fake) -> Iterator[Fake]:
    """Serve on a free port in a thread of its own."""
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", fake.complete)
        app.router.add_get("/v1/models", fake.list_models)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        fake.url = f"http://127.0.0.1:{port}/v1"
        started.set()
        return runner

    def serve() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield fake
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
