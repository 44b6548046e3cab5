"""Turn a conversation into a model's tokens: chat template, tokenizer, and the limit on its length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from datakit.rewards.protocol import Score, no_score
from datakit.tables import Messages

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Tokens:
    """A conversation as tokens. `header` is the index at which its last assistant header begins (or, if that starts with the
    token that ends the turn before, that token's index).

    `n_cut` tokens have been left out.
    """

    ids: list[int]
    header: int
    n_cut: int = 0


@dataclass(frozen=True)
class Limit:
    """How long a conversation may be, in tokens, and how a longer one is treated."""

    max_tokens: int
    truncate: Literal["never", "left"] = "never"

    def fit(self, tokens: Tokens, bos: int | None) -> Tokens | Score:
        """Return the conversation if it fits, else a Score with the error `too_long`.

        With truncate: left, its oldest tokens are cut: never the beginning-of-text token, nor anything from the last assistant
        header on.
        """
        excess = len(tokens.ids) - self.max_tokens
        if excess <= 0:
            return tokens
        if self.truncate == "never":
            message = f"{len(tokens.ids)} tokens are more than the limit of {self.max_tokens}; truncate: left cuts the oldest"
            return no_score("too_long", message)
        kept = 1 if tokens.ids[0] == bos else 0
        if tokens.header < kept + excess:
            answer = len(tokens.ids) - tokens.header
            return no_score(
                "too_long", f"the answer alone has {answer} tokens, more than the limit of {self.max_tokens} allows"
            )
        return Tokens(tokens.ids[:kept] + tokens.ids[kept + excess :], tokens.header - excess, excess)


def render_all(tokenizer: PreTrainedTokenizerBase, conversations: Sequence[Messages]) -> list[str | Score]:
    """Return each conversation as the model's chat template writes it, or a Score with an error.

    Errors: `no_answer`: it does not end with an assistant's turn; `template`: the template refuses it; `not_unicode`.
    """
    return [_rendered(tokenizer, messages) for messages in conversations]


def _rendered(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> str | Score:
    from jinja2 import TemplateError

    if not messages or messages[-1]["role"] != "assistant":
        return no_score("no_answer", "the conversation does not end with an assistant's answer")
    try:
        text = render(tokenizer, messages)
        text.encode()
    except TemplateError as error:
        return no_score("template", f"the chat template refuses the conversation: {error}")
    except UnicodeEncodeError as error:
        return no_score("not_unicode", f"the text is not valid Unicode: {error.reason} at character {error.start}")
    return text


def render(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> str:
    """Return the conversation as its model's chat template writes it."""
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in messages]
    return str(tokenizer.apply_chat_template(turns, tokenize=False))


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], add_special_tokens: bool = False) -> list[list[int]]:
    """Return the token ids of each text, never truncated."""
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(
        list(texts),
        add_special_tokens=add_special_tokens,
        truncation=False,
        verbose=False,
        return_attention_mask=False,
        return_token_type_ids=False,
    )["input_ids"]
    return ids
