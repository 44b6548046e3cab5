"""What an error means, kind by kind: of each at least five ways in which servers say it, and three that only look alike."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datakit.client.faults import of_answer, of_status, retry_after
from datakit.client.said import read_error

KINDS: dict[str, list[tuple[int, Any]]] = {
    "overload": [
        (408, ""),
        (429, "slow down"),
        (429, {"error": {"message": "Rate limit reached for requests per minute", "type": "requests"}}),
        (503, "<html><h1>503 Service Temporarily Unavailable</h1></html>"),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        (500, {"error": {"type": "server_overloaded", "message": "try later"}}),
        (502, {"error": {"message": "upstream said 429", "code": 429}}),
    ],
    "account": [
        (402, "whatever it says"),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}}),
        (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}),
        (403, {"error": "Your account is suspended"}),
        (401, {"error": {"message": "This API key has been revoked"}}),
        (500, {"error": {"message": "budget has been exceeded: 3.01 of 3.00", "type": "budget_exceeded"}}),
        (429, {"message": "Daily token limit reached; upgrade your plan"}),
    ],
    "unusable": [
        (401, "no key"),
        (401, {}),
        (403, "not from here"),
        (404, {"detail": "Not Found"}),
        (404, ""),
        (307, ""),
        (301, ""),
    ],
    "refused": [
        (400, {"error": {"message": "max_tokens is too large: 1000000"}}),
        (405, "Method Not Allowed"),
        (413, "Payload Too Large"),
        (422, {"detail": [{"loc": ["body", "seed"], "msg": "extra fields not permitted"}]}),
        (451, ""),
        (429, {"error": {"message": "Request too large for model: limit 8000, requested 9000"}}),
    ],
    "broken": [
        (500, ""),
        (500, {"error": "CUDA error"}),
        (502, "<html>"),
        (504, "Gateway Time-out"),
        (520, "\x00\xff"),
        (409, ""),
        (425, ""),
    ],
}
LOOK_ALIKE: dict[str, list[tuple[int, Any, str]]] = {
    "overload": [
        (500, {"error": "the word overloaded_error in a text"}, "broken"),
        (400, {"error": {"message": "rate limit", "type": "invalid_request_error"}}, "refused"),
        (404, {"error": {"code": 503, "message": "no model of this name"}}, "unusable"),
    ],
    "account": [
        (404, {"error": "the model 'credit limit exceeded' does not exist"}, "unusable"),
        (429, {"error": {"message": "Quota exceeded: limit reached for requests per minute per day"}}, "overload"),
        (422, {"error": {"message": "insufficient funds"}}, "refused"),
    ],
    "unusable": [(410, "", "refused"), (407, "", "refused"), (418, "", "refused")],
    "refused": [(409, "", "broken"), (429, "", "overload"), (404, "", "unusable")],
    "broken": [(503, "", "overload"), (400, "", "refused"), (408, "", "overload")],
}


def body(said: Any) -> bytes:
    return (said if isinstance(said, str) else json.dumps(said)).encode("latin-1")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_in_all_its_words(kind: str) -> None:
    assert len(KINDS[kind]) >= 6 and len(LOOK_ALIKE[kind]) >= 3
    assert [(status, said, of_status(status, body(said), {}).meaning) for status, said in KINDS[kind]] == [
        (status, said, kind) for status, said in KINDS[kind]
    ]
    assert [of_status(status, body(said), {}).meaning for status, said, _ in LOOK_ALIKE[kind]] == [
        meaning for *_, meaning in LOOK_ALIKE[kind]
    ]


def test_words_of_the_prompt_itself_are_not_the_accounts() -> None:
    """A server that repeats the request in its error."""
    asked = b'{"messages": [{"role": "user", "content": "my credit balance is too low"}]}'
    said = body({"error": {"message": "cannot answer: my credit balance is too low"}})
    assert of_status(400, said, {}, asked).meaning == "refused" and of_status(400, said, {}).meaning == "account"


IN_200: list[tuple[Any, str | None]] = [
    ({"error": {"code": 429, "message": "slow down"}}, "overload"),
    ({"error": {"type": "overloaded_error"}}, "overload"),
    ({"object": "error", "message": "out of memory", "code": 500}, "broken"),
    ({"object": "error", "message": "no such model", "code": 404}, "unusable"),
    ({"error": "insufficient credits"}, "account"),
    ({"choices": [{"finish_reason": "error"}]}, "broken"),
    ({"choices": [{"error": {"code": 503}}, {"error": {"code": 503}}]}, "overload"),
    ({"choices": [{"finish_reason": "stop"}], "error": {"message": "bad", "code": 400}}, "broken"),
    # what is no error
    ({"choices": [{"finish_reason": "stop"}], "error": None}, None),
    ({"choices": [{"finish_reason": "error"}, {"finish_reason": "stop"}]}, None),
    ({"choices": [], "error": ""}, None),
    ({"choices": "error"}, None),
    (["error"], None),
]


@pytest.mark.parametrize(("answer", "meaning"), IN_200, ids=[json.dumps(answer)[:60] for answer, _ in IN_200])
def test_an_error_in_a_200(answer: Any, meaning: str | None) -> None:
    fault = of_answer(answer, {}, b"")
    assert (None if fault is None else fault.meaning) == meaning


PAUSES = {
    "3": 3.0,
    " 3 ": 3.0,
    "0": 0.0,
    "1.5": 1.5,
    "-4": 0.0,
    "2e1": 20.0,
    "Thu, 01 Jan 1970 00:01:00 GMT": 50.0,
    "Thu, 01 Jan 1970 01:01:00 +0100": 50.0,
    "Thu, 01 Jan 1970 00:00:01 GMT": 0.0,
    "": None,
    "soon": None,
    "nan": None,
    "inf": None,
    "1e999": None,
    "Thu, 32 Jan 1970 00:01:00 GMT": None,
    "0x10": None,
}


@pytest.mark.parametrize("said", PAUSES)
def test_a_pause_is_seconds_or_a_date_and_ends(said: str) -> None:
    assert retry_after(said, 10.0) == PAUSES[said]


REFUSED_FIELDS: list[tuple[Any, str | None]] = [
    ({"error": {"message": "Unsupported parameter: 'seed'", "param": "seed"}}, "seed"),
    ({"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}]}, "seed"),
    ({"error": "seed is not supported by this model"}, "seed"),
    ({"message": "unknown field seed"}, "seed"),
    ({"error": {"message": "this model does not support temperature"}}, "temperature"),
    ({"error": {"message": "only one completion choice is allowed"}}, "n"),
    # a wrong value, another field, no field
    ({"error": {"message": "seed must be an integer"}}, None),
    ({"error": {"message": "top_k is not supported"}}, None),
    ({"error": {"message": "the prompt is too long"}}, None),
]


@pytest.mark.parametrize(("said", "field"), REFUSED_FIELDS, ids=[json.dumps(said)[:60] for said, _ in REFUSED_FIELDS])
def test_a_field_that_is_not_taken(said: Any, field: str | None) -> None:
    assert read_error(body(said)).refused_field(["seed", "temperature", "n"], b"") == field
