"""Finished runs side by side, with paired differences from the first.

python -m jaxnoise.compare RUN_DIR... prints a table and writes comparison.md, .csv and .tex.
"""

import sys
from pathlib import Path

from jaxnoise.config import InputError
from jaxnoise.report.comparison import compare
from jaxnoise.terminal.commands import CommandParser, complain


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = CommandParser("compare", __doc__)
    parser.add_argument(
        "runs", metavar="RUN_DIR", nargs="+", type=Path, help="folder of a finished run"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write (default: beside the first run)"
    )
    arguments = parser.parse_args(argv)
    try:
        print(compare(arguments.runs, arguments.out))
    except InputError as error:
        return complain(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
