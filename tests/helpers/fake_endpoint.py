"""A real HTTP server that speaks the chat completions API, with a knob for every fault; for faults and load only.

Beside it stand /classify and /pooling, in the layouts of vLLM 0.32.

In a test, in a thread of its own:      with running(Fake(latency_s=0.1)) as fake: ... fake.url ... fake.counts()
For a benchmark, as a process:      python tests/helpers/fake_endpoint.py --port 8001 --latency-ms 300 --lognormal --n-chars 800
                                    (prints its URL when it listens; GET /counts says what it was asked)

Its answers are a function of the messages, the model, the seed and the choice's number (as in vLLM, choice i of seed s is
choice 0 of seed s + i), so a build against it can be repeated exactly. Questions read "What is A + B?"; about half of the
answers are right.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import math
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, TypeVar

from aiohttp import web

Body = dict[str, Any]
Served = TypeVar("Served", bound="Fake")
Fault = str | web.Response | None
"""A name of FAULTS, a response of the test's own, or none: an answer."""


def _error(message: str, code: str | None = None) -> Body:
    """An error in OpenAI's layout."""
    return {"error": {"message": message, "type": code or "invalid_request_error", "param": None, "code": code}}


SIGMA = 0.5  # of the logarithm of a lognormal latency
ERRORS = {  # fault: status, type, message; the words are vLLM's or a proxy's
    "400": (400, "BadRequestError", "temperature must be non-negative, got -1.0."),
    "context_length": (
        400,
        "BadRequestError",
        "This model's maximum context length is 4096 tokens. However, you requested 5000.",
    ),
    "401": (401, "AuthenticationError", "Incorrect API key provided"),
    "403": (403, "PermissionDeniedError", "This key may not use the model"),
    "404": (404, "NotFoundError", "The model `fake/one` does not exist."),
    "408": (408, "TimeoutError", "Request timed out"),
    "413": (413, "RequestTooLarge", "Request body is too large"),
    "422": (422, "UnprocessableEntityError", "max_tokens must be at least 1, got 0."),
    "429": (429, "RateLimitError", "Too many requests"),
    "500": (500, "InternalServerError", "EngineCore encountered an issue"),
    "502": (502, "BadGateway", "upstream closed the connection"),
    "503": (503, "ServiceUnavailable", "no healthy upstream"),
    "504": (504, "GatewayTimeout", "upstream request timeout"),
    "529": (529, "overloaded_error", "Overloaded"),
}
OVERLOADS = (408, 429, 503, 529)
ACCOUNT: dict[
    str, tuple[int, Any]
] = {  # fault: status and body; nothing left to pay with, or the key is gone, as vendors say it
    "insufficient_quota": (
        429,
        _error("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota"),
    ),
    "billing_hard_limit": (400, _error("Billing hard limit has been reached", "billing_hard_limit_reached")),
    "billing_not_active": (429, _error("Your account is not active, please check your billing details.", "billing_not_active")),
    "credit_balance": (
        400,
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."},
        },
    ),
    "usage_limits": (400, _error("You have reached your specified API usage limits. You will regain access on 2027-01-01.")),
    "payment_required": (402, {"error": {"code": 402, "message": "This request needs a positive balance"}}),
    "insufficient_balance": (402, _error("Insufficient Balance")),
    "insufficient_credits": (403, {"error": {"code": 403, "message": "Insufficient credits. Add more and retry"}}),
    "key_limit": (403, {"error": {"code": 403, "message": "Key limit exceeded (total limit)"}}),
    "credit_limit": (400, _error("Credit limit exceeded, please navigate to the settings to add credit.")),
    "organization_restricted": (400, _error("Organization has been restricted.", "organization_restricted")),
    "suspended": (412, {"error": "Account fake-team is suspended, possibly due to reaching the monthly spending limit"}),
    "spending_limit": (
        429,
        {"error": "Your team has used all available credits or reached its monthly spending limit."},
    ),
    "free_per_day": (429, {"error": {"code": 429, "message": "Rate limit exceeded: free-models-per-day"}}),
    "proxy_budget": (400, _error("Budget has been exceeded! Current cost: 1.2, Max budget: 1.0", "budget_exceeded")),
    "key_expired": (400, [{"error": {"code": 400, "message": "API key expired. Please renew the API key."}}]),
    "arrearage": (400, {"code": "Arrearage", "message": "Access denied, please see that your account is in good standing."}),
    "quota_in_200": (200, {"error": {"code": 402, "message": "Payment Required"}}),
}
BROKEN: dict[str, Callable[[str], str]] = {  # fault: what a 200 has in the place of the whole answer
    "cut_off": lambda whole: whole[: len(whole) // 2],
    "empty_body": lambda whole: "",
    "html": lambda whole: "<html><body><h1>502 Bad Gateway</h1></body></html>",
    "not_an_object": lambda whole: "[]",
    "error_in_200": lambda whole: '{"error": {"message": "upstream is away", "code": 502}}',
    "no_choices": lambda whole: '{"object": "chat.completion"}',
    "null_choices": lambda whole: '{"choices": null}',
    "empty_choices": lambda whole: '{"choices": []}',
    "null_choice": lambda whole: '{"choices": [null]}',
    "null_message": lambda whole: '{"choices": [{"message": null}]}',
    "overload_in_200": lambda whole: '{"error": {"message": "Rate limited upstream", "code": 429}}',
    "overloaded_type_in_200": lambda whole: '{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}',
    "error_beside": lambda whole: whole[:-1] + ', "error": {"message": "upstream broke off", "code": 502}}',
}
CHOICES: dict[str, Callable[[list[Body]], list[Body]]] = {  # fault: what becomes of an answer's choices
    "empty_text": lambda choices: [_with(choice, content="") for choice in choices],
    "blank_text": lambda choices: [_with(choice, content=" \n ") for choice in choices],
    "null_text": lambda choices: [_with(choice, content=None) for choice in choices],
    "one_empty_text": lambda choices: [_with(choices[0], content=""), *choices[1:]],
    "fewer": lambda choices: choices[: (len(choices) + 1) // 2],
    "more": lambda choices: [*choices, *choices[:1]],
    "length": lambda choices: [_with(choice, "length", content=choice["message"]["content"][:12]) for choice in choices],
    "content_filter": lambda choices: [_with(choice, "content_filter", content=None) for choice in choices],
    "filtered_text": lambda choices: [_with(choice, "content_filter") for choice in choices],
    "one_filtered_text": lambda choices: [_with(choices[0], "content_filter"), *choices[1:]],
    "failed_choices": lambda choices: [_with(choice, "error") | {"error": UPSTREAM} for choice in choices],
    "one_failed_choice": lambda choices: [_with(choices[0], "error") | {"error": UPSTREAM}, *choices[1:]],
    "one_aborted": lambda choices: [_with(choices[0], "abort"), *choices[1:]],
    "parts": lambda choices: [_with(choice, content=_parts(choice)) for choice in choices],
    "thinking_parts": lambda choices: [_with(choice, content=[THINKING_PART, *_parts(choice)]) for choice in choices],
    "reasoning_content": lambda choices: [_with(choice, reasoning_content="Hm.") for choice in choices],
    "reasoning": lambda choices: [_with(choice, reasoning="Hm.") for choice in choices],
    "refusal": lambda choices: [_with(choice, content=None, refusal="I can't help with that.") for choice in choices],
}
CONNECTION = ("reset", "closed", "reset_middle", "closed_middle", "hang", "hang_middle")
"""reset: RST before a byte; closed: FIN before a byte; hang: no answer ever; _middle: after half of the body."""
FAULTS = (*ERRORS, *ACCOUNT, *BROKEN, *CHOICES, *CONNECTION)


@dataclass
class Fake:
    """Knobs to set before or while it runs, and what it was asked."""

    latency_s: float = 0.0
    """The mean time an answer takes."""
    lognormal: bool = False
    n_chars: int = 0
    """Texts are filled up to this length."""
    ignore_n: bool = False
    copies: bool | str = False
    """once: the first answer to a prompt repeats its first choice; request: every answer does; True: one text always."""
    capacity: int | None = None
    """Requests that are worked on at once; further ones wait in a queue (/metrics has its length)."""
    queue: int | None = None
    """Requests that may wait; further ones get `full`."""
    full: str = "429"
    retry_after: str | None = None
    """Goes with every overload: seconds, or `date:` and seconds for an HTTP date."""
    refuses: tuple[str, ...] = ()
    """Request fields that it does not take."""
    refusal: Callable[[str], web.Response] = field(default=lambda name: openai_refusal(name))
    """What it says of one."""
    prefix: str = "/v1"
    """Where its API begins."""
    query: str = ""
    """The query that every request must have, probes too; without it there is nothing (404)."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers that every request must have; 401 without them."""
    fault: Callable[[int, Body], Fault] = field(default=lambda number, body: None)
    """Called with the request's number and body; what it returns is sent in the place of an answer."""
    shares: dict[str, float] = field(default_factory=dict)
    """Fault: share of the requests that meet it."""
    say: Callable[[Body], str] | None = None
    """The text of every choice, where the test has one."""
    logprobs: Callable[[Body], dict[str, float]] | None = None
    """The likeliest first tokens with their log-probabilities, for requests that ask for them."""
    score: Callable[[Body], Any] = field(default=lambda body: _score(body))
    """The raw number of a conversation at /classify and /pooling; a list of them for several labels or tokens."""
    knows_activation: bool = True
    """Without use_activation: false a number goes through the sigmoid; a server that does not know the field always does it."""
    key: str | None = None
    open_list: bool = False
    """Its models are listed to everybody, whatever the key."""
    echo_key: bool = False
    """Every error message and broken body repeats the Authorization header."""
    models: tuple[str, ...] = ()
    """Model names it knows; empty for any."""
    health: str = "up"
    """up, hang, or an error's name: 503, 404."""
    metrics: bool = True
    keep: bool = True
    """Keep requests' bodies and times (a long benchmark does not)."""

    requests: list[Body] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)
    """Path and query of everything that it was asked."""
    arrivals: list[float] = field(default_factory=list)
    """time.monotonic() of every request."""
    n_requests: int = 0
    n_answered: int = 0
    """Requests that got choices."""
    n_responses: int = 0
    """Choices given."""
    asked_twice: int = 0
    """Requests answered for a (messages, model, seed) that had been answered before."""
    responses_twice: int = 0
    """Choices given that had been given before."""
    most_in_flight: int = 0
    in_flight: int = 0
    probes: Counter[str] = field(default_factory=Counter)
    """GETs by path."""
    met: Counter[str] = field(default_factory=Counter)
    """Faults given, by name; a response of the test's own by its status."""
    url: str = ""

    def __post_init__(self) -> None:
        self._given: set[bytes] = set()
        self._prompts: set[str] = set()
        self._random = random.Random(0)
        self._places: dict[int, asyncio.Semaphore] = {}  # by capacity, which may change while it runs
        self._waiting = 0
        self._working = 0
        self._server: _Server | None = None

    def counts(self) -> dict[str, Any]:
        """What GET /counts says."""
        names = ("requests", "answered", "responses")
        return {
            **{name: getattr(self, f"n_{name}") for name in names},
            "asked_twice": self.asked_twice,
            "responses_twice": self.responses_twice,
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "faults": dict(self.met),
        }

    def go_down(self) -> None:
        """Stop listening and cut every connection, as a process that dies."""
        assert self._server is not None
        self._server.call(self._server.close())

    def come_back(self) -> None:
        """Listen again on the same port."""
        assert self._server is not None
        self._server.call(self._server.listen())

    # ------------------------------------------------------------------------------------------------------------ requests

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.keep:
            self.asked_for.append(request.path_qs)
        if self.query and request.query_string != self.query:
            return error(404, "Resource not found", "404")
        if request.method == "POST" and request.path in (f"{self.prefix}/chat/completions", "/classify", "/pooling"):
            return await self._complete(request)
        self.probes[request.path] += 1
        match request.path.replace(self.prefix, "/v1", 1):
            case "/v1/models":
                if self.health == "hang":
                    await asyncio.sleep(math.inf)
                known = [{"id": name, "object": "model", "created": 0, "owned_by": "fake"} for name in self.models]
                refused = None if self.open_list else self._refused(request)
                return refused or web.json_response({"object": "list", "data": known})
            case "/health":
                return await self._say_health()
            case "/metrics" if self.metrics:
                return web.Response(text=self._metrics())
            case "/counts":
                return web.json_response(self.counts())
        return error(404, "Not Found", "NotFoundError")

    async def _say_health(self) -> web.Response:
        if self.health == "hang":
            await asyncio.sleep(math.inf)
        return web.Response() if self.health == "up" else error(int(self.health), "not healthy")

    def _metrics(self) -> str:
        """Two gauges as vLLM writes them."""
        model = self.models[0] if self.models else "fake/one"
        gauges = {"running": self._working, "waiting": self._waiting}
        return "".join(
            f"# TYPE vllm:num_requests_{name} gauge\n"
            f'vllm:num_requests_{name}{{engine="0",model_name="{model}"}} {float(value)}\n'
            for name, value in gauges.items()
        )

    def _refused(self, request: web.BaseRequest, model: str | None = None) -> web.Response | None:
        """401 for a wrong key, 404 for a model that it does not serve."""
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return self._error("401", request)
        if any(request.headers.get(name) != value for name, value in self.headers.items()):
            return self._error("401", request)
        if model is not None and self.models and model not in self.models:
            return error(404, f"The model `{model}` does not exist.", "NotFoundError")
        return None

    async def _complete(self, request: web.BaseRequest) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.n_requests += 1
        number = self.n_requests
        if self.keep:
            self.requests.append(body)
            self.arrivals.append(time.monotonic())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if (refused := self._refused(request, body["model"])) is not None:
                return refused
            if not body["messages"]:
                return error(400, "messages: at least one is needed", "BadRequestError")
            if body.get("continue_final_message") and body.get("add_generation_prompt", True):
                message = "Cannot set both `continue_final_message` and `add_generation_prompt` to True."
                return error(400, message, "BadRequestError")
            if unknown := [name for name in self.refuses if name in body]:
                self.met["refused"] += 1
                return self.refusal(unknown[0])
            if self._is_full():
                return await self._meet(self.full, request, body)
            return await self._work(number, request, body)
        finally:
            self.in_flight -= 1

    def _is_full(self) -> bool:
        bounded = self.capacity is not None and self.queue is not None
        return bounded and self._working >= self.capacity and self._waiting >= self.queue

    async def _work(self, number: int, request: web.BaseRequest, body: Body) -> web.StreamResponse:
        """The answer or fault, after its latency, and after its turn where capacity is bounded."""
        if self.capacity is None:
            await self._take_time()
        else:
            places = self._places.setdefault(self.capacity, asyncio.Semaphore(self.capacity))
            self._waiting += 1
            try:
                await places.acquire()
            finally:
                self._waiting -= 1
            try:
                await self._take_time()
            finally:
                places.release()
        fault = self.fault(number, body) or self._by_share()
        if isinstance(fault, web.Response):
            self.met[str(fault.status)] += 1
            return fault
        return body_text(self._answer(body, request.path)) if fault is None else await self._meet(fault, request, body)

    async def _take_time(self) -> None:
        self._working += 1
        try:
            if self.latency_s:
                await asyncio.sleep(self._latency_s())
        finally:
            self._working -= 1

    def _latency_s(self) -> float:
        if self.lognormal:
            return self._random.lognormvariate(math.log(self.latency_s) - SIGMA**2 / 2, SIGMA)
        return self.latency_s

    def _by_share(self) -> str | None:
        if not self.shares:
            return None
        chance = self._random.random()
        for name, share in self.shares.items():
            if chance < share:
                return name
            chance -= share
        return None

    # -------------------------------------------------------------------------------------------------------------- faults

    async def _meet(self, fault: str, request: web.BaseRequest, body: Body) -> web.StreamResponse:
        self.met[fault] += 1
        if fault in ERRORS:
            return self._error(fault, request)
        if fault in ACCOUNT:
            status, said = ACCOUNT[fault]
            return web.json_response(said, status=status)
        whole = self._answer(body, request.path)
        if fault in CHOICES:
            answer = json.loads(whole)
            return web.json_response(answer | {"choices": CHOICES[fault](answer["choices"])})
        if fault in BROKEN:
            return self._paused(body_text(BROKEN[fault](whole) + (self._echo(request) if fault == "html" else "")))
        return await self._break_off(fault, request, whole)

    def _error(self, fault: str, request: web.BaseRequest) -> web.Response:
        status, kind, message = ERRORS[fault]
        response = error(status, message + self._echo(request), kind)
        return self._paused(response) if status in OVERLOADS else response

    def _paused(self, response: web.Response) -> web.Response:
        """With Retry-After, where it says that."""
        if self.retry_after is not None:
            seconds = self.retry_after.removeprefix("date:")
            dated = formatdate(math.ceil(time.time() + float(seconds)), usegmt=True)
            response.headers["Retry-After"] = dated if self.retry_after.startswith("date:") else seconds
        return response

    def _echo(self, request: web.BaseRequest) -> str:
        return f": {request.headers.get('Authorization')}" if self.echo_key else ""

    async def _break_off(self, fault: str, request: web.BaseRequest, whole: str) -> web.StreamResponse:
        if fault.endswith("_middle"):
            response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(whole))})
            await response.prepare(request)
            await response.write(whole[: len(whole) // 2].encode())
        if not fault.startswith("hang") and request.transport is not None:
            if fault.startswith("reset"):
                linger = struct.pack("ii", 1, 0)  # closing then sends RST instead of FIN
                request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            request.transport.abort()
        await asyncio.sleep(math.inf)  # until the connection's end cancels it
        raise AssertionError

    # ------------------------------------------------------------------------------------------------------------- answers

    def _answer(self, body: Body, path: str) -> str:
        """The whole answer as JSON."""
        return self._completion(body) if path.endswith("completions") else self._scores(body, path)

    def _scores(self, body: Body, path: str) -> str:
        """As vLLM's ClassificationResponse and PoolingResponse."""
        self._count([hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()[:8]])
        raw = self.score(body)
        values = raw if isinstance(raw, list) else [raw]
        if body.get("use_activation") is not False or not self.knows_activation:
            values = [1 / (1 + math.exp(-value)) for value in values]
        if path == "/classify":
            data = {"index": 0, "label": "LABEL_0", "probs": values, "num_classes": len(values)}
        else:
            data = {"index": 0, "object": "pooling", "data": values}
        usage = {"prompt_tokens": 11, "total_tokens": 11, "completion_tokens": 0}
        return json.dumps({"id": "x", "object": "list", "created": 1, "model": body["model"], "data": [data], "usage": usage})

    def _completion(self, body: Body) -> str:
        """It is put together from ready pieces, for a benchmark must not wait for it."""
        asked = next(message["content"] for message in reversed(body["messages"]) if message["role"] == "user")
        a, b = ([int(digits) for digits in NUMBER.findall(asked)[:2]] + [0, 0])[:2]
        choices, n_tokens = [], 0
        for number, digest in enumerate(self._digests(body)):
            chance = int.from_bytes(digest[:8], "big")
            said = a + b + chance % 2  # right or one off
            text = f"{a} + {b} = {said} ({chance % 9973}). The answer is {said}."
            n_thoughts = max(0, self.n_chars - len(text)) // len(THOUGHT) if self.n_chars else chance // 7 % 5
            if self.say is not None:
                n_thoughts, text = 0, json.dumps(self.say(body))[1:-1]
            if "stop" in body or body.get("echo"):
                ended = _ended(body, THOUGHTS[n_thoughts] + json.loads(f'"{text}"'))
                n_thoughts, text = 0, json.dumps(ended)[1:-1]
                n_tokens += len(ended.split()) - 10
            choices.append(CHOICE % (number, THOUGHTS[n_thoughts], text))
            n_tokens += 3 * n_thoughts + 10
        whole = WHOLE % (self.n_requests, json.dumps(body["model"]), ", ".join(choices), n_tokens, 11 + n_tokens)
        return whole if self.logprobs is None or not body.get("logprobs") else _with_logprobs(whole, self.logprobs(body))

    def _digests(self, body: Body) -> list[bytes]:
        """What each choice is made from; counts what was given before."""
        prompt = f"{body['model']}/{body['messages']}"
        start, seed = hashlib.sha256(prompt.encode()), body.get("seed", 0)
        digests = [_digest(start, seed + number) for number in range(1 if self.ignore_n else body.get("n", 1))]
        self._count([digest[:8] for digest in digests])
        if not self.copies:
            return digests
        repeats = self.copies == "request" or (self.copies == "once" and prompt not in self._prompts)
        self._prompts.add(prompt)
        if self.copies is True:
            return [start.digest()] * len(digests)
        return digests[:1] * len(digests) if repeats else digests

    def _count(self, keys: list[bytes]) -> None:
        self.n_answered += 1
        self.n_responses += len(keys)
        self.asked_twice += keys[0] in self._given
        self.responses_twice += sum(key in self._given for key in keys)
        self._given.update(keys)


def _ended(body: Body, text: str) -> str:
    """The text up to the first of the request's stop strings, as vLLM ends it; behind the message that it goes on with."""
    ends = [(text.index(stop), stop) for stop in body.get("stop") or () if stop in text]
    if ends:
        at, stop = min(ends)
        text = text[: at + len(stop) * bool(body.get("include_stop_str_in_output"))]
    return body["messages"][-1]["content"] + text if body.get("echo") else text


def _score(body: Body) -> float:
    """A number of a few units that only the conversation decides."""
    digest = hashlib.sha256(json.dumps(body["messages"]).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**29 - 4


def _with_logprobs(whole: str, likely: dict[str, float]) -> str:
    """The first token's, as OpenAI and vLLM write them."""
    answer: Body = json.loads(whole)
    listed = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in likely.items()]
    for choice in answer["choices"]:
        choice["logprobs"] = {"content": [{**listed[0], "top_logprobs": listed}]}
    return json.dumps(answer)


def _digest(start: Any, seed: int) -> bytes:
    """The hash that begins as `start` and ends with the seed."""
    end = start.copy()
    end.update(b"%d" % seed)
    return bytes(end.digest())


NUMBER = re.compile(r"\d+")
THOUGHT = "Let me think. "
THOUGHTS = [THOUGHT * n for n in range(1000)]
CHOICE = (
    '{"index": %d, "message": {"role": "assistant", "content": "%s%s", "refusal": null}, '
    '"logprobs": null, "finish_reason": "stop"}'
)
WHOLE = (
    '{"id": "chatcmpl-%d", "object": "chat.completion", "created": 1, "model": %s, "choices": [%s], '
    '"usage": {"prompt_tokens": 11, "completion_tokens": %d, "total_tokens": %d}}'
)


UPSTREAM: dict[str, Any] = {"message": "upstream broke off", "code": 502}
THINKING_PART: dict[str, Any] = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}


def _parts(choice: Body) -> list[Body]:
    """The text of the choice in two parts."""
    text = choice["message"]["content"]
    return [{"type": "text", "text": text[: len(text) // 2]}, {"type": "text", "text": text[len(text) // 2 :]}]


def openai_refusal(name: str) -> web.Response:
    """A field that is not taken, in OpenAI's words."""
    message = f"Unsupported parameter: '{name}' is not supported with this model."
    return web.json_response({"error": {"message": message, "type": "invalid_request_error", "param": name}}, status=400)


def fastapi_refusal(name: str) -> web.Response:
    """The same in FastAPI's layout."""
    detail = [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": 1}]
    return web.json_response({"detail": detail}, status=422)


def _with(choice: Body, finish_reason: str | None = None, **message: Any) -> Body:
    """The choice with another message."""
    changed = {"message": choice["message"] | message, "finish_reason": finish_reason or choice["finish_reason"]}
    return choice | changed


def error(status: int, message: str, kind: str = "Error") -> web.Response:
    """An error as vLLM writes it, which is OpenAI's shape."""
    return web.json_response({"error": {"message": message, "type": kind, "param": None, "code": status}}, status=status)


def body_text(text: str) -> web.Response:
    """A 200 whose body is the text as it is."""
    return web.Response(body=text.encode(), content_type="application/json")


def first(*faults: Fault) -> Callable[[int, Body], Fault]:
    """A `fault` for the first requests; the others get answers."""
    return lambda number, body: faults[number - 1] if number <= len(faults) else None


# -------------------------------------------------------------------------------------------------------------------- serving


class _Server:
    """The listening socket and its connections, in the loop that it was made in."""

    def __init__(self, fake: Fake, port: int = 0) -> None:
        self.loop = asyncio.get_running_loop()
        self._http = web.Server(fake.handle, handler_cancellation=True, access_log=None)
        self._listener: asyncio.Server | None = None
        self._port = port
        self._fake = fake
        fake._server = self

    async def listen(self) -> None:
        self._listener = await self.loop.create_server(self._http, "127.0.0.1", self._port, backlog=4096)
        self._port = self._listener.sockets[0].getsockname()[1]
        self._fake.url = f"http://127.0.0.1:{self._port}/v1"

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for connection in self._http.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)

    def call(self, coroutine: Any) -> None:
        """Run it in the server's loop, from another thread."""
        asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)


@contextmanager
def running(fake: Served) -> Iterator[Served]:
    """Serve on a free port in a thread of its own."""
    started = threading.Event()
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        ended = asyncio.Event()
        server = _Server(fake)
        await server.listen()
        stop.append(lambda: server.loop.call_soon_threadsafe(ended.set))
        started.set()
        await ended.wait()
        await server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield fake
    finally:
        stop[0]()
        thread.join(10)


def main() -> None:
    parser = argparse.ArgumentParser(description="A fake chat completions endpoint.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0.0, help="the mean")
    parser.add_argument("--lognormal", action="store_true", help=f"latency of that mean, sigma {SIGMA}")
    parser.add_argument("--n-chars", type=int, default=0, help="length of a choice's text")
    parser.add_argument("--capacity", type=int, help="requests worked on at once; others wait")
    parser.add_argument("--queue", type=int, help="requests that may wait; others get 429")
    parser.add_argument("--retry-after", help="seconds, or date:SECONDS")
    parser.add_argument("--ignore-n", action="store_true")
    parser.add_argument("--copies", choices=["once", "request"])
    parser.add_argument("--health", default="up")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=SHARE", help=", ".join(FAULTS))
    options = parser.parse_args()
    shares = {name: float(share) for name, _, share in (fault.partition("=") for fault in options.fault)}
    if unknown := set(shares) - set(FAULTS):
        parser.error(f"no such fault: {', '.join(unknown)}")
    fake = Fake(
        latency_s=options.latency_ms / 1000,
        shares=shares,
        copies=options.copies or False,
        keep=False,
        **{name: getattr(options, name) for name in NAMED},
    )
    gc.set_threshold(100_000)

    async def serve() -> None:
        await _Server(fake, options.port).listen()
        print(fake.url, flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


NAMED = ("lognormal", "n_chars", "capacity", "queue", "retry_after", "ignore_n", "health")

if __name__ == "__main__":
    main()
