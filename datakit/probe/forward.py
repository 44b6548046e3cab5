"""The worker of a local reading: runs texts through a model folder, each as the last turn of its conversation.

One forward pass per batch gives, for every token of an answer, its log-probability and the likeliest tokens at its place. Rows
are padded on the right, where causal attention keeps the padding from affecting them; logits are computed only for the span
of the answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakit.engine.protocol import Worker
from datakit.rewards.local.checkpoint import load_folder
from datakit.rewards.local.conversations import tokenize
from datakit.rewards.local.devices import take_device
from datakit.tokens.answer import Answer, locate, row_of
from datakit.tokens.vocabulary import Vocabulary, read_vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from datakit.tables import Messages, Row, Rows

LOGITS = 2**26  # logits in a batch at first, padding included: 256 MB in float32
NOT_FOUND = "the model's chat template or tokenizer writes the text differently, so its tokens cannot be found"
OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED", "DefaultCPUAllocator")  # of CUDA and MPS; of cuBLAS; of the CPU


@dataclass(frozen=True)
class Tokens:
    """A conversation, and the place of the answer in it."""

    at: int
    ids: list[int]
    answer: Answer
    n_bytes: int


@dataclass
class Reader:
    """A loaded model folder."""

    model: Any
    tokenizer: PreTrainedTokenizerBase
    vocabulary: Vocabulary
    top_k: int
    arguments: Mapping[str, Any]
    """The arguments of the chat template."""
    numbers: int = LOGITS

    def read(self, rows: Rows) -> list[Row]:
        """Return one result per row, in order: the columns of `distributions` without the key, or error and message.

        A row has messages, which end with the prompt, and text without white space at its ends.
        """
        found: dict[int, Row] = {}
        encoded: list[Tokens] = []
        for at, row in enumerate(rows):
            tokens = self._encode(at, row["messages"], row["text"])
            if isinstance(tokens, Tokens):
                encoded.append(tokens)
            else:
                found[at] = tokens
        encoded.sort(key=lambda tokens: len(tokens.ids))
        size = self.model.get_output_embeddings().weight.shape[0]
        while encoded:
            n = max(1, sum(1 for at, one in enumerate(encoded) if (at + 1) * len(one.ids) * size <= self.numbers))
            made = self._within_memory(encoded[:n])
            if made is not None:
                found |= dict(zip((tokens.at for tokens in encoded[:n]), made, strict=True))
                encoded = encoded[n:]
        return [found[at] for at in range(len(rows))]

    def _encode(self, at: int, messages: Messages, text: str) -> Tokens | Row:
        from jinja2 import TemplateError

        turns = [{"role": turn["role"], "content": turn["content"]} for turn in messages]
        turns.append({"role": "assistant", "content": text})
        try:
            whole = str(self.tokenizer.apply_chat_template(turns, tokenize=False, **self.arguments))
            answer_bytes, _ = text.encode(), whole.encode()
        except TemplateError as error:
            return {"error": "template", "message": f"the chat template refuses the conversation: {error}"}
        except UnicodeEncodeError as error:
            said = f"the text is not valid Unicode: {error.reason} at character {error.start}"
            return {"error": "not_unicode", "message": said}
        (ids,) = tokenize(self.tokenizer, [whole])
        positions = self.model.config.get_text_config().max_position_embeddings
        if len(ids) > positions:
            return {
                "error": "too_long",
                "message": f"{len(ids)} tokens with the prompt, and the model has {positions} positions",
            }
        answer = locate(ids, self.vocabulary, answer_bytes)
        if answer is None or answer.first == 0:
            return {"error": "not_found", "message": NOT_FOUND}
        return Tokens(at, ids, answer, len(answer_bytes))

    def _within_memory(self, batch: Sequence[Tokens]) -> list[Row] | None:
        """Return the results of one batch. Return None if memory ran out: batches are half as large from then on."""
        import torch

        try:
            with torch.inference_mode():
                return self._forward(batch)
        except RuntimeError as error:  # torch.OutOfMemoryError is one; on a CPU it is a plain one
            if not (isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in OUT_OF_MEMORY)):
                raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(batch) == 1:
            alone = f"{len(batch[0].ids)} tokens alone are more than the memory holds"
            return [{"error": "out_of_memory", "message": alone}]
        self.numbers //= 2
        return None

    def _forward(self, batch: Sequence[Tokens]) -> list[Row]:
        import torch

        device = self.model.device
        ids = torch.zeros(len(batch), max(len(row.ids) for row in batch), dtype=torch.long)
        for line, row in zip(ids, batch, strict=True):
            line[: len(row.ids)] = torch.tensor(row.ids)
        begin = min(row.answer.first for row in batch) - 1  # the logits at a place are of the next token
        end = max(row.answer.last for row in batch) - 1
        places = torch.arange(begin, end, device=device)
        logits = self.model(input_ids=ids.to(device), use_cache=False, logits_to_keep=places).logits
        made = []
        for row, of_row in zip(batch, logits, strict=True):
            answer = row.answer
            logprobs = of_row[answer.first - 1 - begin : answer.last - 1 - begin].float().log_softmax(-1)
            gold = torch.tensor(row.ids[answer.first : answer.last], device=device)
            own = logprobs.gather(1, gold[:, None])[:, 0].tolist()
            values, top = logprobs.topk(min(self.top_k, logprobs.shape[1]), dim=-1)
            pairs = [list(zip(*both, strict=True)) for both in zip(top.tolist(), values.tolist(), strict=True)]
            made.append(row_of(row.ids, answer, row.n_bytes, own, pairs))
        return made


def reading_worker(
    folder: Path,
    tokenizer: Path,
    dtype: str | None,
    devices: list[str],
    top_k: int,
    arguments: Mapping[str, Any],
    field: str,
) -> Worker:
    """Load the model and return the function that reads rows (Reader.read): the start of an Engine's worker.

    `field`: the recipe's field for the devices, for messages."""
    from transformers import AutoModelForCausalLM

    device = take_device(devices, field)
    as_type = dtype or ("float32" if device.type == "cpu" else "auto")
    found, model = load_folder(folder, AutoModelForCausalLM, as_type, device)
    vocabulary = read_vocabulary(tokenizer.read_text(encoding="utf-8"), str(tokenizer))
    return partial(_read, Reader(model, found, vocabulary, top_k, arguments))


def _read(reader: Reader, rows: Rows) -> Iterator[Row]:
    yield from reader.read(rows)
