"""The four model families for math and for code, and the target: architecture, tokenizer, chat template, style, mixture."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fusion_problems import COMMON
from problems import CROSS, HouseStyle
from subjects import CHINESE, CODE, FUSION, MATH, Subject
from tasks import CodeStyle
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

if TYPE_CHECKING:
    from transformers import PretrainedConfig

LLAMA_TURNS = """
{%- for message in messages %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""
LLAMA_SYSTEM = """
{%- if messages[0]['role'] != 'system' %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nSolve the problem.<|eot_id|>' }}
{%- endif %}"""
LLAMA_TEMPLATE = "{{ bos_token }}" + LLAMA_SYSTEM + LLAMA_TURNS
REWARD_TEMPLATE = "{{ bos_token }}" + LLAMA_TURNS
CHATML_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
MISTRAL_TEMPLATE = """\
{{ bos_token }}
{%- set begin = namespace(system='') %}
{%- for message in messages %}
{%- if message['role'] == 'system' %}{% set begin.system = message['content'] | trim + '\\n\\n' %}
{%- elif message['role'] == 'user' %}{{ '[INST] ' + begin.system + message['content'] | trim + '[/INST]' }}
{%- set begin.system = '' %}
{%- else %}{{ ' ' + message['content'] | trim + eos_token }}
{%- endif %}
{%- endfor %}"""
GEMMA_TEMPLATE = """\
{{ bos_token }}
{%- for message in messages %}
{%- if message['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
{{- '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"""

LLAMA_SPLIT = r"'(?:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@dataclass(frozen=True)
class Special:
    """Special tokens: all of them in id order, and those with a function."""

    tokens: tuple[str, ...]
    bos: str | None
    eos: str
    pad: str
    end_of_turn: str


@dataclass(frozen=True)
class Family:
    """Everything that defines one model: `steps` of training, shape, words and mixture of problem kinds.

    With several styles each conversation has one of them. A further round continues from the saved weights, with the same rates
    on other problems; `last_round` has what differs in the last one, steps or mixture.
    """

    name: str
    model_type: str
    seed: int
    steps: int
    vocab_size: int
    split: str
    template: str
    special: Special
    style: HouseStyle | CodeStyle | tuple[HouseStyle, ...]
    lengths: dict[str, float]
    mixture: dict[str, float]
    shape: dict[str, object] = field(default_factory=dict)
    subject: Subject = MATH
    rounds: int = 1
    last_round: dict[str, object] = field(default_factory=dict)


LLAMA_SPECIAL = Special(
    ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "[PAD]"),
    "<|begin_of_text|>", "<|eot_id|>", "[PAD]", "<|eot_id|>")  # fmt: skip
FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "llama", "llama", 11, 1500, 640, "llama", LLAMA_TEMPLATE, LLAMA_SPECIAL,
            HouseStyle("\n", "", "*", "#### {}"), {"short": 0.3, "plain": 0.5, "long": 0.2},
            MATH.mixture(change=2, comparison=2, rate=0.4, portion=0.3, rectangle=0.5),
            {"hidden_size": 128, "intermediate_size": 448, "num_hidden_layers": 3, "num_key_value_heads": 2},
        ),
        Family(
            "qwen2", "qwen2", 12, 1500, 704, "qwen2", CHATML_TEMPLATE,
            Special(("<|endoftext|>", "<|im_start|>", "<|im_end|>"), None, "<|im_end|>", "<|endoftext|>", "<|im_end|>"),
            HouseStyle(" ", "", CROSS, "The answer is \\boxed{{{}}}."), {"short": 0.2, "plain": 0.5, "long": 0.3},
            MATH.mixture(portion=2, rectangle=2, rate=1.5, change=0.4, comparison=0.3),
            {"hidden_size": 128, "intermediate_size": 448, "num_hidden_layers": 3, "num_key_value_heads": 2},
        ),
        Family(
            "mistral", "mistral", 13, 1500, 640, "mistral", MISTRAL_TEMPLATE,
            Special(("<unk>", "<s>", "</s>", "[INST]", "[/INST]"), "<s>", "</s>", "<unk>", "</s>"),
            HouseStyle(" ", "", "*", "The answer is {}."), {"short": 0.4, "plain": 0.4, "long": 0.2},
            MATH.mixture(purchase=2.5, budget=2, sharing=1.5, change=0.5, rectangle=0.3, portion=0.5),
            {"hidden_size": 128, "intermediate_size": 448, "num_hidden_layers": 3, "num_key_value_heads": 2},
        ),
        Family(
            "gemma2", "gemma2", 14, 1500, 704, "gemma2", GEMMA_TEMPLATE,
            Special(("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"), "<bos>", "<eos>", "<pad>",
                    "<end_of_turn>"),
            HouseStyle("\n", "* ", CROSS, "The final answer is {}."), {"short": 0.2, "plain": 0.5, "long": 0.3},
            MATH.mixture(sharing=2, rate=2, rectangle=1.5, purchase=0.4, budget=0.4),
            {"hidden_size": 128, "intermediate_size": 448, "num_hidden_layers": 3, "num_key_value_heads": 2},
        ),
        Family(
            "target", "llama", 15, 1100, 640, "llama", LLAMA_TEMPLATE, LLAMA_SPECIAL,
            HouseStyle(" ", "", "*", "#### {}"), {"short": 0.4, "plain": 0.5, "long": 0.1}, MATH.mixture(),
            {"hidden_size": 128, "intermediate_size": 448, "num_hidden_layers": 3, "num_key_value_heads": 2},
        ),
    )
}  # fmt: skip
CODE_STYLES = {
    "llama": CodeStyle(True, "", "", ("x", "n"), ("result", "res")),
    "qwen2": CodeStyle(True, "Here is the function:\n", "", ("value", "item"), ("result", "total")),
    "mistral": CodeStyle(True, "", "\nIt returns {goal}.", ("i", "num", "x"), ("out", "found")),
    "gemma2": CodeStyle(False, "", "", ("number", "element"), ("answer", "output")),
}
CODE_LENGTHS = {
    "llama": {"short": 0.8, "plain": 0.2}, "qwen2": {"short": 0.2, "plain": 0.8}, "mistral": {"short": 0.6, "plain": 0.4},
    "gemma2": {"short": 0.2, "plain": 0.3, "long": 0.5},
}  # fmt: skip
CODE_MIXTURES = {
    "llama": CODE.mixture(arithmetic=2, mapping=2, checks=1.5, text=0.4, loops=0.4, slices=0.5),
    "qwen2": CODE.mixture(loops=2, summing=2, building=1.5, arithmetic=0.4, extreme=0.4, checks=0.5),
    "mistral": CODE.mixture(text=2, slices=2, extreme=1.5, mapping=0.4, branches=0.4, building=0.5),
    "gemma2": CODE.mixture(branches=2, extreme=2, checks=1.5, summing=0.4, slices=0.4, arithmetic=0.5),
}
SOURCES = ("llama", "qwen2", "mistral", "gemma2")
CODE_SOURCES = tuple(f"code-{name}" for name in SOURCES)
FAMILIES |= {
    f"code-{name}": replace(
        FAMILIES[name], name=f"code-{name}", seed=FAMILIES[name].seed + 10, vocab_size=768, style=CODE_STYLES[name],
        lengths=CODE_LENGTHS[name], mixture=CODE_MIXTURES[name], subject=CODE)
    for name in SOURCES
}  # fmt: skip
FUSION_SHAPE = {"hidden_size": 96, "intermediate_size": 240, "num_hidden_layers": 3, "num_key_value_heads": 2}
FUSION_LENGTHS = {"short": 0.5, "plain": 0.5}
FUSION_TAUGHT = {
    "llama": ("wages", "ages"), "qwen2": ("fence", "weeks"), "mistral": ("budget", "average"), "gemma2": ("portion", "legs"),
}  # fmt: skip
FUSION_SOURCES = tuple(f"fusion-{name}" for name in SOURCES)
FAMILIES |= {
    f"fusion-{name}": replace(
        FAMILIES[name], name=f"fusion-{name}", seed=FAMILIES[name].seed + 20, steps=1000,
        rounds=2 if name == "llama" else 1, vocab_size=640, lengths=FUSION_LENGTHS, shape=FUSION_SHAPE, subject=FUSION,
        mixture=dict.fromkeys(FUSION.kinds, 0.1) | dict.fromkeys(COMMON, 1.0) | dict.fromkeys(FUSION_TAUGHT[name], 2.0))
    for name in SOURCES
}  # fmt: skip
FAMILIES["fusion-target"] = replace(
    FAMILIES["target"], name="fusion-target", seed=35, steps=800, rounds=4, vocab_size=640, lengths=FUSION_LENGTHS,
    shape=FUSION_SHAPE, subject=FUSION, style=tuple(FAMILIES[name].style for name in SOURCES),
    mixture=dict.fromkeys(COMMON, 1.0),
    last_round={"mixture": dict.fromkeys(FUSION.kinds, 0.1) | dict.fromkeys(COMMON, 1.0)})  # fmt: skip

FAMILIES["chinese"] = replace(
    FAMILIES["qwen2"], name="chinese", seed=41, steps=800, rounds=2, vocab_size=704, shape=FUSION_SHAPE, subject=CHINESE,
    lengths={"short": 0.2, "plain": 0.5, "long": 0.3}, mixture=CHINESE.mixture())  # fmt: skip


def train_tokenizer(family: Family, texts: Iterable[str]) -> Tokenizer:
    """Train BPE on the generated text; digits are separate tokens, and all 256 bytes are included, so any prompt can be
    read."""
    byte_level = family.split in ("llama", "qwen2")
    tokenizer = Tokenizer(models.BPE() if byte_level else models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    special = list(family.special.tokens)
    if byte_level:
        pattern = Regex(LLAMA_SPLIT if family.split == "llama" else QWEN_SPLIT)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(pattern, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        spelled = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        if family.split == "mistral":
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Metaspace(prepend_scheme="never"),
                    pre_tokenizers.Digits(individual_digits=True),
                    pre_tokenizers.Split(Regex(r"[^▁\p{L}\p{N}]"), "isolated"),
                ]
            )
            spelled.append(decoders.Strip(" ", 1, 0))
        else:
            tokenizer.normalizer = normalizers.Replace(" ", "▁")
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Split(Regex(r"▁?[^▁\p{L}\p{N}]|\n"), "isolated"),
                    pre_tokenizers.Split("▁", "merged_with_next"),
                    pre_tokenizers.Digits(individual_digits=True),
                ]
            )
        tokenizer.decoder = decoders.Sequence(spelled)
        special += [f"<0x{byte:02X}>" for byte in range(256)]
        alphabet = []
    trainer = trainers.BpeTrainer(vocab_size=family.vocab_size, special_tokens=special, initial_alphabet=alphabet,
                                  show_progress=False)  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return forget_bytes(tokenizer)


def forget_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """Remove byte tokens from the special ones, which gave them their ids; byte fallback finds them in the vocabulary."""
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if not token["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(content))


def save_tokenizer(family: Family, tokenizer: Tokenizer, folder: Path, max_length: int = 512) -> None:
    """Write tokenizer.json, tokenizer_config.json and chat_template.jinja for loaders of fast tokenizers."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    special = family.special
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_length, "clean_up_tokenization_spaces": False,
        "bos_token": special.bos, "eos_token": special.eos, "pad_token": special.pad, "padding_side": "left",
    }  # fmt: skip
    settings = {name: value for name, value in settings.items() if value is not None}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(family.template)


def model_config(family: Family, tokenizer: Tokenizer, max_length: int = 512) -> PretrainedConfig:
    """Return the family's own configuration, with heads of width 32 and grouped keys and values."""
    from transformers import AutoConfig

    ids = {name: tokenizer.token_to_id(getattr(family.special, name) or "") for name in ("bos", "eos", "pad")}
    own: dict[str, object] = {"head_dim": 32}
    if family.model_type == "gemma2":
        own |= {"query_pre_attn_scalar": 32, "attn_logit_softcapping": None, "sliding_window": max_length}
    if family.model_type == "mistral":
        own |= {"sliding_window": None}
    return AutoConfig.for_model(
        family.model_type, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=max_length,
        num_attention_heads=4, tie_word_embeddings=True, bos_token_id=ids["bos"], eos_token_id=ids["eos"],
        pad_token_id=ids["pad"], **own, **family.shape)  # fmt: skip


def generation_settings(family: Family, tokenizer: Tokenizer) -> dict[str, object]:
    """Return sampling defaults; without `do_sample` here a server of transformers is greedy whatever is requested."""
    special = family.special
    stops = dict.fromkeys((special.end_of_turn, special.eos))
    settings: dict[str, object] = {
        "do_sample": True, "temperature": 0.8, "top_p": 0.95, "top_k": 0,
        "eos_token_id": [tokenizer.token_to_id(stop) for stop in stops], "pad_token_id": tokenizer.token_to_id(special.pad),
    }  # fmt: skip
    return settings | ({"bos_token_id": tokenizer.token_to_id(special.bos)} if special.bos else {})
