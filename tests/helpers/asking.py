"""Asking a fake endpoint through the client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from datakit.client import OPEN, Answer, Client
from tests.helpers.fake_endpoint import Body, Fake


def check(content: Any) -> None:
    """As sampling checks: a list of choices, each an object."""
    choices = content.get("choices") if isinstance(content, dict) else None
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise ValueError(f"not a chat completion: {content!r:.150}")


async def ask(client: Client, number: int = 0) -> Answer:
    messages = [{"role": "user", "content": f"What is {number} + 2?"}]
    return await client.post("/chat/completions", {"model": "fake/one", "messages": messages, "seed": number}, check)


def with_client(fakes: Fake | list[Fake], work: Callable[[Client], Awaitable[Any]], **settings: Any) -> Any:
    """What `work` gives, within a minute."""
    urls = [fake.url for fake in (fakes if isinstance(fakes, list) else [fakes])]
    given: dict[str, Any] = {"access": OPEN, "max_in_flight": 8, "timeout_s": 20.0} | settings

    async def main() -> Any:
        async with Client("fake/one", urls, **given) as client:
            return await asyncio.wait_for(work(client), 60)

    return asyncio.run(main())


def number_of(body: Body) -> int:
    """The A of "What is A + 2?"."""
    return int(body["messages"][-1]["content"].split()[2])
