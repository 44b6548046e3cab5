"""The distributions that come with a sample, in vLLM's layout."""

import pytest

from datakit.tokens import SampledReader

VOCABULARY = [None, b"1", b"0", b" + ", b"12", b"\n", None]
READER = SampledReader({"model": "m"}, VOCABULARY, 2)


def entry(token, logprob, **top):
    said = [{"token": f"token_id:{name[1:]}", "logprob": one} for name, one in top.items()]
    return {"token": f"token_id:{token}", "logprob": logprob, "top_logprobs": said}


CONTENT = [entry(5, -0.1, _5=-0.1, _1=-3.0), entry(4, -0.7, _4=-0.7, _1=-0.2), entry(6, -0.3, _6=-0.3, _2=-1.5)]


def test_a_choice_becomes_a_row():
    """White space in front is no part of the text; the likeliest stand first, the token itself where it is."""
    assert READER.read({"logprobs": {"content": CONTENT}}, "\n12") == {
        "token_ids": [4, 6], "ends": [2, 2], "token_logprobs": [-0.7, -0.3], "n_bytes": 2, "nll": pytest.approx(1.0),
        "top_ids": [1, 4, 6, 2], "top_logprobs": [-0.2, -0.7, -0.3, -1.5],
    }  # fmt: skip
    assert READER.fields == {"logprobs": True, "top_logprobs": 2, "return_tokens_as_token_ids": True}


@pytest.mark.parametrize(("choice", "text"), [
    ({}, "12"), ({"logprobs": None}, "12"),
    ({"logprobs": {"content": CONTENT}}, "10"), ({"logprobs": {"content": CONTENT}}, " "),
    ({"logprobs": {"content": [{"token": "12", "logprob": -1.0, "top_logprobs": []}]}}, "12"),  # OpenAI's own layout
    ({"logprobs": {"content": [entry(4, -0.7)]}}, "12"),  # without candidates
    ({"logprobs": {"content": [{"token": "token_id:4"}]}}, "12"),
    ({"logprobs": {"content": [CONTENT[0]]}}, "prefilled 12"),
])  # fmt: skip
def test_what_does_not_say_it_is_left_to_be_read(choice, text):
    assert READER.read(choice, text) is None
