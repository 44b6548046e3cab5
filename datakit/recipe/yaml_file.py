"""Reading of YAML files that a user writes: recipes, benchmarks, judges, sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from datakit.errors import RecipeError


class _Loader(yaml.SafeLoader):
    """A loader that refuses a key that occurs twice in a mapping; PyYAML silently takes the last one."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if (key.tag, key.value) in lines:
                first = lines[key.tag, key.value]
                said = f"'{key.value}' appears here a second time (the first is in line {first}); leave one out"
                raise yaml.composer.ComposerError(problem=said, problem_mark=key.start_mark)
            lines[key.tag, key.value] = key.start_mark.line + 1
        return node


def read_yaml(path: Path, what: str) -> Any:
    """Return the content of a YAML file. RecipeError, with line and column, if it cannot be read as `what` ("a recipe")."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise RecipeError(f"{path}: cannot be read as {what}: {said or error}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an impossible date
        raise RecipeError(f"{path}: {_said(error)}") from error


def _said(error: Exception) -> str:
    """Return line and column, what is wrong, and below it the line with a mark under the column."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return f"not valid YAML: {' '.join(str(error).split())}"
    said = ", ".join(filter(None, (error.context, error.problem)))
    shown = mark.get_snippet(indent=2) or ""
    below = f"\n{shown}" if shown.splitlines()[0].strip() not in ("", "^") else ""
    wrong = "" if isinstance(error, yaml.composer.ComposerError) else "not valid YAML: "
    return f"line {mark.line + 1}, column {mark.column + 1}: {wrong}{said}{below}"
