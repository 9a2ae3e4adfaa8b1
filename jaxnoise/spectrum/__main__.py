"""Is the learned mapping smooth, and where? The spectral panel of finished runs.

python -m jaxnoise.spectrum RUN_DIR... loads the data set, the labels of noise.npz and the nets of a
checkpoint, and writes spectrum.json, spectrum.npz and figures/spectrum_*.png and .pdf into every
run's folder: Fourier spectra along lines through pictures, singular values of the Jacobian, and
norms of the layers. Over several runs it prints a table and a verdict: whether less high-frequency
power on samples with a changed label goes with higher test accuracy. Nothing is trained.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from jaxnoise.config import InputError
from jaxnoise.figures.colours import methods
from jaxnoise.figures.drawing import own_style, save
from jaxnoise.runs.checkpoint import NETS
from jaxnoise.runs.record import read_record
from jaxnoise.spectrum import figures, fourier_lines, verdict
from jaxnoise.spectrum.measure import measure, stem_of
from jaxnoise.spectrum.verdict import Measured
from jaxnoise.terminal import console, fitting, location_flags
from jaxnoise.terminal.commands import CommandParser, ended

PICTURES = 500


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = CommandParser("spectrum", __doc__)
    parser.add_argument(
        "runs", metavar="RUN_DIR", nargs="+", type=Path, help="folder of a finished run"
    )
    parser.add_argument(
        "--checkpoint", choices=NETS, default="last",
        help="measure the nets after the last epoch (default), or after the best validation epoch",
    )  # fmt: skip
    parser.add_argument(
        "--pictures", type=_at_least(2), default=PICTURES,
        help="how many of each set: training samples with an unchanged label, training samples "
        f"with a changed label, and the test set (default: {PICTURES})",
    )  # fmt: skip
    parser.add_argument(
        "--cutoff", type=_at_least(1, fourier_lines.POINTS // 2), default=fourier_lines.CUTOFF,
        help="the lowest of the high frequencies, in cycles per line "
        f"(default: {fourier_lines.CUTOFF})",
    )  # fmt: skip
    location_flags.add_where(parser)
    arguments = vars(parser.parse_args(argv))
    return ended(lambda: _main(arguments))


def _main(arguments: dict[str, Any]) -> int:
    how = {name: arguments[name] for name in ("checkpoint", "pictures", "cutoff")}
    console.log_to_console()
    where = location_flags.start(arguments)
    runs = arguments["runs"]
    for folder in runs:
        config = read_record(folder).config  # before any of them is measured
        if arguments["checkpoint"] == "best" and config.best_by is None:
            raise InputError(
                f"--checkpoint=best: {folder} was made with --validation_ratio=0 and has no best "
                "validation epoch; allowed is last"
            )
    if len({folder.resolve() for folder in runs}) < len(runs):
        raise InputError(f"RUN_DIR={' '.join(map(str, runs))}: one of them is given twice")
    measured = [measure(folder, **how, **where) for folder in runs]
    fitting.show(f"\n{verdict.text(measured)}")
    stem = stem_of(arguments["checkpoint"])
    print(f"Written: {stem}.json, {stem}.npz and figures/{stem}_*, in the folder of each run")
    if len(measured) > 1:
        print("Figure:", _draw_verdict(measured))
    return 0


@own_style()
def _draw_verdict(measured: list[Measured]) -> Path:
    """figures/spectrum_comparison.png and .pdf in the first run's folder."""
    folder = measured[0].run.folder
    measured, _ = verdict.baseline_first(measured)
    common, labels = verdict.common_and_labels([one.run.config for one in measured])
    figure = figures.verdict(
        methods(labels, [one.run.config.regularization for one in measured]),
        [one.share("changed") for one in measured],
        [one.test_accuracy for one in measured],
        title=common or "several data sets, nets and noises",
    )
    stem = folder / "figures" / "spectrum_comparison"
    save(figure, stem)
    return stem.with_suffix(".png")


def _at_least(low: int, high: int | None = None):
    """An argparse type: int in [low, high]."""

    def parse(text: str) -> int:
        value = int(text)
        if value < low or (high is not None and value > high):
            allowed = f"{low} or more" if high is None else f"{low} to {high}"
            raise argparse.ArgumentTypeError(f"{value}: allowed is {allowed}")
        return value

    return parse


if __name__ == "__main__":
    sys.exit(main())
