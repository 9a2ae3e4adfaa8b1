"""How fast a net learns each frequency, and how much of it remains under a regularizer.

python -m jaxnoise.frequency_response --out DIR trains a wide net on a circle, where theory is
exact, and draws the measured response beside the closed form: see `spectrum.circle`.
"""

import sys
from pathlib import Path

import numpy as np

from jaxnoise.config import Config, InputError
from jaxnoise.figures.drawing import own_style, save
from jaxnoise.spectrum.circle import (
    FREQUENCIES,
    POINTS,
    RATE,
    REGULARIZERS,
    STEPS,
    draw,
    train,
)
from jaxnoise.terminal.commands import CommandParser, ended
from jaxnoise.training import devices


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = CommandParser("frequency_response", __doc__)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", default=Path("."),
        help="where to write (default: the current folder)",
    )  # fmt: skip
    out = parser.parse_args(argv).out
    return ended(lambda: _main(out))


def _main(out: Path) -> int:
    devices.start(Config(), gpu_asked=False)
    try:
        out.mkdir(parents=True, exist_ok=True)
        measured = {regularizer: train(regularizer) for regularizer in REGULARIZERS}
        with own_style():
            save(draw(measured), out / "frequency_response")
    except OSError as error:
        raise InputError(f"--out={out}: cannot be written: {error.strerror}") from error
    for regularizer, amplitudes in measured.items():
        print(REGULARIZERS[regularizer].label)
        theory = regularizer.amplitude(np.array(FREQUENCIES), POINTS, RATE * STEPS)
        for k, expected, found in zip(FREQUENCIES, theory, amplitudes[-1], strict=True):
            said = "" if regularizer.autodiff else f", closed form {expected:.3f}"
            print(f"  frequency {k:2d}: amplitude {found:.3f}{said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
