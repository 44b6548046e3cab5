"""What a choice says: text and thought apart, in every layout that servers have for them."""

from __future__ import annotations

from typing import Any

import pytest

from datakit.client import is_unfinished, is_withheld, read_content


def choice(**message: Any) -> dict[str, Any]:
    return {"message": message, "finish_reason": "stop"}


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


SAID = {
    "a text": (choice(content="It is 4."), "It is 4.", ""),
    "parts": (choice(content=[text("It "), text("is 4.")]), "It is 4.", ""),
    "plain parts": (choice(content=["It ", "is 4."]), "It is 4.", ""),
    "Responses API": (choice(content=[{"type": "output_text", "text": "It is 4."}]), "It is 4.", ""),
    "Mistral": (
        choice(content=[{"type": "thinking", "thinking": [text("Hm, "), text("4?")]}, text("It is 4.")]),
        "It is 4.",
        "Hm, 4?",
    ),
    "Anthropic": (
        choice(content=[{"type": "thinking", "thinking": "Hm.", "signature": "x"}, text("It is 4.")]),
        "It is 4.",
        "Hm.",
    ),
    "a part of type reasoning": (choice(content=[{"type": "reasoning", "text": "Hm."}, text("4")]), "4", "Hm."),
    "reasoning_content": (choice(content="4", reasoning_content="Hm."), "4", "Hm."),
    "reasoning": (choice(content="4", reasoning="Hm."), "4", "Hm."),
    "the same thought twice": (choice(content="4", reasoning="Hm.", reasoning_content="Hm."), "4", "Hm."),
    "twice, in a part too": (choice(content=[{"type": "thinking", "thinking": "Hm."}, text("4")], reasoning="Hm."), "4", "Hm."),
    "nothing but a thought": (choice(content=None, reasoning="Hm."), "", "Hm."),
    "nothing but a thinking part": (choice(content=[{"type": "thinking", "thinking": "Hm."}]), "", "Hm."),
    "no thought": (choice(content="4", reasoning=None, reasoning_content=""), "4", ""),
    "white space": (choice(content=" \n", reasoning=" "), "", ""),
    "white space around": (choice(content=" 4\n"), " 4\n", ""),
    "half a character": (choice(content="\ud83d 4"), "? 4", ""),
    "other parts": (choice(content=[{"type": "image_url", "image_url": {}}, 7, None, text("4")]), "4", ""),
    "a refusal": (choice(content=[{"type": "refusal", "refusal": "No.", "text": "No."}]), "", ""),
    "a number": (choice(content=4), "", ""),
    "no message": ({"message": None}, "", ""),
    "nothing": ({}, "", ""),
}


@pytest.mark.parametrize("name", SAID)
def test_text_and_thought_are_apart(name):
    said, wanted, thought = SAID[name]
    assert read_content(said)[:2] == (wanted, thought)


def test_what_is_withheld_is_so_with_a_part_of_it_too():
    for message in ({"content": None}, {"content": "It is"}):
        assert is_withheld({"message": message, "finish_reason": "content_filter"})
    assert is_withheld(choice(content=None, refusal="No.")) and is_withheld(
        choice(content=[{"type": "refusal", "refusal": "No."}])
    )
    assert not is_withheld(choice(content="I refuse.", refusal=None)) and not is_withheld({})


def test_what_broke_off_is_no_answer():
    assert is_unfinished(choice(content="It is") | {"finish_reason": "error"})
    assert is_unfinished(choice(content="It is") | {"finish_reason": "abort"})
    assert is_unfinished(choice(content="It is") | {"error": {"code": 502}})
    assert not is_unfinished(choice(content="It is") | {"finish_reason": "length", "error": None})
