"""Which frequencies of label noise are fitted, and when.

python -m jaxnoise.wave_response RUN_DIR... collects finished runs with --noise_type=wave_noise,
which differ in --wave_frequency and in regularizers alone, and writes wave_response.json and a
figure. Of every repeat it takes, from history.npz,

  epochs_to_half        the first epoch, from 1, after which at least half of the training samples
                        with a changed label are predicted as labelled; null if there is none,
  changed_as_noisy      the share of them after the last epoch, in percent,
  valid_noisy_accuracy  on validation pictures, whose labels follow the same wave, after the last
                        epoch, in percent: high where the wave was learned and not its samples,
  test_accuracy         on true labels after the last epoch, in percent.
"""

import sys
from pathlib import Path

from jaxnoise.config import InputError
from jaxnoise.spectrum.wave_response import write
from jaxnoise.terminal.commands import CommandParser, complain


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = CommandParser("wave_response", __doc__)
    parser.add_argument("runs", metavar="RUN_DIR", nargs="+", type=Path, help="of a finished run")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: here)")
    arguments = parser.parse_args(argv)
    try:
        print(write(arguments.runs, arguments.out))
    except InputError as error:
        return complain(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
