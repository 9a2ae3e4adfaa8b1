"""Finished runs side by side, with paired differences from one of them, the baseline.

python -m jaxnoise.compare RUN_DIR... prints a table and writes comparison.md, .csv and .tex. The
baseline is run 1 of the table.
"""

import sys
from pathlib import Path

from jaxnoise.report.comparison import compare
from jaxnoise.terminal import fitting
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
    parser.add_argument(
        "--baseline", type=Path, metavar="RUN_DIR",
        help="the run that differences are from, one of these or another one (default: the only "
        "one without regularizer, loss and method, or else the first)",
    )  # fmt: skip
    arguments = parser.parse_args(argv)
    return ended(lambda: _main(arguments.runs, arguments.out, arguments.baseline))


def _main(runs: list[Path], out: Path | None, baseline: Path | None) -> int:
    # As a pattern such as NOISE/* gives them: what an earlier comparison wrote.
    named = [run for run in runs if not (run.stem == "comparison" and run.is_file())]
    fitting.show(compare(named or runs, out, baseline))
    return 0


if __name__ == "__main__":
    sys.exit(main())
