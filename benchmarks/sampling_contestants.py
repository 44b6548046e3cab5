"""The contestants of `sampling.py` beside datakit, each in a separate process of the interpreter that has it installed.

    python benchmarks/sampling_contestants.py NAME URL PROMPTS N IN_FLIGHT OUT

asks the endpoint for N choices to each question of PROMPTS (JSON lines) and leaves in OUT what its user would get: for
`plain` and `raw` JSON lines, one per choice; for `distilabel` and `curator` their own dataset, and the same lines.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

MODEL = "fake/one"
SAMPLING = {"temperature": 0.8, "max_tokens": 256}
Ask = Callable[[dict[str, Any]], Awaitable[list[tuple[str, str]]]]
"""Sends the body of one request; returns text and finish_reason of each choice."""


def questions(prompts: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of the prompts file."""
    with prompts.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file)


async def plain(url: str, prompts: Path, n: int, in_flight: int, out: Path) -> None:
    """A worker loop over `AsyncOpenAI` with its aiohttp transport: the usual script, and the SDK's practical limit."""
    import httpx2
    from openai import AsyncOpenAI, DefaultAioHttpClient

    limits = httpx2.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    async with AsyncOpenAI(base_url=url, api_key="none", http_client=DefaultAioHttpClient(limits=limits)) as client:

        async def ask(body: dict[str, Any]) -> list[tuple[str, str]]:
            answer = await client.chat.completions.create(**body)
            return [(choice.message.content, choice.finish_reason) for choice in answer.choices]

        await work(ask, prompts, n, in_flight, out)


async def raw(url: str, prompts: Path, n: int, in_flight: int, out: Path) -> None:
    """The same loop over aiohttp and `json.loads`: the limit of what Python can do."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:

        async def ask(body: dict[str, Any]) -> list[tuple[str, str]]:
            async with session.post(f"{url}/chat/completions", json=body) as response:
                response.raise_for_status()
                answer = json.loads(await response.read())
            return [(choice["message"]["content"], choice["finish_reason"]) for choice in answer["choices"]]

        await work(ask, prompts, n, in_flight, out)


async def work(ask: Ask, prompts: Path, n: int, workers: int, out: Path) -> None:
    """Run workers that take the next question, ask, and append JSON lines; nothing is retried."""
    rows = questions(prompts)
    with out.open("w", encoding="utf-8") as file:

        async def worker() -> None:
            for row in rows:
                messages = [{"role": "user", "content": row["question"]}]
                body = {"model": MODEL, "messages": messages, "n": n, "seed": hash(row["id"]) & 0x7FFFFFFF, **SAMPLING}
                write(file, row["id"], await ask(body))

        await asyncio.gather(*(worker() for _ in range(workers)))


def write(file: TextIO, prompt_id: str, choices: list[tuple[str, str]]) -> None:
    """Write one line per choice."""
    for index, (text, reason) in enumerate(choices):
        file.write(json.dumps({"prompt_id": prompt_id, "sample_index": index, "text": text, "finish_reason": reason}) + "\n")


def distilabel(url: str, prompts: Path, n: int, batch: int, out: Path) -> None:
    """distilabel's TextGeneration; `batch` is its input_batch_size, all of which is requested at once."""
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps import LoadDataFromDicts
    from distilabel.steps.tasks import TextGeneration

    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it silences httpx, which the SDK used before: one line per request
    settings = {"temperature": SAMPLING["temperature"], "max_new_tokens": SAMPLING["max_tokens"]}
    with Pipeline("sampling", cache_dir=out.parent / "distilabel-cache") as pipeline:
        rows = [{"instruction": row["question"], "id": row["id"]} for row in questions(prompts)]
        load = LoadDataFromDicts(data=rows, batch_size=batch)
        model = OpenAILLM(model=MODEL, base_url=url, api_key="none", generation_kwargs=settings)
        load >> TextGeneration(llm=model, num_generations=n, input_batch_size=batch, group_generations=True)
    dataset = pipeline.run(use_cache=False)["default"]["train"]
    with out.open("w", encoding="utf-8") as file:
        for row in dataset.select_columns(["id", "generation"]):
            write(file, row["id"], [(text, "") for text in row["generation"] or [] if text])


def curator(url: str, prompts: Path, n: int, in_flight: int, out: Path) -> None:
    """curator's LLM with as many requests in flight, without effective rate limits, one row per choice."""
    from bespokelabs import curator as library
    from datasets import Dataset

    class Sampler(library.LLM):  # type: ignore[misc]
        return_completions_object = True

        def prompt(self, row: dict[str, str]) -> str:
            return row["question"]

        def parse(self, row: dict[str, str], answer: dict[str, Any]) -> list[dict[str, str]]:
            return [{"id": row["id"], "text": choice["message"]["content"]} for choice in answer["choices"]]

    limits = {"max_concurrent_requests": in_flight, "max_requests_per_minute": 10**8, "max_tokens_per_minute": 10**12}
    model = Sampler(
        model_name=MODEL,
        backend="openai",
        generation_params={"n": n, **SAMPLING},
        backend_params={"base_url": url, "api_key": "none", **limits},
    )
    answered = model(Dataset.from_list(list(questions(prompts))), working_dir=str(out.parent / "curator-cache"))
    with out.open("w", encoding="utf-8") as file:
        for row in answered.dataset:
            write(file, row["id"], [(row["text"], "")])


def curator_environment() -> None:
    """Set up curator: tokens are counted with the vocabulary in litellm, which tiktoken would fetch; no telemetry."""
    from importlib.util import find_spec

    if (litellm := find_spec("litellm")) and litellm.origin:
        os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(litellm.origin).parent / "litellm_core_utils" / "tokenizers")
    os.environ |= {"TELEMETRY_ENABLED": "false", "HF_HUB_OFFLINE": "1", "CURATOR_VIEWER": "0"}


def main() -> int:
    """Run one contestant to its end."""
    name, url, prompts, n, in_flight, out = sys.argv[1:]
    match name:
        case "plain" | "raw":
            asyncio.run({"plain": plain, "raw": raw}[name](url, Path(prompts), int(n), int(in_flight), Path(out)))
        case "distilabel":
            distilabel(url, Path(prompts), int(n), int(in_flight), Path(out))
        case "curator":
            curator_environment()
            curator(url, Path(prompts), int(n), int(in_flight), Path(out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
