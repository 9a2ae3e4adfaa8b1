"""Which frequencies of label noise are fitted, and when.

python -m jaxnoise.wave_response RUN_DIR... collects finished runs with --noise_type=wave_noise,
which differ only in --wave_frequency and in regularizers, and writes wave_response.json and a
figure. For every repeat it reports, from history.npz:

  epochs_to_half        the first epoch, from 1, after which the net predicts the changed label for
                        at least half of the training samples that have one; null if there is none,
  changed_as_noisy      the share of these samples for which it does so after the last epoch, in
                        percent,
  valid_noisy_accuracy  the accuracy on validation pictures, whose labels follow the same wave,
                        after the last epoch, in percent: high if the net learned the wave, and did
                        not only memorize its samples,
  test_accuracy         the accuracy on the test set after the last epoch, in percent.
"""

import sys
from pathlib import Path

from jaxnoise.spectrum.wave_figure import write
from jaxnoise.terminal import fitting
from jaxnoise.terminal.commands import CommandParser, ended


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = CommandParser("wave_response", __doc__)
    parser.add_argument(
        "runs", metavar="RUN_DIR", nargs="+", type=Path, help="folder of a finished run"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write (default: the current folder)"
    )
    arguments = parser.parse_args(argv)
    return ended(lambda: _main(arguments.runs, arguments.out))


def _main(runs: list[Path], out: Path | None) -> int:
    fitting.show(write(runs, out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
