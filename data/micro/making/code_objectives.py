"""What a program can measure of an answer with code, mapped to ArmoRM's 19 objectives (`objectives.OBJECTIVES`)."""

from __future__ import annotations

import ast
import builtins
import re

from objectives import grounded
from running import code_of, passed
from tasks import Task

LONG = 300  # length in characters of an answer that counts as fully verbose


def attributes(task: Task, text: str) -> list[float]:
    """Return the 19 labels of one answer, each from 0 to 1."""
    code = code_of(text)
    tree = parsed(code)
    held = passed(code, task.tests) / len(task.tests)
    right = float(held == 1.0)
    coherent = names_known(tree)
    verbose = min(1.0, len(text) / LONG)
    explained = min(1.0, prose(text, code, tree) / 80)
    statements = min(1.0, sum(isinstance(node, ast.stmt) for node in ast.walk(tree)) / 6) if tree else 0.0
    nodes = min(1.0, sum(1 for _ in ast.walk(tree)) / 80) if tree else 0.0
    lines = [line for line in code.splitlines() if line.strip()]
    readable = max(0.0, 1.0 - abs(sum(map(len, lines)) / max(1, len(lines)) - 30) / 60)
    return [
        0.6 * right + 0.2 * bool(tree) + 0.2 * explained, right, coherent, statements, verbose,
        0.5 * right + 0.3 * coherent + 0.2 * verbose, signature_kept(task, tree), grounded(task, code), held,
        0.5 * right + 0.5 * explained, 1.0, right * coherent, 0.5 * right + 0.25 * coherent + 0.25 * explained, right,
        nodes, float("```python\n" in text), explained, held, readable,
    ]  # fmt: skip


def parsed(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError):
        return None


def names_known(tree: ast.Module | None) -> float:
    """Return the share of names read that are assigned, parameters or builtins; 0 if the code is not Python."""
    if tree is None:
        return 0.0
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    known = {node.id for node in names if isinstance(node.ctx, ast.Store)} | set(dir(builtins))
    known |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    read = [node.id in known for node in names if isinstance(node.ctx, ast.Load)]
    return sum(read) / len(read) if read else 1.0


def signature_kept(task: Task, tree: ast.Module | None) -> float:
    """Return 0.5 for the right function name plus 0.5 for the right parameters."""
    function = next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)), None) if tree else None
    if function is None:
        return 0.0
    return 0.5 * (function.name == task.name) + 0.5 * (tuple(arg.arg for arg in function.args.args) == task.params)


def prose(text: str, code: str, tree: ast.Module | None) -> int:
    """Return the number of characters of explanation: outside the program, or in a docstring."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)] if tree else []
    outside = re.sub(r"```(?:python)?", "", text.replace(code, "")).strip()
    return len(outside) + sum(len(ast.get_docstring(function) or "") for function in functions)
