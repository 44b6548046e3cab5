"""The layout of the code, read from its syntax trees: who imports whom, where heavy packages load, how long things are."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.helpers.folders import ROOT

# Seven floors. A room is a folder or a file of datakit/; a file imports only from rooms of lower floors, also for types.
FLOORS = {
    1: ["errors", "signals", "progress", "tables", "machine", "wording"],  # words that everybody uses
    2: ["recipe", "engine", "client", "sandbox", "tokens", "options"],  # machines, and what a user writes
    3: ["domains", "rewards", "store", "serving"],  # plug-ins; the run folder; model servers
    4: ["collect", "curate", "sample", "verify", "score", "select", "probe"],  # the stages' insides
    5: ["check", "dry_run", "audit", "export", "evaluation"],  # a whole command's work on a run
    6: ["stages", "screen", "page"],  # the flow; what is drawn, on a terminal and for a browser
    7: ["cli", "library"],  # prints to stdout, exits; what Python code calls
}
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
MOST_MODULES = 9  # of datakit's top level, beside __init__ and __main__
DOORS_WITHOUT_NAMES = ("engine", "sandbox", "sandbox/inside")  # child processes load them
HEAVY = {"torch", "transformers", "trl", "datasets", "huggingface_hub", "openai", "ray", "peft", "accelerate", "vllm"}
SLOW_TO_START = {"polars", "duckdb", "pyarrow", "math_verify", "sympy", "latex2sympy2_extended", "jinja2", "starlette"}
SLOW_TO_START |= {*HEAVY, "altair", "vl_convert"}
MAY_PRINT = {"datakit/cli/app.py"}


def sources(*packages):
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py")) if "_bundled" not in path.parts]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


every_module = pytest.mark.parametrize("path", sources("datakit", "train"), ids=name_of)


@cache
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


@cache
def imports_in(path):
    return list(imports_of([tree_of(path)]))


def room_of(path):
    """The room of datakit that a file belongs to: domains for domains/math/domain.py, '' for datakit/__init__.py."""
    part = path.relative_to(ROOT / "datakit").parts[0].removesuffix(".py")
    return "" if part == "__init__" else part


def imported_rooms(path):
    """Rooms of datakit that a file imports, also for types, other than its own."""
    names = [name.split(".") for name, *_ in imports_in(path)]
    return {name[1] for name in names if name[0] == "datakit" and len(name) > 1} - {room_of(path)}


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
def test_a_file_imports_only_from_lower_floors(path):
    """So rooms of one floor do not know each other, either."""
    room = room_of(path)
    if room in ("", "__main__"):
        assert imported_rooms(path) == {"cli" if room else "library"}
        return
    assert room in FLOOR_OF, f"{name_of(path)} stands on no floor: give it one in FLOORS"
    above = {name: FLOOR_OF.get(name) for name in imported_rooms(path) if FLOOR_OF.get(name, 8) >= FLOOR_OF[room]}
    assert above == {}, f"{name_of(path)} is on floor {FLOOR_OF[room]}"


def test_every_room_is_there_and_the_top_level_is_small():
    there = {path.stem for path in (ROOT / "datakit").glob("*.py")}
    folders = {path.parent.name for path in (ROOT / "datakit").glob("*/__init__.py")}
    assert there | folders == {*FLOOR_OF, "__init__", "__main__"}
    assert len(there - {"__init__", "__main__"}) <= MOST_MODULES


@pytest.mark.parametrize("room", sorted({room_of(path) for path in sources("datakit")} - {""}))
def test_inside_a_room_imports_run_downward_only(room):
    """No circle: files can be put in an order in which each imports only those before it. A door comes last."""
    files = {path: dotted(path) for path in sources("datakit") if room_of(path) == room and path.name != "__init__.py"}
    module = {name: path for path, name in files.items()}
    needs = {
        path: {module[found] for name, *_ in imports_in(path) if (found := nearest(name, module)) is not None} - {path}
        for path in files
    }
    while ready := [path for path, others in needs.items() if not others & needs.keys()]:
        for path in ready:
            del needs[path]
    assert {name_of(path): sorted(map(name_of, others & needs.keys())) for path, others in needs.items()} == {}


def dotted(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def nearest(name, modules):
    """The file that a dotted name means: itself, or what it is a name of."""
    return next((part for part in (name, name.rpartition(".")[0]) if part in modules), None)


@pytest.mark.parametrize("path", [path for path in sources("datakit") if path.name == "__init__.py"], ids=name_of)
def test_a_door_hands_on_and_defines_at_most_its_dict(path):
    defines = [node for node in tree_of(path).body if isinstance(node, ast.ClassDef)]
    assert [node.name for node in defines] == []
    if path.parent.relative_to(ROOT / "datakit").as_posix() in DOORS_WITHOUT_NAMES:
        assert imports_in(path) == []


@pytest.mark.parametrize("path", sorted((ROOT / "datakit" / "sandbox" / "inside").glob("*.py")), ids=name_of)
def test_the_inner_side_of_the_sandbox_needs_the_standard_library_alone(path):
    """Libraries that a recipe names are loaded by functions, for the programs that use them."""
    roots = {name.partition(".")[0] for name, inside, _ in imports_in(path) if not inside}
    ours = {name for name, *_ in imports_in(path) if name.startswith("datakit")}
    assert roots - {"datakit"} <= sys.stdlib_module_names
    assert {name for name in ours if not name.startswith("datakit.sandbox.inside")} == set()


def test_datakit_and_train_do_not_know_each_other():
    crossing = [
        (name_of(path), name)
        for package, other in (("datakit", "train"), ("train", "datakit"))
        for path in sources(package)
        for name, _, _ in imports_in(path)
        if name.split(".")[0] == other
    ]
    assert crossing == []


@every_module
def test_heavy_packages_load_inside_the_function_that_uses_them(path):
    at_import = {name for name, inside, for_types in imports_in(path) if not inside and not for_types}
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


@pytest.mark.parametrize("module", ["datakit", "datakit.cli"])
def test_the_command_line_loads_nothing_slow(module):
    shown = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert sorted(SLOW_TO_START.intersection(loaded)) == []


def test_the_flow_loads_neither_numpy_nor_pyarrow():
    """A sixth of a second and 40 MB of every command that selects or builds."""
    shown = "import sys, datakit.stages, datakit.audit.diff; print(*{'numpy', 'pyarrow'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []


def test_the_layout_is_where_these_checks_look():
    assert {"datakit/errors.py", "datakit/tables/schemas.py", "train/cli.py"} <= {
        name_of(path) for path in sources("datakit", "train")
    }
    assert Path(ROOT / "pyproject.toml").is_file()
