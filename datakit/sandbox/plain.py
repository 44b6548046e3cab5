"""Recognise tests without side effects: a tester process may run one such suite after another.

Most suites are plain: assertions on calls, literals and operators. A plain suite can change nothing except its own names, so
the next one, of another prompt, finds the process unchanged. Any other suite gets its own tester, which ends with it.
"""

from __future__ import annotations

import ast
import builtins
import functools
import sys

_MAX_LENGTH = 100_000
_NODES = frozenset({
    *(ast.Module, ast.Assert, ast.Expr, ast.Assign, ast.AugAssign, ast.If, ast.For),
    *(ast.arguments, ast.arg, ast.Return, ast.Try, ast.ExceptHandler, ast.Raise, ast.Lambda),
    *(ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Subscript, ast.Slice, ast.Starred),
    *(ast.Call, ast.keyword, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.IfExp, ast.JoinedStr, ast.FormattedValue),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension),
})  # fmt: skip
"""Nodes that are harmless whatever they contain."""
_FUNCTIONS = (
    "abs all any bool bytes chr complex dict divmod enumerate filter float frozenset hash int isinstance iter len list map max"
    " min next ord pow print range repr reversed round set sorted str sum tuple type zip"
)
_HARMLESS = {*_FUNCTIONS.split()} | {
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
}


@functools.lru_cache(maxsize=1024)
def is_plain(tests: str) -> bool:
    """Return whether Python tests can change nothing outside themselves. False also if they cannot be parsed."""
    if len(tests) > _MAX_LENGTH:
        return False
    try:
        tree = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    nodes = _walk(tree)
    return all(type(node) in _NODES or _is_plain(node) for node in nodes) and not _borrowed(nodes)


def _walk(tree: ast.AST) -> list[ast.AST]:
    """Return the nodes that have parts. `ast.walk` takes three times as long, and every suite is checked.

    Nodes without parts (operators, contexts, pass, break, continue) are harmless.
    """
    nodes = [tree]
    for node in nodes:  # the list grows meanwhile
        for part in vars(node).values():
            if isinstance(part, list):
                nodes += [item for item in part if isinstance(item, ast.AST) and item._fields]
            elif isinstance(part, ast.AST) and part._fields:
                nodes.append(part)
    return nodes


def _borrowed(nodes: list[ast.AST]) -> set[str]:
    """Return the program's names that are not called: any may be a module, which the tester imports and a call can change."""
    read, called, made = set[str](), set[str](), {"math"}
    for node in nodes:
        match node:
            case ast.Name(id=name, ctx=context):
                (read if isinstance(context, ast.Load) else made).add(name)
            case ast.Call(func=ast.Name(id=name)):
                called.add(name)
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ExceptHandler(name=str(name)):
                made.add(name)
    read -= _HARMLESS
    return (read - made - called) | (read & sys.stdlib_module_names - called - {"math"})


def _is_plain(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            return all(alias.name == "math" for alias in names)
        case ast.Attribute(attr=name, ctx=context):
            return isinstance(context, ast.Load) and not name.startswith(("_", "gi_", "f_"))
        case ast.Name(id=name):
            return not name.startswith("__") and (not hasattr(builtins, name) or name in _HARMLESS)
        case ast.FunctionDef(decorator_list=decorators):
            return not decorators
    return False
