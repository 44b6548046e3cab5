"""The code domain: what its prompts are, what its verifier is called, and what its verdicts say."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Any

import pytest

from datakit.domains import DOMAINS, verifying_worker
from datakit.domains.code import verifier as code
from datakit.domains.protocol import Verifier
from datakit.engine.local import LocalEngine
from datakit.errors import BadInput, DatakitError, WorkerError
from datakit.recipe import VerifyCode
from datakit.sandbox import tiers
from datakit.sandbox.runner import Execution, Sandbox

ADD = "def add(a, b):\n    return a + b\n"
CHECK = "def check(candidate):\n    assert candidate(1, 2) == 3\n"
IO = '[{"input": "1 2", "output": "3"}]'
METHOD = "class Solution:\n    def add(self, a: int, b: int) -> int:\n        return a + b\n"


def domain(**options) -> Any:
    return DOMAINS["code"](VerifyCode(**options))


def verifier_of(**options) -> Any:
    return domain(**options).verifier


def read(*rows: dict) -> list:
    return list(domain().read([{"prompt": f"Task {at}", **row} for at, row in enumerate(rows)], "here.jsonl"))


def answer(text: str, reference: str | None = "assert add(1, 2) == 3", style: str = "asserts", **columns) -> dict:
    row = {"text": text, "reference": reference, "test_style": style, "entry_point": None, "finish_reason": "stop"}
    return {**row, "messages": [{"role": "user", "content": "Write add(a, b)."}], **columns}


def fenced(program: str) -> str:
    return f"Here it is:\n\n```python\n{program}```\n\nDone."


# ------------------------------------------------------------------------------------------------------------- prompts


@pytest.mark.parametrize(
    ("reference", "style", "text"),
    [
        ("assert add(1, 2) == 3", "asserts", "assert add(1, 2) == 3"),
        (["assert add(1, 2) == 3", "assert add(0, 0) == 0"], "asserts", "assert add(1, 2) == 3\nassert add(0, 0) == 0"),
        (CHECK, "humaneval_check", CHECK),
        ("assert Solution().add(1, 2) == 3", "solution_method", "assert Solution().add(1, 2) == 3"),
        (IO, "stdin", IO),
        ([{"input": "1", "output": "é"}], "stdin", '[{"input": "1", "output": "é"}]'),
        ({"inputs": ["1"], "outputs": ["2"]}, "stdin", '{"inputs": ["1"], "outputs": ["2"]}'),
        ('  {"inputs": ["1"], "outputs": ["2"]}', "stdin", '  {"inputs": ["1"], "outputs": ["2"]}'),
        (
            {"test_setup_code": "import math", "test_list": ["assert add(1, 2) == 3"]},
            "asserts",
            "import math\nassert add(1, 2) == 3",
        ),
        ({"test_setup_code": "", "test_list": '["assert add(1, 2) == 3"]'}, "asserts", "\nassert add(1, 2) == 3"),
    ],
)
def test_the_style_of_tests_is_seen_in_them(reference, style, text):
    (prompt,) = read({"reference": reference, "entry_point": "add"})
    assert (prompt.test_style, prompt.reference, prompt.dropped, prompt.domain) == (style, text, None, "code")


def test_a_style_that_a_column_says_is_taken():
    (prompt,) = read({"reference": "Solution = 1\nassert add(1, 2) == 3", "test_style": "asserts"})
    assert (prompt.test_style, prompt.entry_point) == ("asserts", None)


def test_a_style_that_there_is_not_is_named_with_its_prompt():
    with pytest.raises(BadInput) as raised:
        read({"reference": "assert add(1, 2) == 3", "prompt_id": "p/7", "test_style": "junit"})
    assert str(raised.value) == (
        "here.jsonl: prompt p/7: test_style must be one of asserts, humaneval_check, stdin, solution_method, "
        "livecodebench, apps, pytest, unittest (got 'junit')"
    )


@pytest.mark.parametrize(
    ("row", "dropped"),
    [
        ({"reference": None}, "no tests"),
        ({"reference": "  \n"}, "no tests"),
        ({"reference": CHECK}, "no entry_point for check(candidate)"),
        ({"reference": CHECK, "test_style": "humaneval_check", "entry_point": " "}, "no entry_point for check(candidate)"),
        ({"reference": CHECK, "test_style": "asserts"}, None),
        ({"reference": "assert add(1, 2) == 3", "prompt": " "}, "empty prompt"),
        ({"reference": []}, "no tests"),
    ],
)
def test_prompts_that_cannot_be_judged_are_dropped(row, dropped):
    assert read(row)[0].dropped == dropped


def test_a_reference_that_is_no_tests_is_named():
    with pytest.raises(BadInput, match=r"here\.jsonl: row 1: reference must be text \(got True\)"):
        read({"reference": True})


# ------------------------------------------------------------------------------------------------------------- names


def test_the_verifier_names_what_can_change_a_verdict():
    assert verifier_of().name == verifier_of(timeout_s=5.0, memory_mb=1024, workers=3, allow_unsafe=True).name == "code@2"
    assert verifier_of(timeout_s=2).name == "code@2+timeout_s=2"
    assert verifier_of(timeout_s=2.5, memory_mb=512).name == "code@2+memory_mb=512+timeout_s=2.5"
    assert verifier_of(libraries=["numpy", "pandas"]).name == "code@2+libraries=numpy,pandas"
    everything = verifier_of(libraries=["numpy"], memory_mb=2048, timeout_s=10)
    assert everything.name == "code@2+libraries=numpy+memory_mb=2048+timeout_s=10"


def test_options_that_change_verdicts_stand_in_the_name():
    assert verifier_of(float_tolerance=1e-6, static="fail", gold_time=None).name == "code@2"
    assert verifier_of(float_tolerance=0).name == "code@2+float_tolerance=0"
    assert verifier_of(static="warn", gold_time=4).name == "code@2+gold_time=4+static=warn"


def test_what_stages_need_to_know():
    slow = verifier_of(timeout_s=8)
    assert (slow.name, sorted(slow.wrong), slow.retries_timeouts) == ("code@2+timeout_s=8", ["failed", "timeout"], True)
    assert slow.deadline_s > 100 * 8, "the sandbox holds its own limits long before the engine does"
    assert set(slow.faults) == {"timeout", "crash"} and not slow.wrong & set(slow.faults.values())


# ----------------------------------------------------------------------------------------------------------- verdicts

if sys.platform != "linux":
    pytest.skip("the sandbox's tiers are of Linux", allow_module_level=True)


@pytest.fixture(scope="module")
def verifier():
    """One domain with a warm sandbox for all verdicts."""
    found = verifier_of(timeout_s=5)
    try:
        found.preflight()
    except DatakitError as error:
        pytest.skip(str(error))
    found.warm()
    yield found
    close(found)


def close(verifier: Any) -> None:
    for sandbox in verifier._sandboxes.values():
        sandbox.close()


def verdicts(verifier: Verifier, *rows: dict) -> list:
    return list(verifier.verify(list(rows)))


VERDICTS = [
    # row, outcome, a part of the detail
    (answer(fenced(ADD)), "passed", "1 test [fence, "),
    (answer(ADD), "passed", "1 test ["),
    (answer(fenced(ADD), CHECK, "humaneval_check", entry_point="add"), "passed", "1 test [fence, "),
    (answer(fenced("print(sum(map(int, input().split())))\n"), IO, "stdin"), "passed", "1 input [fence, "),
    (
        answer(fenced(METHOD), "assert Solution().add(1, 2) == 3", "solution_method", entry_point="add"),
        "passed",
        "1 test [fence, ",
    ),
    (answer(fenced(ADD.replace("+", "-"))), "failed", "test 1 of 1: assert add(1, 2) == 3: AssertionError"),
    (answer(fenced("print(input())\n"), IO, "stdin"), "failed", "input 1 of 1: printed '1 2', not '3'"),
    (answer(fenced("def add(a, b):\n    return a + c\n")), "failed", "static analysis: F821 undefined name 'c' (line 2)"),
    (answer(fenced("def add(a, b)\n    return a + b\n")), "failed", "does not compile: SyntaxError: expected ':' (line 1)"),
    (answer(fenced(ADD), None), "unverifiable", "no tests"),
    (answer(fenced(ADD), "assert add(1, 2) ="), "unverifiable", "the tests do not compile"),
    (answer("I cannot help with that."), "unparseable", "no code found"),
    (answer(""), "unparseable", "no code found"),
    (answer(f"```python\n{ADD}", complete=False), "unparseable", "cut off before the code ended"),
    (answer(f"```python\n{ADD}", finish_reason="stop"), "passed", "1 test ["),
    (answer(f"```python\n{ADD}", finish_reason=None), "passed", "1 test ["),
    (answer(f"```python\n{ADD}```\nIt adds", complete=False), "passed", "1 test ["),
    (answer(f"```python\n{ADD}```\nOr:\n```python\nadd = lam", complete=False), "unparseable", "cut off before"),
    (answer(fenced("def add(a, b):\n    return a + b\ndef unused():\n    while True: pass\n")), "passed", "1 test ["),
    (answer(fenced(ADD), "import nosuchlib\nassert add(1, 2) == 3"), "unverifiable", "the tests need what is not here"),
]


@pytest.mark.parametrize(("row", "outcome", "detail"), [pytest.param(*case, id=str(at)) for at, case in enumerate(VERDICTS)])
def test_outcomes(verifier, row, outcome, detail):
    (verdict,) = verdicts(verifier, row)
    assert verdict.outcome == outcome and detail in verdict.detail, verdict
    assert (verdict.extracted is None) == (detail in ("no tests", "no code found"))


def test_verdicts_come_in_the_order_of_the_rows(verifier):
    rows = [row for row, _, _ in VERDICTS]
    assert [verdict.outcome for verdict in verdicts(verifier, *rows)] == [outcome for _, outcome, _ in VERDICTS]


def test_every_verdict_names_the_tier(verifier):
    tier = verifier._sandbox(0).tier
    assert tier in tiers.TIERS
    judged = verdicts(verifier, *[row for row, _, _ in VERDICTS])
    assert len(judged) > 12 and all(verdict.detail.endswith(f"{tier}]") for verdict in judged)


def test_a_finding_of_static_analysis_is_failed_before_anything_runs(verifier, monkeypatch):
    monkeypatch.setattr(Sandbox, "check", lambda *_: pytest.fail("it ran"))
    first, second = verdicts(verifier, answer(fenced("def add(a, b):\n    return A + b\n")), answer("no code"))
    assert first.outcome == "failed" and first.detail.startswith("static analysis: F821 undefined name 'A' (line 2) [fence, ")
    assert first.extracted.strip() == "def add(a, b):\n    return A + b" and second.outcome == "unparseable"


LEETCODE = {
    "types": "def run(self, a: List[int], b: Optional[int] = None) -> Dict[str, int]:\n        return a[0]\n",
    "collections": "def run(self, a):\n        return Counter(a).most_common()[0][1] + len(defaultdict(list))\n",
    "functions": "@cache\n    def run(self, a):\n        return 1\n",
    "algorithms": "def run(self, a):\n        heapify(a)\n        return bisect_left(a, 1) + 1 + floor(inf > 0) - 1\n",
    "modules": "def run(self, a):\n        return len(list(itertools.accumulate(a))) and math.gcd(*a, 1)\n",
    "lists": "def run(self, a):\n        return ListNode(a[0], ListNode(2)).next.val - ListNode().val - 1\n",
    "letters": "def run(self, a):\n        return len(ascii_lowercase) - 25 + len(string.digits) - 10\n",
    "reductions": "def run(self, a):\n        return reduce(xor, [2, 3]) + operator.sub(1, 1)\n",
    "dates": "def run(self, a):\n        return (datetime.date(2020, 1, 2) - date(2020, 1, 1) + timedelta(0)).days\n",
    "copies": "def run(self, a):\n        return deepcopy(a)[0] + copy.copy(a)[0] - 1\n",
    "limits": "def run(self, a):\n        return min(maxsize, sys.maxsize, 1)\n",
    "patterns": "def run(self, a):\n        return len(re.findall('a', 'ba')) + len(json.loads('[]'))\n",
    "means": "def run(self, a):\n        return int(mean([1, 1])) + int(random.random())\n",
    "trees": "def run(self, a):\n        return TreeNode(1, TreeNode(2)).left.val - len([TreeNode().right])\n",
}


@pytest.mark.parametrize("name", LEETCODE)
def test_leetcode_names_are_given_to_methods_of_solution_and_to_no_other_style(verifier, name):
    arguments = "(1,)" if name == "functions" else "[1]"
    row = answer(
        fenced(f"class Solution:\n    {LEETCODE[name]}"),
        f"assert Solution().run({arguments}) == 1",
        "solution_method",
        entry_point="run",
    )
    given, alone = verdicts(verifier, row, row | {"test_style": "asserts"})
    assert given.outcome == "passed", given.detail
    assert alone.outcome == "failed" and "undefined name" in alone.detail


def test_leetcode_names_do_not_hide_what_python_gives(verifier):
    """operator, io, re and random have names of builtins; `from __future__` stays first."""
    program = (
        "from __future__ import annotations\nclass Solution:\n    def run(self, a: Nothing):\n"
        "        return abs(-1) + len(compile('1', '', 'eval').co_names) + (open is not io) - sum([1])\n"
    )
    (verdict,) = verdicts(verifier, answer(fenced(program), "assert Solution().run(3) == 1", "solution_method"))
    assert verdict.outcome == "failed" and "undefined name 'Nothing'" in verdict.detail, "annotations are names, too"
    program = program.replace("Nothing", "List[int]")
    (verdict,) = verdicts(verifier, answer(fenced(program), "assert Solution().run(3) == 1", "solution_method"))
    assert verdict.outcome == "passed", verdict.detail


def test_sorted_lists_are_there_with_their_library(verifier):
    pytest.importorskip("sortedcontainers")
    program = "class Solution:\n    def run(self, a):\n        return SortedList(a)[0]\n"
    row = answer(fenced(program), "assert Solution().run([3, 1]) == 1", "solution_method")
    (without,) = verdicts(verifier, row)
    assert without.outcome == "failed" and "undefined name 'SortedList'" in without.detail
    listed = verifier_of(libraries=["sortedcontainers"])
    (verdict,) = verdicts(listed, row)
    close(listed)
    assert verdict.outcome == "passed", verdict.detail


ASTRAY = "def add(a, b):\n    if a > 5:\n        return nobody\n    return a + b\n"


def test_an_undefined_name_in_a_branch_that_no_test_reaches_is_a_failure_or_a_warning(verifier):
    warns = verifier_of(static="warn")
    rows = [answer(fenced(ASTRAY)), answer(fenced(ASTRAY.replace("> 5", "< 5"))), answer(fenced(ADD))]
    assert [verdict.outcome for verdict in verdicts(verifier, *rows)] == ["failed", "failed", "passed"]
    first, second, third = verdicts(warns, *rows)
    close(warns)
    finding = ", static analysis: F821 undefined name 'nobody' (line 3), "
    assert first.outcome == "passed" and first.detail.startswith("1 test [fence") and finding in first.detail
    assert second.outcome == "failed" and "NameError" in second.detail and finding in second.detail
    assert third.outcome == "passed" and "static analysis" not in third.detail


def test_printed_numbers_are_met_within_the_tolerance(verifier):
    exact = verifier_of(float_tolerance=0)
    tests = json.dumps([{"input": "", "output": "0.5"}])
    rows = [answer(fenced(f"print({text!r})\n"), tests, "stdin") for text in ("0.5000004", "0.50", "0.501")]
    assert [verdict.outcome for verdict in verdicts(verifier, *rows)] == ["passed", "passed", "failed"]
    assert [verdict.outcome for verdict in verdicts(exact, *rows)] == ["failed", "passed", "failed"]
    close(exact)


SLOW = "import time\ndef add(a, b):\n    time.sleep({})\n    return a + b\n"


@pytest.mark.parametrize("style", ["asserts", "stdin"])
def test_a_slow_solution_makes_room_for_answers(verifier, style):
    def row(seconds: float, solution: float | None) -> dict:
        programs = [SLOW.format(found) + ("print(add(1, 2))\n" if style == "stdin" else "") for found in (seconds, solution)]
        tests = json.dumps([{"input": "", "output": "3"}] * 2) if style == "stdin" else "assert add(1, 2) == 3"
        return answer(fenced(programs[0]), tests, style, solution=None if solution is None else programs[1])

    alike, roomy = verifier_of(timeout_s=0.25), verifier_of(timeout_s=0.25, gold_time=4)
    rows = [row(0.5, 0.35), row(0.5, 0.0), row(0.5, None)]
    assert [verdict.outcome for verdict in verdicts(alike, *rows)] == ["timeout"] * 3
    assert [verdict.outcome for verdict in verdicts(roomy, *rows)] == ["passed", "timeout", "timeout"]
    assert {0, code.GOLD_STEPS} < set(roomy._sandboxes) <= {0, 3, 4, code.GOLD_STEPS}, "eight times"
    close(alike)
    close(roomy)


def test_pow_of_three_numbers_is_there_for_methods_of_solution(verifier):
    program = "class Solution:\n    def run(self, a, m):\n        return pow(a, -1, m) + int(sqrt(4))\n"
    (verdict,) = verdicts(verifier, answer(fenced(program), "assert Solution().run(3, 7) == 7", "solution_method"))
    assert verdict.outcome == "passed", verdict.detail


def test_a_pass_by_operators_of_its_own_classes_says_so(verifier):
    program = "class Point:\n    def __init__(self, x): self.x = x\n    def __eq__(self, other): return self.x == other.x\n"
    (verdict,) = verdicts(verifier, answer(fenced(program), "assert Point(1) == Point(1)\nassert Point(2).x == 2"))
    assert verdict.outcome == "passed" and "leans on operators of its own classes" in verdict.detail


def test_equal_programs_run_once(verifier, monkeypatch):
    ran = []

    def check(self: Sandbox, *call: object) -> Execution:
        ran.append(call)
        return Execution("timeout" if "slow" in str(call) else "passed", "as asked")

    monkeypatch.setattr(Sandbox, "check", check)
    once = "def add(a, b):\n    return a + b + 0\n"
    verdicts(verifier, answer(fenced(once)), answer(f"```python\n{once}```"))
    assert len(ran) == 1, "the same program and tests"
    verdicts(verifier, answer(fenced(once), "assert add(1, 3) == 4"), answer(fenced(once + "one = 1\n")))
    verdicts(verifier, answer(fenced(once), entry_point="add"))
    assert len(ran) == 4, "other tests, another program, another entry point"
    slow = "slow = 1\n" + once
    verdicts(verifier, answer(fenced(slow)), answer(fenced(slow)))
    assert len(ran) == 6, "a timeout may be the machine's: it is not remembered"


def test_memory_of_verdicts_is_bounded(verifier, monkeypatch):
    monkeypatch.setattr(code, "_REMEMBERED", 3)
    rows = [answer(fenced(f"def add(a, b):\n    return {n}\n")) for n in range(8)]
    assert [verdict.outcome for verdict in verdicts(verifier, *rows)] == ["failed"] * 3 + ["passed"] + ["failed"] * 4
    assert len(verifier._remembered) <= 3


def test_extracted_programs_of_methods_can_be_run_as_they_are(verifier):
    (verdict,) = verdicts(verifier, answer(fenced(METHOD), "assert Solution().add(1, 2) == 3", "solution_method"))
    names: dict = {}
    exec(verdict.extracted, names)
    assert names["Solution"]().add(1, 2) == 3 and names["ListNode"]().val == 0


# ---------------------------------------------------------------------------------------------------------------- golds

GOLDS = [
    {"reference": ["assert add(1, 2) == 3"], "solution": ADD},
    {"reference": CHECK, "solution": ADD, "entry_point": "add", "prompt": 'def add(a, b):\n    """Add."""\n'},
    {"reference": CHECK, "solution": "    return a + b\n", "entry_point": "add", "prompt": 'def add(a, b):\n    """Add."""\n'},
    {"reference": IO, "solution": "a, b = map(int, input().split())\nprint(a + b)"},
    {"reference": "assert Solution().add(1, 2) == 3", "solution": METHOD, "entry_point": "add"},
    {"reference": ["assert add(1, 2) == 3"], "solution": ADD.replace("\n", "\r\n")},
    {"reference": ["assert fence() == '```'"], "solution": "def fence():\n    return '```'\n"},
]


@pytest.mark.parametrize(
    ("line", "outcome", "said"),
    [
        ("return pow(a + b, 1, 7)", "passed", "1 test"),
        ("return [0, 1, 2, 3][pow(a + b, 1)]", "passed", "1 test"),
        ("return sum(Counter([1, 1, 1]).values()) + gcd(2, 4) - 2", "passed", "1 test"),
        ("return a + b if a < 9 else nobody", "failed", "static analysis: F821 undefined name 'nobody' (line "),
    ],
)
def test_what_leetcode_gives_is_there_and_hides_neither_builtins_nor_undefined_names(verifier, line, outcome, said):
    program = METHOD.replace("return a + b", line)
    (verdict,) = verdicts(verifier, answer(fenced(program), "assert Solution().add(1, 2) == 3", "solution_method"))
    assert verdict.outcome == outcome and (verdict.detail or "").startswith(said), verdict


@pytest.mark.parametrize("row", [pytest.param(row, id=str(at)) for at, row in enumerate(GOLDS)])
def test_a_gold_solution_passes_its_own_tests(verifier, row):
    (prompt,) = read(row)
    columns = {"reference": prompt.reference, "style": prompt.test_style, "entry_point": prompt.entry_point}
    (verdict,) = verdicts(verifier, answer(domain().gold(prompt), messages=prompt.messages, **columns))
    assert verdict.outcome == "passed", verdict


def test_where_no_solution_is_known_there_is_no_gold():
    (prompt,) = read({"reference": "assert add(1, 2) == 3"})
    assert domain().gold(prompt) is None


# -------------------------------------------------------------------------------------------------- engines and preflight


def ending_worker(name: str, options: VerifyCode):
    """A worker that dies on the row that says so."""
    import os

    judge = verifying_worker(name, options)

    def worker(rows):
        for row in rows:
            if "die" in row["text"]:
                os._exit(9)
            if "raise" in row["text"]:
                raise MemoryError
            yield from judge([row])

    return worker


def test_a_worker_that_dies_costs_a_verdict_and_never_makes_an_answer_wrong(verifier):
    rows = [answer(text) for text in (fenced(ADD), "die", "raise", fenced(ADD.replace("+", "-")))]
    results = list(LocalEngine(1).map(partial(ending_worker, "code", VerifyCode()), [rows], verifier.deadline_s))
    faults = [(result.row["text"], result.fault) for result in results if result.fault]
    assert faults == [("die", "crash"), ("raise", "crash")]
    assert [verifier.faults[result.fault] for result in results if result.fault] == ["unverifiable"] * 2
    assert [result.value["outcome"] for result in results if result.value] == ["passed", "failed"]


def test_preflight_says_that_ruff_finds_nothing(verifier, monkeypatch):
    monkeypatch.setattr(code, "analyse", lambda programs: [None] * len(programs))
    with pytest.raises(WorkerError, match="static analysis does not work: ruff finds nothing"):
        verifier_of().preflight()


def test_preflight_says_what_to_install_and_unsafe_goes_on(verifier, monkeypatch):
    monkeypatch.setattr(tiers, "TIERS", ())
    with pytest.raises(DatakitError, match=r"install bubblewrap.*verify\.allow_unsafe: true"):
        verifier_of().preflight()
    verifier_of(allow_unsafe=True).preflight()
    unsafe = verifier_of(allow_unsafe=True)
    (verdict,) = verdicts(unsafe, answer(fenced(ADD)))
    close(unsafe)
    assert verdict.outcome == "passed" and verdict.detail.endswith(", no sandbox]")


def test_preflight_names_a_missing_library(verifier):
    with pytest.raises(DatakitError, match=r"verify\.libraries: nosuchlib"):
        verifier_of(libraries=["nosuchlib"]).preflight()


def test_a_library_is_there_where_it_is_asked_for(verifier):
    pytest.importorskip("numpy")
    program = "import numpy as np\ndef add(a, b):\n    return np.add(a, b).item()\n"
    (without,) = verdicts(verifier, answer(fenced(program)))
    assert without.outcome == "unverifiable" and "needs the library numpy, which is not in verify.libraries" in without.detail
    arrays = verifier_of(libraries=["numpy"])
    (verdict,) = verdicts(arrays, answer(fenced(program)))
    close(arrays)
    assert verdict.outcome == "passed", verdict


def test_references_as_json_keep_their_text():
    (prompt,) = read({"reference": {"inputs": ["\u2028"], "outputs": ["é"]}})
    assert json.loads(prompt.reference) == {"inputs": ["\u2028"], "outputs": ["é"]}
