"""A vendor's batches through the real openai client: whatever goes wrong, each line is paid for once and none is lost."""

from __future__ import annotations

import json
import ssl
from collections import Counter
from typing import Any

import pytest
from aiohttp import web

from datakit.client import batch as client_batch
from datakit.errors import BudgetSpent, SourceStopped
from datakit.recipe import Budget
from datakit.tables import Rows
from tests.helpers.batching import PROMPTS, Batching, N, by_requests
from tests.helpers.fake_batches import FakeBatches
from tests.helpers.fake_endpoint import Body, Fake, error, running


@pytest.fixture
def fake(monkeypatch):
    """A vendor; what fails is asked again soon."""
    monkeypatch.setattr(client_batch, "backoff", lambda times: 0.01)
    # Certificates, which no http:// needs, take longer to read than a build takes here.
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_args, **_named: None)
    with running(FakeBatches()) as endpoint:
        yield endpoint


@pytest.fixture
def batching(fake, tmp_path) -> Batching:
    """All lines in one batch."""
    return Batching(fake, tmp_path, batch={"max_lines": 100})


@pytest.fixture(scope="module")
def undisturbed() -> Rows:
    """What single requests give."""
    with running(Fake()) as fake:
        return by_requests(fake)


def test_ten_lines_a_batch(fake, tmp_path, undisturbed):
    fake.looks = 3
    batching = Batching(fake, tmp_path)
    assert batching.go() is None and batching.rows == undisturbed and batching.paid_once
    assert [batch["request_counts"]["total"] for batch in fake.batches.values()] == [10, 10, 4]
    assert "batches: 3 in progress; 7 of 24 lines" in batching.shown[0] and batching.shown[-1] == ""
    calls = len(fake.calls)
    assert batching.go() is None and len(fake.calls) == calls, "nothing is missing"


def test_files_are_cut_by_their_size_too(fake, tmp_path):
    batching = Batching(fake, tmp_path, batch={"max_lines": 50_000, "max_mb": 0.002})
    assert batching.go() is None and batching.paid_once
    sizes = [file["bytes"] for file in fake.files.values() if file["purpose"] == "batch"]
    assert max(sizes) <= 2000 and len(sizes) == 3


def test_a_line_is_what_a_single_request_is(fake, batching):
    """With system prompt and further fields, without those that the server does not take; at the path that the source has."""
    options = {"max_lines": 100, "url": "/v4/chat", "window": "48h"}
    assert batching.go(batch=options, system="Be short.", extra_body={"top_k": 7}, omit=["seed"]) is None
    assert {(batch["endpoint"], batch["completion_window"]) for batch in fake.batches.values()} == {("/v4/chat", "48h")}
    assert {row["seed"] for row in batching.rows} == {None}
    assert all(
        body["messages"][0] == {"role": "system", "content": "Be short."}
        and body["top_k"] == 7
        and not {"seed", "n"} & set(body)
        for body in fake.bodies
    )


# ------------------------------------------------------------------------------------------- answers that are lost on the way

CALLS = ("POST /files", "POST /batches", "GET /batches/id", "GET /files/id/content")


def lost(*calls: str) -> Any:
    """The first answer to each of these calls is lost, after it was carried out."""
    left = Counter(calls)

    def is_lost(number: int, call: str) -> bool:
        left[call] -= 1
        return left[call] >= 0

    return is_lost


def test_a_call_whose_answer_is_lost_is_not_made_twice(fake, batching, undisturbed):
    fake.lost_answer, fake.others = lost(*CALLS), 150
    assert batching.go() is None and batching.rows == undisturbed and batching.paid_once
    assert fake.calls.count("POST /files") == fake.calls.count("POST /batches") == 1
    assert fake.calls.count("GET /batches") == 2, "it is on the second page"


def test_a_vendor_without_lists_is_not_asked_again_where_that_may_be_paid_twice(fake, batching):
    fake.lost_answer, fake.lists = lost("POST /batches"), False
    stopped = batching.go()
    [note] = (batching.folder / "batches").glob("*.json")
    assert isinstance(stopped, SourceStopped) and "does not list its batches" in str(stopped) and str(note) in str(stopped)
    note.write_text(json.dumps(json.loads(note.read_text()) | {"step": "running", "batch_id": "batch_1"}))
    assert batching.go() is None and batching.paid_once and len(fake.batches) == 1


def test_a_file_that_the_vendor_does_not_know_yet_is_uploaded_again(fake, batching):
    """Met at OpenAI where many files are uploaded at once."""
    fake.http = lambda number, call: error(400, "Cannot find file file-1, or ...") if number == 2 else None
    assert batching.go() is None and fake.calls.count("POST /files") == 2 and batching.paid_once


def test_but_not_for_ever(fake, batching):
    fake.http = lambda number, call: error(400, f"Cannot find file file-{number // 2}") if call == "POST /batches" else None
    assert "Cannot find file file-" in str(batching.go()) and fake.calls.count("POST /files") == 4


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_outage_is_waited_for(fake, batching, status):
    down = {1: status, 3: status, 5: status, 7: status}
    fake.http = lambda number, call: web.Response(status=down[number], headers={"Retry-After": "0"}) if number in down else None
    assert batching.go() is None and batching.paid_once and len(fake.batches) == 1


@pytest.mark.parametrize(
    "status, said",
    [
        (401, "wants a key, and was shown none (HTTP 401"),
        (403, "forbids the request, and was shown no key (HTTP 403"),
        (402, "does not answer for this account"),
    ],
)
def test_what_does_not_pass_stops_the_source(fake, batching, undisturbed, status, said):
    fake.http = lambda number, call: error(status, "no") if number == 2 else None
    assert said in str(batching.go()) and not fake.batches
    assert batching.go() is None and batching.rows == undisturbed and batching.paid_once


# ---------------------------------------------------------------------------------------------------- how a batch may end


@pytest.mark.parametrize("names_unanswered", [True, False])
@pytest.mark.parametrize("end", ["expired", "cancelled"])
def test_what_a_batch_left_is_failure_rows_and_asked_again(fake, batching, undisturbed, end, names_unanswered):
    fake.ends = lambda number: end if number == 1 else "completed"
    fake.names_unanswered = names_unanswered
    assert batching.go() is None and len(batching.rows) == 12
    assert batching.failed("error", "permanent") == [(f"batch_{end}", False)] * 12
    assert batching.go() is None and batching.rows == undisturbed and batching.paid_once


def test_a_batch_that_expired_before_its_first_line_is_no_fault_of_the_source(fake, batching, undisturbed):
    fake.ends, fake.share = (lambda number: "expired" if number == 1 else "completed"), 0.0
    assert batching.go() is None and len(batching.failures) == PROMPTS * N
    assert batching.go() is None and batching.rows == undisturbed


LINE_FAULTS = {  # fault: what stands in failures, for good?
    "400": ("http_400", True),
    "context_length": ("http_400", True),
    "500": ("http_500", False),
    "429": ("http_429", False),
    "null_text": ("empty", False),
    "refusal": ("content_filter", True),
    "failed_choices": ("error_in_200", False),
}


@pytest.mark.parametrize("fault", LINE_FAULTS)
def test_errors_in_lines_are_of_the_same_kinds_as_of_requests(fake, batching, undisturbed, fault):
    fake.fault = lambda number, body: fault if "What is 3 +" in body["messages"][-1]["content"] else None
    said, permanent = LINE_FAULTS[fault]
    assert batching.go() is None and batching.failed("error", "permanent") == [(said, permanent)] * N
    fake.fault = Fake().fault
    assert batching.go() is None and len(fake.batches) == (1 if permanent else 2)
    assert batching.go(retry_failures=True) is None and len(batching.rows) == PROMPTS * N
    changed = sum(new != old for new, old in zip(batching.rows, undisturbed, strict=True))
    assert changed == (N if said == "empty" else 0), "what came empty is asked with another seed"


@pytest.mark.parametrize("fault", ["insufficient_quota", "credit_balance", "key_limit"])
def test_an_account_that_is_used_up_stops_before_anything_more_is_begun(fake, batching, undisturbed, fault):
    fake.fault = lambda number, body: fault if number > 4 else None
    stopped = batching.go(n=2)
    assert "api_key_env" in str(stopped) and len(batching.rows) == 4 and set(batching.failed("permanent")) == {(False,)}
    fake.fault = Fake().fault
    assert batching.go(n=N) is None and batching.rows == undisturbed and batching.paid_once


def test_what_only_repeats_the_prompt_says_nothing_of_the_account(fake, batching):
    batching.question = "What is {} + 2? Is an Insufficient Balance due?"
    fake.fault = lambda number, body: error(400, f"Not now: {body['messages'][0]['content']}") if number == 3 else None
    assert batching.go() is None and batching.failed("error", "permanent") == [("http_400", True)]


def test_a_source_that_answers_no_line_stops_the_build_and_nothing_failed_for_good(fake, tmp_path):
    fake.fault = lambda number, body: "422"
    batching = Batching(fake, tmp_path)
    stopped = batching.go()
    assert "answered none of 10 samples" in str(stopped) and "max_tokens must be" in str(stopped)
    assert set(batching.failed("permanent")) == {(False,)}


@pytest.mark.parametrize(
    "refusal, said",
    [
        ({"code": "invalid_json_line", "line": 2, "message": "no valid JSON"}, "did not take the file: no valid JSON (line 2)"),
        ({"code": "model_not_found", "message": "No model fake/one."}, "did not take the file: No model fake/one."),
        ({"code": "billing_hard_limit_reached", "message": "Billing hard limit has been reached"}, "api_key_env"),
        ({}, "the vendor gives no reason"),
    ],
)
def test_a_file_that_is_refused_stops_the_source_and_is_written_anew(fake, batching, undisturbed, refusal, said):
    fake.validate = lambda number: refusal if number == 1 else None
    assert said in str(batching.go()) and not batching.failures
    assert batching.go(batch={"max_lines": 12}) is None
    assert batching.rows == undisturbed and batching.paid_once and len(fake.batches) == 3


ENQUEUED = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached for fake/one. Limit: 2,000 tokens."}


def test_no_room_in_the_vendors_queue_is_waited_for(fake, tmp_path, undisturbed):
    """One batch at a time is taken."""
    fake.looks = 3

    def is_full(number: int) -> Body | None:
        busy = any(batch["status"] == "in_progress" for batch in fake.batches.values())
        return ENQUEUED if busy and not fake.batches[f"batch_{number}"]["_looks"] else None

    fake.validate = is_full
    batching = Batching(fake, tmp_path)
    assert batching.go() is None and batching.rows == undisturbed and batching.paid_once
    assert sum(batch["status"] == "failed" for batch in fake.batches.values()) == 3, "one try each time that one has ended"


def test_a_batch_that_never_has_room_stops_the_source(fake, tmp_path):
    fake.validate = lambda number: ENQUEUED
    said = str(Batching(fake, tmp_path, patience_s=0.2).go())
    assert "no room for a batch of 10 lines: HTTP" in said and "smaller batch.max_lines" in said


def test_results_that_are_gone_say_what_to_do(fake, batching, undisturbed):
    fake.http = lambda number, call: error(404, "No such file") if call == "GET /files/id/content" else None
    said = str(batching.go())
    assert "does not know file file-2, the results of batch batch_1 (is it the same account?)" in said and "pay for" in said
    fake.http = FakeBatches().http
    assert batching.go() is None and batching.rows == undisturbed and batching.paid_once


def test_what_runs_when_a_build_is_to_end_runs_on_and_is_taken_up_by_the_next(fake, tmp_path, undisturbed):
    batching = Batching(fake, tmp_path)
    fake.looks = 10_000
    fake.http = lambda number, call: batching.drain() if number == 7 else None
    assert batching.go() is None and batching.responses == {}
    assert batching.said == ["fake/one: batch_1, batch_2 runs on; build again to store what comes of it"]
    fake.looks, fake.http = 1, FakeBatches().http
    assert batching.go() is None and batching.rows == undisturbed and batching.paid_once and len(fake.batches) == 3


def test_strange_lines_in_results_are_counted_and_no_line_counts_twice(fake, batching, undisturbed):
    assert batching.go(n=1) is None
    extra = [
        b"not JSON",
        b"[1]",
        json.dumps({"custom_id": "request-1", "response": None}).encode(),
        json.dumps({"custom_id": "0" * 24, "response": None}).encode(),
    ]
    kept = fake._keep

    def add_lines(name: str, purpose: str, content: bytes) -> Body:
        if purpose == "batch_output":
            lines = content.splitlines()
            content = b"\n".join([*lines[:3], *extra, b"", *lines]) + b"\n"
        return kept(name, purpose, content)

    fake._keep = add_lines
    assert batching.go(n=N) is None and batching.rows == undisturbed and batching.paid_once
    assert batching.said == ["fake/one: 4 lines in the results of batch_2 of no request of that batch"]


# ------------------------------------------------------------------------------------------------------------------- budgets


PRICE = {"input": 1.0, "output": 10.0}  # a batch of ten may take 0.0064, ten answers take a quarter of that


def test_a_batch_waits_for_room_in_the_budget(fake, tmp_path, undisturbed):
    fake.looks = 2
    batching = Batching(fake, tmp_path, Budget(cost=0.009), price=PRICE)
    assert batching.go() is None and batching.rows == undisturbed and batching.paid_once
    assert "1 in progress, 2 uploaded" in batching.shown[0], "the second may begin when the first has ended"


def test_and_is_not_begun_where_there_is_none(fake, tmp_path, undisturbed):
    batching = Batching(fake, tmp_path, Budget(cost=0.007), price=PRICE)
    stopped = batching.go()
    assert isinstance(stopped, BudgetSpent)
    assert "budget.cost: a batch of 10 lines may take 0.0064 more, and 0.00" in str(stopped)
    assert len(batching.rows) == len(fake.paid) == 14, "one of ten, and one of four"
    batching.budget = Budget()
    assert batching.go() is None and batching.rows == undisturbed and batching.paid_once
