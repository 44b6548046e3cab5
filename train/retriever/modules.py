"""Retriever and generator in one module: two BERT encoders whose dot product ranks entities, and a T5 that answers.

The generator encodes the conversation with each retrieved entity separately. For the response's likelihood its decoder attends
to all of these encodings (fusion-in-decoder, arXiv 2007.01282), for the marginal likelihood to one at a time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import TrainError
from train.retriever.meta import TOKENS

if TYPE_CHECKING:
    from torch import Tensor

FILE = "retriever.json"
SCRATCH = "scratch"


@dataclass(frozen=True)
class Described:
    """The contents of retriever.json: the settings that users of the folder must share with the training."""

    columns: list[str]
    spellings: dict[str, str]
    max_length: int
    """Tokens that an encoder reads; of a conversation the last ones."""
    top: int
    confidence: list[float]


@dataclass(frozen=True)
class Size:
    """The size of models from scratch."""

    hidden: int = 128
    layers: int = 2
    heads: int = 4


def make_tokenizer(texts: Sequence[str]) -> Any:
    """Return a tokenizer of lowercase words and single signs, with all that occur in these texts except , ; and :."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase, Replace
    from tokenizers.normalizers import Sequence as InTurn
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from tokenizers.trainers import WordLevelTrainer
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "</s>", "<unk>", *TOKENS]
    made: Any = Tokenizer(WordLevel(unk_token="<unk>"))
    made.normalizer = InTurn([Lowercase(), Replace(Regex("[,;:]"), " ")])
    made.pre_tokenizer = BertPreTokenizer()
    made.train_from_iterator(texts, WordLevelTrainer(special_tokens=special))
    made.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    kind: Any = PreTrainedTokenizerFast
    return kind(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", cls_token="</s>",
        additional_special_tokens=TOKENS, clean_up_tokenization_spaces=False,
    )  # fmt: skip


def make_encoder(name: str, tokenizer: Any, size: Size, max_length: int) -> tuple[Any, Any]:
    """Return a BERT and its tokenizer: a new one with `tokenizer`, or those of a folder or hub id."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    if name == SCRATCH:
        config = BertConfig(
            vocab_size=len(tokenizer), hidden_size=size.hidden, num_hidden_layers=size.layers, num_attention_heads=size.heads,
            intermediate_size=4 * size.hidden, max_position_embeddings=max_length, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        return BertModel(config, add_pooling_layer=False), tokenizer
    with _refusals("--encoder", name):
        return BertModel.from_pretrained(name, add_pooling_layer=False), AutoTokenizer.from_pretrained(name)


def make_generator(name: str, tokenizer: Any, size: Size) -> tuple[Any, Any]:
    """Return a T5 and its tokenizer, to which the tokens of meta knowledge are added."""
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    if name == SCRATCH:
        settings: Any = T5Config
        config = settings(
            vocab_size=len(tokenizer), d_model=size.hidden, d_kv=size.hidden // size.heads, d_ff=4 * size.hidden,
            num_layers=size.layers, num_heads=size.heads, dropout_rate=0.1, decoder_start_token_id=tokenizer.pad_token_id,
            pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        )  # fmt: skip
        return T5ForConditionalGeneration(config), tokenizer
    with _refusals("--generator", name):
        model, own = T5ForConditionalGeneration.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    if own.add_special_tokens({"additional_special_tokens": TOKENS}):
        model.resize_token_embeddings(len(own))
    return model, own


class _refusals:
    """A context in which errors of transformers become TrainErrors that name the flag."""

    def __init__(self, flag: str, name: str) -> None:
        self.flag, self.name = flag, name

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError | ValueError):
            why = " ".join(str(error).split())[:300]
            raise TrainError(f"{self.flag} {self.name}: neither a model folder nor available from the hub ({why})") from None


@cache
def module_class() -> Any:
    """Return the class of the whole model; it is made here so that importing this file does not import torch."""
    from torch import nn
    from transformers.modeling_outputs import BaseModelOutput

    class Dialogue(nn.Module):
        """The whole model. context_encoder, entity_encoder: BertModel; generator: T5ForConditionalGeneration."""

        _keys_to_ignore_on_save = ("generator.encoder.embed_tokens.weight", "generator.decoder.embed_tokens.weight",
                                   "generator.lm_head.weight")  # fmt: skip

        def __init__(self, context_encoder: Any, entity_encoder: Any, generator: Any) -> None:
            super().__init__()
            self.context_encoder, self.entity_encoder, self.generator = context_encoder, entity_encoder, generator
            self.tie_weights = generator.tie_weights  # called when a checkpoint without the tied weights is loaded

        def forward(self, compute: Any) -> Any:
            """Return `compute(self)`. So the trainer's computation runs inside the module that accelerate may have wrapped."""
            return compute(self)

        def embed(self, which: str, tokens: dict[str, Tensor]) -> Tensor:
            """Return the mean of each text's states, [N, D], scaled so that a dot product does not grow with D."""
            states, mask = getattr(self, which)(**tokens).last_hidden_state, tokens["attention_mask"][..., None]
            found: Tensor = (states * mask).sum(dim=1) / mask.sum(dim=1) / states.shape[2] ** 0.25
            return found

        def read(self, tokens: dict[str, Tensor]) -> Tensor:
            """Return the generator's encodings of texts, each an entity with its conversation: [N, T, D]."""
            states: Tensor = self.generator.encoder(**tokens).last_hidden_state
            return states

        def logits(self, states: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
            """Return the logits of responses, [N, L, V], given encodings [N, T, D] and labels [N, L]."""
            given = BaseModelOutput(last_hidden_state=states)
            found: Tensor = self.generator(encoder_outputs=given, attention_mask=mask, labels=labels).logits
            return found

    return Dialogue


def respond(module: Any, states: Tensor, mask: Tensor, most: int, **how: Any) -> Any:
    """Generate responses of at most `most` tokens, [N, L], from the encodings [N, T, D] of all retrieved entities."""
    from transformers.modeling_outputs import BaseModelOutput

    how = {"do_sample": False, "num_beams": 1, "max_new_tokens": most, **how}
    given = BaseModelOutput(last_hidden_state=states)
    return module.generator.generate(encoder_outputs=given, attention_mask=mask, **how)


def save(module: Any, tokenizers: dict[str, Any], described: Described, out: Path) -> None:
    """Write the folder that `retriever:` takes: retriever.json, and model folders context_encoder, entity_encoder,
    generator."""
    for name, tokenizer in tokenizers.items():
        getattr(module, name).save_pretrained(out / name)
        tokenizer.save_pretrained(out / name)
    (out / FILE).write_text(json.dumps(asdict(described), indent=2) + "\n", encoding="utf-8")
