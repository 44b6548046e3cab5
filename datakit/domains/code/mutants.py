"""Make wrong variants of a right program, with one small change each: tests that let many of them pass are too weak.

This is for solutions that came with a prompt, not for responses: the program is parsed here, never run.
"""

from __future__ import annotations

import ast
import copy
import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_CALCULATED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_SIGNS = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.In: "in", ast.NotIn: "not in",
    ast.Is: "is", ast.IsNot: "is not", ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//",
    ast.Mod: "%", ast.Pow: "**", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip
_SAME_EITHER_WAY = {"gcd", "max", "min", "lcm", "isclose", "hypot", "print", "add", "mul"}
_END = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_Node = TypeVar("_Node", bound=ast.AST)


class Mutant(NamedTuple):
    """A wrong variant of a program, and its change: "line 3: < becomes <="."""

    text: str
    what: str


class _Change(NamedTuple):
    kind: str
    line: int
    what: str
    apply: Callable[[], None]
    undo: Callable[[], None]


def mutants(program: str, limit: int = 8) -> list[Mutant]:
    """Return at most `limit` wrong variants, the same ones every time, spread over the kinds of change and the lines.

    Each compiles and differs from the program. What tests cannot notice is left out as far as possible: docstrings,
    annotations, messages of assertions, main guards, code after a return. Raises SyntaxError if the program cannot be parsed.
    """
    tree = ast.parse(program)
    same, found = ast.unparse(tree), list[Mutant]()
    for change in _spread([change for node in _alive(tree) for change in _changes(node)]):
        if len(found) >= limit:
            break
        change.apply()
        text = ast.unparse(ast.fix_missing_locations(tree))
        change.undo()
        if text == same or any(text == other.text for other in found):
            continue
        try:
            compile(text, "<mutant>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue
        found.append(Mutant(text, f"line {change.line}: {change.what}"))
    return found


def _spread(changes: list[_Change]) -> list[_Change]:
    """Order changes: one of each kind in turn, within a kind by a hash of their position; lines without a change first."""
    by_kind: dict[str, list[_Change]] = {}
    for change in sorted(changes, key=lambda change: hashlib.sha256(f"{change.line} {change.what}".encode()).digest()):
        by_kind.setdefault(change.kind, []).append(change)
    ordered: list[_Change] = []
    hit: set[int] = set()
    while any(by_kind.values()):
        for kind in sorted(by_kind):
            if not by_kind[kind]:
                continue
            fresh = next((change for change in by_kind[kind] if change.line not in hit), by_kind[kind][0])
            by_kind[kind] = [change for change in by_kind[kind] if change is not fresh]
            hit.add(fresh.line)
            ordered.append(fresh)
    return ordered


def _alive(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the node and its descendants, without what no test can notice."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params") or (
            isinstance(node, ast.Assert) and name == "msg"
        ):
            continue
        if isinstance(value, list):
            for item in _reached(value):
                if isinstance(item, ast.AST) and not _is_passive(item):
                    yield from _alive(item)
        elif isinstance(value, ast.AST):
            yield from _alive(value)


def _reached(items: list[_Node]) -> list[_Node]:
    """Return the statements up to the first return, raise, break or the like; other lists are returned unchanged."""
    end = next((n for n, item in enumerate(items) if isinstance(item, _END)), len(items))
    return items[: end + 1]


def _is_passive(node: ast.AST) -> bool:
    """Return whether the node is a docstring or other bare constant, an import, or a main guard."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If):
        return "__name__" in ast.dump(node.test)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Pass | ast.JoinedStr)


def _changes(node: ast.AST) -> Iterator[_Change]:
    match node:
        case ast.Compare():
            for n, operator in enumerate(node.ops):
                compared = _COMPARED[type(operator)]
                ops = [*node.ops[:n], compared(), *node.ops[n + 1 :]]
                yield _set("comparison", node, "ops", ops, f"{_SIGNS[type(operator)]} becomes {_SIGNS[compared]}")
        case ast.BinOp(left=ast.Constant(value=str())):
            pass  # text is formatted
        case ast.BinOp() | ast.AugAssign():
            if calculated := _CALCULATED.get(type(node.op)):
                yield _set("arithmetic", node, "op", calculated(), f"{_SIGNS[type(node.op)]} becomes {_SIGNS[calculated]}")
        case ast.BoolOp():
            other, what = (ast.Or(), "and becomes or") if isinstance(node.op, ast.And) else (ast.And(), "or becomes and")
            yield _set("logic", node, "op", other, what)
        case ast.If() | ast.While() | ast.IfExp():
            if not isinstance(node.test, ast.Constant):
                yield _set("condition", node, "test", ast.UnaryOp(ast.Not(), node.test), "the condition is negated", node.test)
        case ast.Constant():
            yield from _constants(node)
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield _set("return", node, "value", ast.Constant(None), f"return {_short(value)} becomes return None")
        case ast.Call():
            yield from _calls(node)
    yield from _statements(node)


def _set(kind: str, node: ast.AST, field: str, value: object, what: str, at: ast.AST | None = None) -> _Change:
    """Return the change that sets a field to another value."""
    before = getattr(node, field)
    line: int = getattr(at or node, "lineno", 0)
    return _Change(kind, line, what, lambda: setattr(node, field, value), lambda: setattr(node, field, before))


def _short(node: ast.AST) -> str:
    text = ast.unparse(node).partition("\n")[0]
    return text if len(text) <= 40 else f"{text[:37]}..."


def _constants(node: ast.Constant) -> Iterator[_Change]:
    match node.value:
        case bool() as value:
            yield _set("constant", node, "value", not value, f"{value} becomes {not value}")
        case int() as value:
            yield _set("constant", node, "value", value + 1, f"{value} becomes {value + 1}")
            if value > 1:
                yield _set("constant", node, "value", value - 1, f"{value} becomes {value - 1}")
        case float() as value if value + 1 != value:
            yield _set("constant", node, "value", value + 1, f"{value} becomes {value + 1}")
        case str() as value:
            other = value[:-1] if len(value) > 1 else f"{value}#"
            yield _set("text", node, "value", other, f"{_short(ast.Constant(value))} becomes {_short(ast.Constant(other))}")


def _calls(node: ast.Call) -> Iterator[_Change]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if any(isinstance(argument, ast.Starred) for argument in node.args):
        return
    if name == "range" and node.args:
        at = 0 if len(node.args) == 1 else 1
        args = [*node.args[:at], ast.BinOp(node.args[at], ast.Sub(), ast.Constant(1)), *node.args[at + 1 :]]
        yield _set("range", node, "args", args, f"range ends at {_short(args[at])}")
    elif len(node.args) == 2 and not node.keywords and name not in _SAME_EITHER_WAY:
        first, second = node.args
        if ast.dump(first) != ast.dump(second):
            yield _set("arguments", node, "args", [second, first], f"the arguments of {_short(node.func)} are swapped")


def _statements(node: ast.AST) -> Iterator[_Change]:
    """Yield changes that drop statements, and that make loops continue or stop wrongly."""
    for field in ("body", "orelse"):
        body = getattr(node, field, None)
        if not isinstance(body, list) or isinstance(node, ast.Module | ast.ClassDef):
            continue
        for n, statement in enumerate(_reached(body)):
            if isinstance(statement, ast.Break | ast.Continue):
                other: ast.stmt = ast.Continue() if isinstance(statement, ast.Break) else ast.Break()
                what = "break becomes continue" if isinstance(statement, ast.Break) else "continue becomes break"
                yield _set("loop", node, field, [*body[:n], other, *body[n + 1 :]], what, statement)
            elif isinstance(statement, ast.AugAssign | ast.Assign | ast.Expr | ast.If) and not _is_passive(statement):
                rest = [copy.copy(ast.Pass()), *body[n + 1 :]]
                yield _set("dropped", node, field, [*body[:n], *rest], f"{_short(statement)} is dropped", statement)
