"""The worker of a `local` source: runs a batch of prompts through a model folder, with a cache of keys and values.

A prompt is read once for all of its samples, and rows that have ended leave the batch. The random number of a token depends
only on the sample's seed and the token's position, so a sample does not depend on the rest of its batch, except for rounding:
logits differ in their last digits between batches of different shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakit.engine.protocol import Worker
from datakit.rewards.local.checkpoint import load_folder
from datakit.rewards.local.conversations import tokenize
from datakit.rewards.local.devices import take_device

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from datakit.tables import Messages, Row, Rows

NUCLEUS = 64  # tokens, the likeliest first, that are tried for top_p; if they do not suffice, all are
COMPACT = 7 / 8  # the batch is compacted when this share of its rows, or less, goes on
STOP_TAIL = 8  # tokens before the last one in which a stop text may begin, in addition to one per character of it
OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED", "DefaultCPUAllocator")  # of CUDA and MPS; of cuBLAS; of the CPU


@dataclass(frozen=True)
class Settings:
    """The fields of recipe.LocalSampling, as in a request."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    max_tokens: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused:
    """The reason why a prompt cannot be answered."""

    error: str
    message: str


@dataclass
class Model:
    """A loaded model folder."""

    model: Any
    tokenizer: PreTrainedTokenizerBase
    batch_size: int
    positions: int = field(init=False)
    ends: Tensor = field(init=False)
    """The token ids that end an answer."""

    def __post_init__(self) -> None:
        import torch

        self.positions = self.model.config.get_text_config().max_position_embeddings
        named = self.model.generation_config.eos_token_id
        named = self.tokenizer.eos_token_id if named is None else named
        self.ends = torch.tensor(named if isinstance(named, list) else [named], device=self.model.device)

    def answer(self, rows: Rows) -> list[Row]:
        """Return one result per row, in order: text, finish_reason, n_prompt_tokens, n_tokens, seed; or error and message.

        A row has messages (a last one of the assistant is the beginning of the answer), settings, equal in all rows, and seeds:
        if the first gives no text, the next is tried. The text is empty if none gives any.
        """
        settings = Settings(**{**rows[0]["settings"], "stop": tuple(rows[0]["settings"].get("stop", ()))})
        prompts = self._encode([row["messages"] for row in rows])
        found: dict[int, Row] = {
            at: {"error": prompt.error, "message": prompt.message}
            for at, prompt in enumerate(prompts)
            if isinstance(prompt, Refused)
        }
        asked = {at: prompt for at, prompt in enumerate(prompts) if not isinstance(prompt, Refused)}
        for attempt in range(len(rows[0]["seeds"])):
            found |= self._answers(asked, {at: rows[at]["seeds"][attempt] for at in asked}, settings)
            asked = {at: prompt for at, prompt in asked.items() if not found[at].get("text", "refused").strip()}
            if not asked or settings.temperature == 0:
                break
        return [found[at] for at in range(len(rows))]

    def _answers(self, prompts: Mapping[int, list[int]], seeds: Mapping[int, int], settings: Settings) -> dict[int, Row]:
        """Return the results by the prompts' numbers; prompts of similar length are answered together."""
        found: dict[int, Row] = {}
        order = sorted(prompts, key=lambda at: len(prompts[at]))
        while order:
            some = order[: self.batch_size]
            made = self._within_memory([prompts[at] for at in some], [seeds[at] for at in some], settings)
            if made is not None:
                found.update(zip(some, made, strict=True))
                order = order[len(some) :]
        return found

    def _encode(self, conversations: Sequence[Messages]) -> list[list[int] | Refused]:
        texts = [self._rendered(messages) for messages in conversations]
        ids = iter(tokenize(self.tokenizer, [text for text in texts if isinstance(text, str)]))
        prompts = [text if isinstance(text, Refused) else next(ids) for text in texts]
        most = self.positions - 1
        return [
            Refused("too_long", f"the prompt has {len(prompt)} tokens, and the model {self.positions} positions")
            if not isinstance(prompt, Refused) and len(prompt) > most
            else prompt
            for prompt in prompts
        ]

    def _rendered(self, messages: Messages) -> str | Refused:
        from jinja2 import TemplateError

        begun = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
        try:
            turns = [{"role": turn["role"], "content": turn["content"]} for turn in (messages[:-1] if begun else messages)]
            text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            (whole := str(text) + begun).encode()
        except TemplateError as error:
            return Refused("template", f"the chat template refuses the conversation: {error}")
        except UnicodeEncodeError as error:
            return Refused("not_unicode", f"the text is not valid Unicode: {error.reason} at character {error.start}")
        return whole

    def _within_memory(self, prompts: list[list[int]], seeds: list[int], settings: Settings) -> list[Row] | None:
        """Return the results of one batch. Return None if memory ran out: batches have half of its rows from then on."""
        import torch

        try:
            with torch.inference_mode():
                made = self._generate(prompts, seeds, settings)
            return [self._result(*one, settings) | {"seed": seed} for one, seed in zip(made, seeds, strict=True)]
        except RuntimeError as error:  # torch.OutOfMemoryError is one; on a CPU it is a plain one
            if not (isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in OUT_OF_MEMORY)):
                raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(prompts) == 1:
            alone = f"{len(prompts[0])} tokens and their answer alone are more than the memory holds; lower sampling.max_tokens"
            return [{"error": "out_of_memory", "message": alone}]
        self.batch_size = len(prompts) // 2
        return None

    def _result(self, n_prompt_tokens: int, ids: list[int], has_ended: bool, settings: Settings) -> Row:
        said = ids[:-1] if ids[-1] in self.ends.tolist() else ids
        text = str(self.tokenizer.decode(said, skip_special_tokens=True))
        if cuts := [at for word in settings.stop if (at := text.find(word)) >= 0]:
            text = text[: min(cuts)]
        reason = "stop" if has_ended else "length"
        return {"text": text, "finish_reason": reason, "n_prompt_tokens": n_prompt_tokens, "n_tokens": len(ids)}

    def _generate(self, prompts: list[list[int]], seeds: list[int], settings: Settings) -> list[tuple[int, list[int], bool]]:
        """Return, for each prompt, its number of tokens, the token ids of its answer, and True if that ended by itself."""
        import torch

        device = self.model.device
        batch = self._read(prompts)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        most = (self.positions - lengths).clamp(max=settings.max_tokens or self.positions)
        made = torch.full((len(prompts), int(most.max())), -1, device=device)
        stopped = torch.zeros(len(prompts), dtype=torch.bool, device=device)
        goes_on = torch.ones(len(prompts), dtype=torch.bool, device=device)
        for step in range(made.shape[1]):
            tokens = choose(penalised(batch.logits, made[batch.rows], settings), batch.rows, seeds, step, settings)
            here = goes_on[batch.rows]
            made[batch.rows[here], step] = tokens[here]
            ended = torch.isin(tokens, self.ends) | self._at_a_stop(made[batch.rows], step, settings.stop)
            stopped[batch.rows] |= ended & here
            goes_on[batch.rows] = here & ~ended & (step + 1 < most[batch.rows])
            if not goes_on.any():
                break
            kept = goes_on[batch.rows].nonzero()[:, 0]
            if len(kept) <= COMPACT * len(batch.rows):
                batch.keep(kept)
                tokens = tokens[kept]
            batch.forward(self.model, tokens[:, None], (lengths[batch.rows, None] + step).clamp(max=self.positions - 1))
        answers = [[token for token in row if token >= 0] for row in made.tolist()]
        return list(zip(lengths.tolist(), answers, stopped.tolist(), strict=True))

    def _read(self, prompts: list[list[int]]) -> Batch:
        """Return the batch after its prompts; equal prompts are read once. Padded on the left, so that answers are aligned."""
        import torch
        from transformers import DynamicCache

        places: dict[tuple[int, ...], int] = {}
        which = [places.setdefault(tuple(prompt), len(places)) for prompt in prompts]
        width = max(map(len, places))
        ids, mask = torch.zeros(len(places), width, dtype=torch.long), torch.zeros(len(places), width, dtype=torch.long)
        for at, prompt in enumerate(places):
            ids[at, width - len(prompt) :] = torch.tensor(prompt)
            mask[at, width - len(prompt) :] = 1
        device = self.model.device
        batch = Batch(DynamicCache(config=self.model.config), mask.to(device)[:, :0], torch.arange(len(places), device=device))
        batch.forward(self.model, ids.to(device), (mask.cumsum(1) - 1).clamp(min=0).to(device), mask.to(device))
        batch.keep(torch.tensor(which, device=device))
        batch.rows = torch.arange(len(prompts), device=device)
        return batch

    def _at_a_stop(self, made: Tensor, step: int, stop: tuple[str, ...]) -> Tensor:
        """Return [B] True for rows that have just written one of the texts at which they stop."""
        import torch

        if not stop:
            return torch.zeros(len(made), dtype=torch.bool, device=made.device)
        begin = max(0, step - STOP_TAIL - max(map(len, stop)))
        tails = [[token for token in row if token >= 0] for row in made[:, begin : step + 1].tolist()]
        texts = self.tokenizer.batch_decode(tails, skip_special_tokens=True)
        return torch.tensor([any(word in text for word in stop) for text in texts], device=made.device)


@dataclass
class Batch:
    """Rows in progress: the cache of what they have read, the next token's logits [B, V], and the row numbers [B]."""

    cache: Any
    mask: Tensor
    rows: Tensor
    logits: Tensor = field(init=False)

    def forward(self, model: Any, ids: Tensor, positions: Tensor, mask: Tensor | None = None) -> None:
        """Read these tokens, [B, T], after the others."""
        import torch

        self.mask = torch.cat([self.mask, torch.ones_like(ids) if mask is None else mask], dim=1)
        inputs = {"input_ids": ids, "position_ids": positions, "attention_mask": self.mask}
        self.logits = model(**inputs, past_key_values=self.cache, use_cache=True, logits_to_keep=1).logits[:, -1]

    def keep(self, places: Tensor) -> None:
        """Keep the rows at these places, in this order; a place may occur several times."""
        self.cache.batch_select_indices(places)
        self.mask, self.rows, self.logits = self.mask[places], self.rows[places], self.logits[places]


def penalised(logits: Tensor, made: Tensor, settings: Settings) -> Tensor:
    """Return the logits [B, V] with OpenAI's two penalties on tokens that the answer [B, T] (-1: none) already has."""
    import torch

    if not (settings.presence_penalty or settings.frequency_penalty):
        return logits
    counts = torch.zeros(len(logits), logits.shape[1] + 1, device=logits.device)
    counts.scatter_add_(1, torch.where(made < 0, logits.shape[1], made), torch.ones_like(made, dtype=counts.dtype))
    counts = counts[:, :-1]
    return logits - settings.presence_penalty * (counts > 0) - settings.frequency_penalty * counts


def choose(logits: Tensor, rows: Tensor, seeds: Sequence[int], step: int, settings: Settings) -> Tensor:
    """Return the next token [B] of each row: the inverse of the cumulative distribution at the row's random number."""
    import torch

    if settings.temperature == 0:
        return logits.argmax(dim=-1)
    scaled = logits.float() / settings.temperature
    ids: Tensor | None = None
    if settings.top_k is not None:
        scaled, ids = scaled.topk(min(settings.top_k, scaled.shape[1]), dim=-1)
    likely = scaled.softmax(dim=-1)
    if settings.top_p < 1 and ids is None:
        likely, ids = _nucleus(likely, settings.top_p)
    sums = likely.double().cumsum(dim=-1)
    if settings.top_p < 1:  # likeliest first: a token whose sum begins below top_p is in
        in_nucleus = sums - likely < settings.top_p
        last = in_nucleus.sum(dim=-1, keepdim=True) - 1
    else:
        last = torch.full_like(sums[:, :1], sums.shape[1] - 1, dtype=torch.long)
    chance = chances([seeds[at] for at in rows.tolist()], step).to(sums.device)
    at = torch.searchsorted(sums, chance[:, None] * sums.gather(1, last), right=True).minimum(last)
    return at[:, 0] if ids is None else ids.gather(1, at)[:, 0]


def _nucleus(likely: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Return enough of the likeliest tokens for top_p, the likeliest first: their probabilities and ids."""
    few, ids = likely.topk(min(NUCLEUS, likely.shape[1]), dim=-1)
    if bool((few.sum(dim=-1) < top_p).any()):
        few, ids = likely.sort(dim=-1, descending=True)
    return few, ids


def chances(seeds: Sequence[int], step: int) -> Tensor:
    """Return a number in [0, 1) per seed, float64: SplitMix64's output number `step` (Steele, Lea, Flood: OOPSLA 2014)."""
    import numpy as np
    import torch

    state = np.array(seeds, dtype=np.uint64) + np.uint64((0x9E3779B97F4A7C15 * (step + 1)) % 2**64)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    return torch.from_numpy((state >> np.uint64(11)).astype(np.float64) / 2**53)


def load(folder: Path, dtype: str | None, devices: list[str], batch_size: int, field: str) -> Model:
    """Load the model folder on the device of this worker process. Raise BadInput if it cannot be used."""
    from transformers import AutoModelForCausalLM

    device: torch.device = take_device(devices, field)
    as_type = dtype or ("float32" if device.type == "cpu" else "auto")
    tokenizer, model = load_folder(folder, AutoModelForCausalLM, as_type, device)
    return Model(model, tokenizer, batch_size)


def sampling_worker(folder: Path, dtype: str | None, devices: list[str], batch_size: int, field: str) -> Worker:
    """Load the model and return the function that answers rows (Model.answer): the start of an Engine's worker."""
    return partial(_answer, load(folder, dtype, devices, batch_size, field))


def _answer(model: Model, rows: Rows) -> Iterator[Row]:
    yield from model.answer(rows)
