"""The layout of the code in numbers: modules at the top, lines, private functions named once in their file, `Any`.

python benchmarks/counting.py [ROOT]        ROOT: another checkout to compare with
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parents[1]


def trees(root: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((root / "datakit").rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def names_in(tree: ast.Module) -> list[str]:
    """Return every name that is read, as a name or an attribute."""
    found = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return found + [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]


def count(root: Path) -> dict[str, str]:
    n_functions = n_once = n_any = longest = 0
    for _, tree in trees(root):
        names = names_in(tree)
        n_any += names.count("Any")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                n_functions += 1
                longest = max(longest, (node.end_lineno or 0) - node.lineno + 1)
                private = node.name.startswith("_") and not node.name.startswith("__")
                n_once += private and names.count(node.name) <= 1
    top = [path for path in (root / "datakit").glob("*.py") if not path.stem.startswith("__")]
    lines = {name: len((root / name).read_text(encoding="utf-8").splitlines()) for name in ("README.md", "datakit/stages.py")}
    return {
        "modules at the top of datakit/": f"{len(top)}",
        "functions": f"{n_functions:,}",
        "private and named once": f"{n_once:,} ({n_once / n_functions:.1%})",
        "lines of the longest function": f"{longest}",
        "Any": f"{n_any:,}",
        **{f"lines of {name}": f"{n:,}" for name, n in lines.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=HERE)
    for what, number in count(parser.parse_args().root).items():
        print(f"{what:32} {number}")


if __name__ == "__main__":
    main()
