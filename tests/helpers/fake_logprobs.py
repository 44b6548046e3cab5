"""Answers of a vLLM server (layout of 0.32) about what prompts say, for a real tokenizer and made-up probabilities."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.helpers.fake_endpoint import Body, Fake, error
from tests.helpers.folders import ROOT

MICRO = ROOT / "data" / "micro"
END = "<|im_end|>"


def rendered(messages: list[dict[str, str]]) -> str:
    """ChatML."""
    return "".join(f"<|im_start|>{one['role']}\n{one['content']}{END}\n" for one in messages)


def logprob_of(token: int, place: int) -> float:
    """Made up, from the token and its place: between -4 and 0."""
    return -4 * int(hashlib.sha256(f"{token}/{place}".encode()).hexdigest()[:8], 16) / 16**8


def with_logprobs(fake: Fake, body: Body, encode: Any) -> Any:
    """The fake's own answer, with the tokens of each choice by their ids, and the likeliest in their places."""
    whole = json.loads(fake._answer(body, "/chat/completions"))
    for choice in whole["choices"]:
        ids = encode(choice["message"]["content"] + END, add_special_tokens=False).ids
        content = []
        for place, token in enumerate(ids):
            top = [(token, logprob_of(token, place)), *((100 + at, -5.0 - at) for at in range(1, body["top_logprobs"]))]
            said = [{"token": f"token_id:{one}", "logprob": logprob, "bytes": None} for one, logprob in top]
            content.append(said[0] | {"top_logprobs": said})
        choice["logprobs"] = {"content": content}
    return web.json_response(whole)


def reader(
    tokenizer: str = "qwen2", most: int = 20, rewrites: str = "\0", fake: Fake | None = None
) -> Callable[[int, Body], Any]:
    """For Fake.fault: what a server says of a request with prompt_logprobs; others get ordinary answers.

    `most`: its --max-logprobs. `rewrites`: texts with this are written otherwise by its template. `fake`: samples have
    logprobs, too, where they are asked for.
    """
    from tokenizers import Tokenizer

    encode = Tokenizer.from_file(str(MICRO / tokenizer / "tokenizer.json")).encode

    def answer(number: int, body: Body) -> Any:
        k = body.get("prompt_logprobs")
        if k is None:
            return with_logprobs(fake, body, encode) if fake is not None and body.get("logprobs") else None
        if k > most:
            return error(400, f"Requested prompt logprobs of {k}, which is greater than max allowed: {most}", "BadRequestError")
        messages = body["messages"]
        if rewrites in messages[-1]["content"]:
            messages = [*messages[:-1], {**messages[-1], "content": messages[-1]["content"].replace(rewrites, "")}]
        ids = encode(rendered(messages), add_special_tokens=False).ids
        entries: list[Any] = [None]
        for place, token in enumerate(ids[1:], start=1):
            others = [(100 + (place * 7 + at) % 300, -0.5 - at) for at in range(k)]
            found = {token: (1, logprob_of(token, place))} if place % 2 else {token: (k + 3, -9.0)}
            for rank, (other, logprob) in enumerate(others, start=2 if place % 2 else 1):
                if other != token and len(found) < k + (0 if place % 2 else 1):
                    found[other] = (rank, logprob)
            entries.append(
                {str(id): {"logprob": logprob, "rank": rank, "decoded_token": "?"} for id, (rank, logprob) in found.items()}
            )
        choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "length"}
        return web.json_response(
            {
                "object": "chat.completion",
                "model": body["model"],
                "choices": [choice],
                "usage": {"prompt_tokens": len(ids), "completion_tokens": 1},
                "prompt_token_ids": ids,
                "prompt_logprobs": entries,
            }
        )

    return answer
