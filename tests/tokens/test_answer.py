"""Where an answer stands among the tokens of a conversation."""

import pytest

from datakit.tokens import Answer, locate, row_of

VOCABULARY = [None, b"1", b"0", b" + ", b"12", b"2", b" ", b"\n", b" 10", b"\xf0\x9f", b"\xa6\x99", b"2 ", None]
ASKED, END = [0, 4, 0], 12


@pytest.mark.parametrize(("ids", "text", "found"), [
    ([*ASKED, 1, 2, 3, 4, END], "10 + 12", Answer(3, 8, [1, 2, 5, 7, 7])),  # the end of the turn ends where the text does
    ([*ASKED, 1, 2, 3, 4, END, 7], "10 + 12", Answer(3, 8, [1, 2, 5, 7, 7])),  # a template's line end is no part of it
    ([*ASKED, 1, 2, 3, 4], "10 + 12", Answer(3, 7, [1, 2, 5, 7])),  # no token ends it
    ([*ASKED, 1, 2, 3, 4, 7, END], "10 + 12", Answer(3, 7, [1, 2, 5, 7])),  # nor one behind other tokens
    ([*ASKED, 6, 1, 2, 3, 4, END], "10 + 12", Answer(4, 9, [1, 2, 5, 7, 7])),  # a space in front is a token of its own,
    ([*ASKED, 8, 3, 4, END], "10 + 12", Answer(3, 7, [2, 5, 7, 7])),  # or in the first
    ([*ASKED, 9, 10, 1, END], "🦙1", Answer(3, 7, [2, 4, 5, 5])),  # a character in two tokens
    ([*ASKED, 4, END], "12", Answer(3, 5, [2, 2])),  # the last of two
    ([*ASKED, 1, 2, END], "10 + 12", None), ([*ASKED, 1, 2, 3, 4, 1, END], "10 + 12", None),  # other texts
    ([*ASKED, 1, 2, 3, 0, 4, END], "10 + 12", None),  # a special token within
    ([*ASKED, 11, END], "2", None),  # a token goes on behind its end
    ([0, 4, 4, END], "212", None),  # it begins within a token of something else
    ([], "1", None),
])  # fmt: skip
def test_where_it_stands(ids, text, found):
    assert locate(ids, VOCABULARY, text.encode()) == found


def test_ids_beyond_the_vocabulary_are_special():
    assert locate([99, 1, 99], VOCABULARY, b"1") == Answer(1, 3, [1, 1])


def test_a_row_has_the_answers_tokens_and_what_they_cost():
    ids, answer = [*ASKED, 1, 2, END], Answer(3, 6, [1, 2, 2])
    row = row_of(
        ids, answer, 2, [-0.5, -0.25, -2.0], [[(1, -0.5), (5, -1.0)], [(2, -0.25), (1, -3.0)], [(3, -0.1), (12, -2.0)]]
    )
    assert row == {
        "token_ids": [1, 2, 12], "ends": [1, 2, 2], "token_logprobs": [-0.5, -0.25, -2.0], "top_ids": [1, 5, 2, 1, 3, 12],
        "top_logprobs": [-0.5, -1.0, -0.25, -3.0, -0.1, -2.0], "n_bytes": 2, "nll": 2.75,
    }  # fmt: skip
