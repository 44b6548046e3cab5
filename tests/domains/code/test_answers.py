"""Where the program of a response stands: a case table (every case says where it comes from), speed, and any text at all."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.domains.code.answers import extract, preamble, prompt_code
from tests.helpers.folders import CASES

TABLE = CASES / "code_answers.jsonl"
STYLES = ["asserts", "humaneval_check", "stdin", "solution_method"]
PROMPT = 'from typing import List\n\n\ndef f(x: List[int]) -> int:\n    """Doc."""\n'
HELPED = 'import math\n\n\ndef area(r):\n    return math.pi * r * r\n\n\ndef ring(a, b):\n    """Between."""\n'


def cases():
    rows = [json.loads(line) for line in TABLE.read_text(encoding="utf-8").splitlines()]
    return [pytest.param(row, id=f"{n}-{row['name']}") for n, row in enumerate(rows)]


@pytest.mark.parametrize("case", cases())
def test_programs_are_found(case):
    found = extract(case["response"], case["prompt"], case["entry_point"], case["style"])
    if case["program"] is None:
        assert found is None
    else:
        assert found is not None
        assert (found.text, found.way, found.sure) == (case["program"], case["way"], case["sure"])


def test_the_table_is_large_and_its_names_are_unique():
    names = [case.values[0]["name"] for case in cases()]
    assert len(names) >= 60
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("prompt", "entry_point", "before"),
    [
        (PROMPT, "f", "from typing import List"),
        (PROMPT, None, "from typing import List"),
        (HELPED, "ring", "import math\n\n\ndef area(r):\n    return math.pi * r * r"),
        (HELPED.replace("\n", "\r\n"), "ring", "import math\n\n\ndef area(r):\n    return math.pi * r * r"),
        (f"Finish it:\n\n```python\n{HELPED}```\n", "area", "import math"),
        ("class Node:\n    pass\n\n\nclass Solution:\n    def go(self):\n", "Solution.go", "class Node:\n    pass"),
        ("class Node:\n    pass\n\n\nclass Solution:\n    def go(self):\n", "go", "class Node:\n    pass"),
        ('"""\nAdd two numbers.\nassert add(1, 2) == 3\n"""\n', "add", ""),
        ("Add two numbers.", "add", ""),
        ("", None, ""),
    ],
)
def test_preambles(prompt, entry_point, before):
    assert preamble(prompt, entry_point) == before


def test_code_of_prompts():
    assert prompt_code("Add two numbers.", "add") is None
    assert prompt_code(PROMPT, "f").strip() == PROMPT.strip()
    assert prompt_code(f"Example:\n```\ndef g(): pass\n```\nYours:\n```python\n{PROMPT}```\n", "f").strip() == PROMPT.strip()


def test_wrapped_methods_work():
    found = extract("```python\ndef add(self, a):\n    return a + 1\n```", "", "Solution.add", "solution_method")
    names = {}
    exec(found.text, names)
    assert names["Solution"]().add(1) == 2
    found = extract("```python\ndef one():\n    return 1\ndef add(a):\n    return a + one()\n```", "", "add", "solution_method")
    exec(found.text, names)
    assert names["Solution"]().add(1) == 2


@pytest.mark.parametrize(
    "piece",
    ["`", "```", "```\n", "```python\n", "~~~\n", "```python\ndef f():\n", "```\n    ```\n", "```\n'''\n", "(", "[", "'", '"',
     "'''", '"""\n', "\\", '"\\', " ", "\t", "\n", "a", "a.", "a, ", "def f(", "def f(\n", "def f(): pass\n", "for in ",
     "lambda ", "import a, ", "@a\n", ">>> x\n", "# x\n", "- ", "1. ", "<code>", "</code>", "<think>", "</think>", "x=1\n",
     "return 1\n",      "text\n", "text\nx = 1\n", "    return 1\n", "\r", "&lt;", "else:\n", "f(\n",
     "```python\ndef f():\n return g()\n```\n"],
)  # fmt: skip
@pytest.mark.parametrize("start", ["", "    "])
def test_extraction_is_linear(piece, start):
    text = start + piece * (30_000 // len(piece))
    for response, prompt in ((text, PROMPT), ("def f(x): return x", text)):
        began_at = time.process_time()
        extract(response, prompt, "f", "humaneval_check")
        assert time.process_time() - began_at < 4.0  # a few tenths; anything quadratic takes minutes


PIECES = st.sampled_from(
    ["```", "```python\n", "```\n", "~~~", "def f(x):\n", "    return x\n", "class A:\n", "import math\n", "from a import b\n",
     '"""', "'''", "(", ")", "[", "'", "\\", "\n", "    ", "\t", ">>> f(1)\n", "text ", "x = 1\n", "# c\n", "<code>", "</code>",
     "if __name__ == '__main__':\n", "@d\n", "else:\n", "\x00", "\ud800", "\r\n", "</think>", "<|im_end|>", "- ",
     "print(f(1))\n"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=25).map("".join))


@given(TEXTS, TEXTS, st.sampled_from([None, "", "f", "A.f", "(", "\n"]), st.sampled_from(STYLES))
def test_no_text_is_too_strange(response, prompt, entry_point, style):
    found = extract(response, prompt, entry_point, style)
    assert found is None or found.text.strip()


NAMES = st.sampled_from(["alpha", "beta", "gamma"])
LOOP = "for i in range(x):\n        x -= 1"
LINES = st.sampled_from(["y = x + 1", "if x:\n        x = 2", LOOP, 's = """a\n  b\n"""', "x = [\n        1,\n    ]"])
BODIES = st.lists(LINES, max_size=4).map(lambda lines: "\n".join(f"    {line}" for line in [*lines, "return x"]))
HOUSES = {
    "fence": lambda code: f"Here it is:\n\n```python\n{code}\n```\n\nIt works by magic.",
    "no language": lambda code: f"```\n{code}\n```",
    "tildes": lambda code: f"~~~py\n{code}\n~~~",
    "open": lambda code: f"Sure.\n```python\n{code}",
    "only the end": lambda code: f"{code}\n```\nDone.",
    "usage": lambda code: f"```python\n{code}\n```\n```python\nprint(1)\n```\n```\n1\n```",
    "bare": lambda code: code,
    "prose": lambda code: f"This is it.\n\n{code}\n\nThis was it.",
    "tags": lambda code: f"[PYTHON]\n{code}\n[/PYTHON]",
    "chat": lambda code: f"{code}<|im_end|>",
    "lines": lambda code: f"```python\n{code}\n```".replace("\n", "\r\n"),
}


@pytest.mark.parametrize("house", HOUSES)
@given(name=NAMES, body=BODIES)
def test_a_program_is_found_back(house, name, body):
    code = f"import math\n\n\ndef {name}(x):\n{body}"
    for style in ("asserts", "humaneval_check"):
        assert extract(HOUSES[house](code), "Write it.", name, style).text.strip() == code


@given(name=NAMES, body=BODIES, how=st.sampled_from(["raw", "stripped", "fenced"]))
def test_a_body_is_put_back(name, body, how):
    given_code = f'import math\n\n\ndef {name}(x):\n    """Says."""\n'
    response = {"raw": body, "stripped": body.strip(), "fenced": f"```python\n{body}\n```"}[how]
    assert extract(response, given_code, name, "humaneval_check").text == f"{given_code}{body}\n"
