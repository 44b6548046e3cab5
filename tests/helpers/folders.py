"""Where the project is, and where the tests keep their tables of cases."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases"
HELPERS = ROOT / "tests" / "helpers"
