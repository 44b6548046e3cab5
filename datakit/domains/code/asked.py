"""Find tests in a prompt's text, for datasets without a column of tests.

self-oss-instruct asks for code that passes the assertions in a fenced block; LeetCode's problems have examples of inputs and
outputs. An example becomes a test only if it can be one: every input is a parameter of the solution that came with it, all
are plain values, and only one answer is right.
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

_BLOCK = re.compile(r"```[^\n]*\n(.*?)```", re.DOTALL)
_EXAMPLE = re.compile(r"\**Input\**:?\**\s*(?P<inputs>.+?)\s*\**Output\**:?\**\s*(?P<output>[^\n]+)", re.DOTALL)
_NAME = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*")
_CONSTANT = re.compile(r'"(?:\\.|[^"\\])*"|\b(?:true|false|null)\b')
_PYTHON = {"true": "True", "false": "False", "null": "None"}
_SEVERAL = re.compile(
    r"(?i)\bany (?:order|of them|valid|such|answer|one|solution|possible)\b|multiple (?:answers|solutions)|in-place"
)
_OBJECTS = re.compile(r"\b(?:ListNode|TreeNode|Node)\b")


class Asked(NamedTuple):
    """The tests from a prompt's examples, and what models must be told: the function's name and parameters."""

    tests: str
    entry_point: str
    signature: str


def asserts_in(text: str) -> str | None:
    """Return the assert statements of the prompt's fenced blocks; None if there are none, or if a block has other code, too."""
    found: list[str] = []
    for block in _BLOCK.findall(text):
        try:
            body = ast.parse(block).body
        except (SyntaxError, ValueError, RecursionError):
            continue
        if body and all(isinstance(statement, ast.Assert) for statement in body):
            found += [ast.unparse(statement) for statement in body]
    return "\n".join(found) or None


def examples_in(text: str, solution: str | None) -> Asked | None:
    """Return the examples of a problem as asserts on the function of its solution, else None."""
    function = _function(solution or "")
    if function is None or _SEVERAL.search(text) or _OBJECTS.search(f"{text}\n{solution}"):
        return None
    name, parameters = function
    tests = []
    for example in _EXAMPLE.finditer(text):
        inputs, output = _inputs(example["inputs"]), _literal(example["output"])
        if inputs is None or output is None or set(inputs) != set(parameters):
            return None
        called = ", ".join(f"{inputs[parameter]}" for parameter in parameters)
        tests.append(f"assert {name}({called}) == {output}")
    return Asked("\n".join(tests), name, f"{name}({', '.join(parameters)})") if tests else None


def _function(solution: str) -> tuple[str, list[str]] | None:
    """Return the name and parameters of the only top-level function of a solution, else None."""
    block = _BLOCK.search(solution)
    try:
        body = ast.parse(block[1] if block else solution).body
    except (SyntaxError, ValueError, RecursionError):
        return None
    functions = [statement for statement in body if isinstance(statement, ast.FunctionDef)]
    if len(functions) != 1 or any(isinstance(statement, ast.ClassDef) for statement in body):
        return None
    given = functions[0].args
    return (
        (functions[0].name, [one.arg for one in given.args]) if not (given.vararg or given.kwarg or given.kwonlyargs) else None
    )


def _inputs(text: str) -> dict[str, str] | None:
    """Parse `nums = [2,7], target = 9` by name; None if a value is not a literal."""
    found: dict[str, str] = {}
    text = text.strip().strip("`")
    while text:
        name = _NAME.match(text)
        if name is None:
            return None
        rest = text[name.end() :]
        ends = [at.start() for at in re.finditer(r",\s*[A-Za-z_]\w*\s*=", rest)] + [len(rest)]
        value = next((value for end in ends if (value := _literal(rest[:end])) is not None), None)
        if value is None:
            return None
        end = next(end for end in ends if _literal(rest[:end]) is not None)
        found[name[1]] = value
        text = rest[end:].lstrip(", \n")
    return found or None


def _literal(text: str) -> str | None:
    """Return a JSON or Python value as Python writes it; None for anything else, and for floats, whose tolerance is unknown."""
    spelled = _CONSTANT.sub(lambda word: _PYTHON.get(word[0], word[0]), text.strip().strip("`*").strip())
    try:
        value = ast.literal_eval(spelled)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return None if isinstance(value, float | complex | bytes | set) else repr(value)
