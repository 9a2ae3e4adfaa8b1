"""Finished runs side by side, with paired differences from the first.

python -m jaxnoise.compare RUN_DIR... prints a table and writes comparison.md, .csv and .tex.
"""

import sys
from pathlib import Path

from jaxnoise.report.comparison import compare
from jaxnoise.terminal.commands import CommandParser, ended


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
    return ended(lambda: _main(arguments.runs, arguments.out))


def _main(runs: list[Path], out: Path | None) -> int:
    print(compare(runs, out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
