"""Convert test functions of pytest and classes of unittest into statements that the sandbox runs one after the other.

The tests' own lines keep their numbers, so that a verdict names the right one; the calls follow them. pytest itself is
not needed: a small module of its name has what most tests use, and other uses are refused with a message.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping

from datakit.domains.code import small_pytest
from datakit.domains.code.cases import CannotRun, Runnable

PROGRAM_MODULES = {"solution", "solutions", "main", "program", "your_module"}
"""Modules from which tests import the program: its names are available without that."""
_DEFINING = re.compile(r"\b(?:def|class|Solution)\b")
_MARKS_THAT_MATTER = {"skip", "skipif", "xfail", "usefixtures"}
_SET_UP = {"setup_method", "setup_class", "teardown_method", "teardown_class", "setup", "teardown"}


def styles(tests: str) -> tuple[set[str], str]:
    """Return the formats whose names Python tests define, and what was found; both empty if nothing is tested."""
    if "assert " in tests and not _DEFINING.search(tests):
        return {"asserts"}, "assert"  # most tests of most data sets: recognised without a parser
    try:
        tree = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the sandbox says where; what is it meant to be?
        return ({"asserts"}, "assert") if "assert " in tests else (set(), "")
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    called = {node.value.func.id for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
              and isinstance(node.value.func, ast.Name)}  # fmt: skip
    seen = dict[str, str]()
    if cases := _test_cases(tree):
        seen["unittest"] = f"class {next(iter(cases))}(TestCase)"
    pytests = [name for name, _ in _test_functions(tree) if name.partition(".")[0] not in cases]
    if pytests and not called.issuperset(pytests):  # tests that call their functions themselves are plain statements
        seen["pytest"] = f"def {pytests[0].rpartition('.')[2]}("
    if any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in tree.body):
        seen["solution_method" if "Solution" in names else "humaneval_check"] = "def check("
    if not seen and "Solution" in names:
        seen["solution_method"] = "Solution"
    if not seen and any(isinstance(node, ast.Assert | ast.Call) for node in ast.walk(tree)):
        seen["asserts"] = "assert"
    return set(seen), ", ".join(sorted(seen.values()))


def from_pytest(tests: str, entry_point: str | None) -> Runnable:
    """Call every test function once, with its parameters and the fixtures of the same file."""
    tests = tests.replace("\r\n", "\n").replace("\r", "\n")
    tree = _parsed(tests)
    _refuse(tree)
    fixtures = {name: node for name, node in _functions(tree.body) if _decorated(node, "fixture")}
    cases = _test_cases(tree)
    found = [(name, node) for name, node in _test_functions(tree) if name.partition(".")[0] not in cases]
    calls = [_call(name, node, fixtures) for name, node in found]
    if any("_given[" in call for call in calls):
        _refuse_stderr(tree)
        calls.insert(0, small_pytest.GIVING)
    return _runnable(tests, tree, [*calls, *_unittest_calls(tree, cases)], entry_point)


def from_unittest(tests: str, entry_point: str | None) -> Runnable:
    """Run every test method on its own, as unittest's debug() does: setUp, the test, tearDown, without catching anything."""
    tests = tests.replace("\r\n", "\n").replace("\r", "\n")
    tree = _parsed(tests)
    return _runnable(tests, tree, _unittest_calls(tree, _test_cases(tree)), entry_point)


def _runnable(tests: str, tree: ast.Module, calls: list[str], entry_point: str | None) -> Runnable:
    if not calls:
        raise CannotRun("the tests define no test function and no test method")
    imported = [alias.name for node in _imports_of_program(tree) for alias in node.names if alias.name != "*"]
    if entry_point is None and len(imported) == 1:
        entry_point = imported[0]
    uses_solution = any(isinstance(node, ast.Name) and node.id == "Solution" for node in ast.walk(tree))
    text = "\n".join([_edited(tests, tree), *calls])
    return Runnable(text, "solution_method" if uses_solution else "asserts", entry_point)


def _parsed(tests: str) -> ast.Module:
    try:
        return ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CannotRun(f"the tests do not compile: {type(error).__name__}: {error}") from None


# ------------------------------------------------------------------------------------------------------- what they define


def _functions(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    return ((node.name, node) for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _test_functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield what pytest collects: functions test_*, and such methods of classes Test*, as Class.method."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from ((f"{node.name}.{name}", method) for name, method in _functions(node.body) if name.startswith("test_"))


def _test_cases(tree: ast.Module) -> dict[str, list[str]]:
    """Return the subclasses of TestCase with their test methods, also inherited ones from the same file."""
    found = dict[str, list[str]]()
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        bases = [ast.unparse(base) for base in node.bases]
        if any(base.rpartition(".")[2] in ("TestCase", "IsolatedAsyncioTestCase") or base in found for base in bases):
            inherited = [name for base in bases for name in found.get(base, [])]
            own = [name for name, _ in _functions(node.body) if name.startswith("test")]
            found[node.name] = list(dict.fromkeys([*inherited, *own]))
    return found


def _decorated(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> list[ast.expr]:
    """Return the decorators whose last name is `name`: pytest.fixture, pytest.mark.parametrize(...)."""
    plain = [decorator.func if isinstance(decorator, ast.Call) else decorator for decorator in node.decorator_list]
    return [
        whole for whole, called in zip(node.decorator_list, plain, strict=True) if ast.unparse(called).split(".")[-1] == name
    ]


# -------------------------------------------------------------------------------------------------------------- their calls


def _call(name: str, node: ast.FunctionDef | ast.AsyncFunctionDef, fixtures: Mapping[str, ast.AST]) -> str:
    given = {parameter for decorator in _decorated(node, "parametrize") for parameter in _parameters(decorator, name)}
    owner, _, method = name.rpartition(".")
    asked = [argument.arg for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs][bool(owner) :]]
    needed = asked[: len(asked) - len(node.args.defaults)] if node.args.defaults else asked
    values = [f"{one}={_fixture(one, name, fixtures, ())}" for one in needed if one not in given]
    if given and any("tmp_path" in value.partition("=")[2] for value in values if not value.startswith("tmp_path=")):
        raise CannotRun(f"{name} has parameters and a fixture with a tmp_path of its own, which is not supported here")
    call = f"{owner}().{method}({', '.join(values)})" if owner else f"{name}({', '.join(values)})"
    return f"__import__('asyncio').run({call})" if isinstance(node, ast.AsyncFunctionDef) else call


def _fixture(name: str, test: str, fixtures: Mapping[str, ast.AST], above: tuple[str, ...]) -> str:
    """Return a fixture as the call that makes it."""
    node = fixtures.get(name)
    if node is None and name in small_pytest.FIXTURES:
        return f"_given['given']({name!r}, {test!r})"
    if not isinstance(node, ast.FunctionDef) or name in above:
        raise CannotRun(f"{test} asks for the fixture {name}, which is not here")
    if any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(node)):
        raise CannotRun(f"the fixture {name} yields, which is not supported here")
    values = [f"{one.arg}={_fixture(one.arg, test, fixtures, (*above, name))}" for one in node.args.args]
    return f"{name}({', '.join(values)})"


def _parameters(decorator: ast.expr, test: str) -> list[str]:
    """Return the names of pytest.mark.parametrize(names, values)."""
    if isinstance(decorator, ast.Call) and decorator.args and not any(word.arg == "indirect" for word in decorator.keywords):
        try:
            names = ast.literal_eval(decorator.args[0])
        except ValueError:
            names = None
        if isinstance(names, str):
            return [name.strip() for name in names.split(",")]
        if isinstance(names, list | tuple):
            return [str(name) for name in names]
    raise CannotRun(f"the parameters of {test} are not written out")


def _unittest_calls(tree: ast.Module, cases: Mapping[str, list[str]]) -> list[str]:
    texts = {ast.unparse(node).rpartition(".")[2] for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}
    if found := sorted({"skip", "skipIf", "skipUnless", "skipTest", "SkipTest", "expectedFailure"} & texts) if cases else []:
        raise CannotRun(f"the tests use unittest's {found[0]}, which is not supported here")
    made = {name for name, _ in _functions(tree.body)}
    calls = ["_ = setUpModule()"] if cases and "setUpModule" in made else []
    for case, methods in cases.items():
        calls += [f"_ = {case}.setUpClass()"] if methods else []
        calls += [f"{case}({method!r}).debug()" for method in methods]
    return calls


def _refuse(tree: ast.Module) -> None:
    """Raise CannotRun for what the small pytest does not have."""
    for node in ast.walk(tree):
        if used := _beyond(node):
            raise CannotRun(f"the tests use {used}, which is not supported here")


def _refuse_stderr(tree: ast.Module) -> None:
    """Raise CannotRun if tests read stderr: it is not transferred from the program's process."""
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=[_, ast.Name(id=name)])]) if ast.unparse(node.value).endswith(
                "readouterr()"
            ):
                looks = name in read
            case ast.Subscript(value=value):
                looks = ast.unparse(value).endswith("readouterr()")
            case _:
                looks = isinstance(node, ast.Attribute) and node.attr == "err"
        if looks:
            raise CannotRun("the tests look at capsys's err, which is not supported here")


def _beyond(node: ast.AST) -> str | None:
    match node:
        case ast.Attribute(value=ast.Name(id="pytest"), attr=name) if name not in small_pytest.NAMES:
            return f"pytest.{name}"
        case ast.Attribute(value=ast.Name(id="mark") | ast.Attribute(attr="mark"), attr=name) if name in _MARKS_THAT_MATTER:
            return f"pytest.mark.{name}"
        case ast.ImportFrom(module="pytest", names=names):
            return next((f"pytest.{alias.name}" for alias in names if alias.name not in small_pytest.NAMES), None)
        case ast.ClassDef(name=name, body=body) if name.startswith("Test") and not _test_cases(ast.Module([node], [])):
            return next((f"{name}.{method}" for method, _ in _functions(body) if method in _SET_UP), None)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            made = [decorator for decorator in _decorated(node, "fixture") if isinstance(decorator, ast.Call)]
            asked = [word.arg for decorator in made for word in decorator.keywords if word.arg != "scope"]
            return f"pytest.fixture({asked[0]}=...)" if asked else None
    return None


# --------------------------------------------------------------------------------------------------------- their own lines


def _imports_of_program(tree: ast.Module) -> list[ast.ImportFrom]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module in PROGRAM_MODULES]


def _edited(tests: str, tree: ast.Module) -> str:
    """Return the tests without imports of the program and calls of a test runner, with the small pytest if it is imported."""
    edits = list[tuple[ast.stmt, str]]()
    for taken in _imports_of_program(tree):
        again = [f"{alias.asname} = {alias.name}" for alias in taken.names if alias.asname not in (None, alias.name)]
        edits.append((taken, "; ".join(again) or "pass"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and "pytest" in _modules(node):
            edits.append((node, small_pytest.SHIM + ast.unparse(node)))
    for statement in tree.body:
        if isinstance(statement, ast.Expr) and any(run in ast.unparse(statement) for run in ("unittest.main(", "pytest.main(")):
            edits.append((statement, "pass"))
    lines = [f"{line}\n".encode() for line in tests.split("\n")]
    for node, text in sorted(edits, key=lambda edit: (edit[0].lineno, edit[0].col_offset), reverse=True):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before, behind = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
        lines[first : last + 1] = [before + text.encode() + behind, *[b"\n"] * (last - first)]
    return b"".join(lines).decode()


def _modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
