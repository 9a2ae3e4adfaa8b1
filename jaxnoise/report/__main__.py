"""All runs of a results folder on one page, and as tables for papers.

python -m jaxnoise.report RESULTS_DIR writes into RESULTS_DIR/report, or into --out: report.html, a
single self-contained page; report.md, .csv and .tex; and accuracy_by_rate_*.png and .pdf.
"""

import sys
from pathlib import Path

from jaxnoise.report.page import write
from jaxnoise.terminal.commands import CommandParser, ended


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = CommandParser("report", __doc__)
    parser.add_argument(
        "results_dir", metavar="RESULTS_DIR", type=Path, help="results folder of main.py or a sweep"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write (default: RESULTS_DIR/report)"
    )
    arguments = parser.parse_args(argv)
    return ended(lambda: _main(arguments.results_dir, arguments.out))


def _main(results_dir: Path, out: Path | None) -> int:
    page = write(results_dir, out or results_dir / "report")
    print(f"Written: {page}, with its tables and figures beside it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
