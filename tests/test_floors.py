"""The layout of the code, read from its syntax trees: who imports whom, where heavy packages load, how long things are."""

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A module imports only from lower floors. A half floor stands on the lower half of the same floor and on nothing above it.
FLOORS = {
    0: ["errors", "signals"],
    1: ["tables", "complaints", "progress"],
    1.25: ["recipe_sources"],
    1.4: ["recipe_rewards"],
    1.5: ["recipe"],
    1.75: ["places"],
    2: ["store", "client", "sandbox", "engine", "sources", "ink", "pace", "cautions"],
    3: ["sampling", "serving", "rewards", "domains", "curation", "collecting", "spending"],
    3.5: ["selection", "resuming", "gathering", "scoring", "resolving"],  # they join what the modules of floor 3 give
    3.75: ["judging", "remote_scoring"],
    4: ["stages", "export", "audit"],
    4.5: ["checking", "planning"],
    4.75: ["stage_view", "ledger", "report_judges"],
    5: ["report", "watch"],
    5.5: ["cli"],
}
FLOOR_OF = {module: floor for floor, modules in FLOORS.items() for module in modules}
HEAVY = {"torch", "transformers", "trl", "datasets", "openai", "ray", "peft", "accelerate", "vllm"}
SLOW_TO_START = {*HEAVY, "polars", "duckdb", "pyarrow", "math_verify", "sympy", "latex2sympy2_extended"}
MAY_PRINT = {"datakit/cli.py", "datakit/report.py"}


def sources(*packages):
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py")) if "_bundled" not in path.parts]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


every_module = pytest.mark.parametrize("path", sources("datakit", "train"), ids=name_of)


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def is_type_checking(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_of(nodes, inside_function=False, for_types=False):
    """(dotted name, is it inside a function, is it only for the type checker) of every import below the nodes."""
    for node in nodes:
        match node:
            case ast.Import():
                yield from ((alias.name, inside_function, for_types) for alias in node.names)
            case ast.ImportFrom():
                assert node.level == 0, f"line {node.lineno}: relative import"
                yield from ((f"{node.module}.{alias.name}", inside_function, for_types) for alias in node.names)
            case ast.If() if is_type_checking(node):
                yield from imports_of(node.body, inside_function, for_types=True)
                yield from imports_of(node.orelse, inside_function, for_types)
            case _:
                function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from imports_of(ast.iter_child_nodes(node), inside_function or function, for_types)


def module_of(path):
    """The module or package of datakit that a file belongs to: domains for domains/math.py, '' for datakit/__init__.py."""
    part = path.relative_to(ROOT / "datakit").parts[0].removesuffix(".py")
    return "" if part == "__init__" else part


def imported_modules(path, types_too=False):
    """Modules and packages of datakit that a file imports, other than its own package."""
    names = [name for name, _, for_types in imports_of([tree_of(path)]) if types_too or not for_types]
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "datakit" and len(part) > 1} - {module_of(path)}


def defined(kind):
    return [
        (name_of(path), node)
        for path in sources("datakit", "train")
        for node in ast.walk(tree_of(path))
        if isinstance(node, kind)
    ]


# ---------------------------------------------------------------------------------------------------- the checks' own


def test_the_checks_see_imports_everywhere():
    tree = ast.parse(
        "import a\nfrom b import c\nif TYPE_CHECKING:\n    import d\nclass C:\n    import e\n"
        "def f():\n    with x:\n        from g.h import i\nasync def j():\n    import k\n"
    )
    assert list(imports_of([tree])) == [
        ("a", False, False),
        ("b.c", False, False),
        ("d", False, True),
        ("e", False, False),
        ("g.h.i", True, False),
        ("k", True, False),
    ]


# --------------------------------------------------------------------------------------------------------- the floors


@pytest.mark.parametrize("path", sources("datakit"), ids=name_of)
def test_a_module_imports_only_from_lower_floors(path):
    module = module_of(path)
    if module == "":
        assert imported_modules(path) == set()
        return
    assert module in FLOOR_OF, f"{name_of(path)} stands on no floor: give it one in FLOORS"
    unknown = sorted(name for name in imported_modules(path) if name not in FLOOR_OF)
    assert unknown == [], "imported, but on no floor"
    too_high = sorted(name for name in imported_modules(path) if FLOOR_OF[name] >= FLOOR_OF[module])
    assert too_high == [], f"{name_of(path)} is on floor {FLOOR_OF[module]}"


@pytest.mark.parametrize("path", sources("datakit"), ids=name_of)
def test_not_even_for_types_does_a_module_look_up(path):
    own = FLOOR_OF.get(module_of(path), 0)
    assert sorted(name for name in imported_modules(path, types_too=True) if FLOOR_OF.get(name, 0) > own) == []


def test_datakit_and_train_do_not_know_each_other():
    crossing = [
        (name_of(path), name)
        for package, other in (("datakit", "train"), ("train", "datakit"))
        for path in sources(package)
        for name, _, _ in imports_of([tree_of(path)])
        if name.split(".")[0] == other
    ]
    assert crossing == []


@every_module
def test_heavy_packages_load_inside_the_function_that_uses_them(path):
    at_import = {name for name, inside, for_types in imports_of([tree_of(path)]) if not inside and not for_types}
    assert sorted(name for name in at_import if name.split(".")[0] in HEAVY) == []


# -------------------------------------------------------------------------------------------------- names and lengths


def test_there_is_no_utils_module():
    assert [name_of(path) for path in sources("datakit", "train") if path.stem in {"utils", "util", "helpers", "common"}] == []


def test_no_class_is_called_a_base_or_a_manager():
    assert [
        (at, node.name) for at, node in defined(ast.ClassDef) if node.name.startswith("Base") or node.name.endswith("Manager")
    ] == []


@every_module
def test_no_module_has_more_than_400_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_no_function_has_more_than_45_lines():
    functions = defined((ast.FunctionDef, ast.AsyncFunctionDef))
    long = {f"{at}:{node.name}": node.end_lineno - node.lineno + 1 for at, node in functions}
    assert {name: lines for name, lines in long.items() if lines > 45} == {}


def test_only_the_command_line_prints():
    calls = [
        f"{at}:{node.lineno}"
        for at, node in defined(ast.Call)
        if at.startswith("datakit/") and at not in MAY_PRINT and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert calls == []


# ------------------------------------------------------------------------------------------------------- the start-up

command_line = pytest.mark.skipif(not (ROOT / "datakit" / "cli.py").exists(), reason="datakit/cli.py does not exist yet")


@command_line
def test_the_command_line_loads_nothing_slow():
    shown = "import sys, datakit.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert sorted(SLOW_TO_START.intersection(loaded)) == []


@command_line
@pytest.mark.slow
def test_help_answers_at_once():
    """Half a second is the aim on an idle machine; here the fastest of three, with room for a busy one."""

    code = "import sys; sys.argv = ['datakit', '--help']; from datakit.cli import main; main()"

    def once():
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True)
        return time.perf_counter() - start

    assert min(once() for _ in range(3)) < 2.0


def test_the_layout_is_where_these_checks_look():
    assert {"datakit/errors.py", "datakit/tables.py", "train/cli.py"} <= {name_of(path) for path in sources("datakit", "train")}
    assert Path(ROOT / "pyproject.toml").is_file()
