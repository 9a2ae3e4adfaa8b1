"""python -m jaxnoise lists the commands of jaxnoise."""

import sys

from jaxnoise.terminal import fitting

COMMANDS = {
    "python main.py": "one run: corrupts labels, trains all repeats, writes scores and figures",
    "python -m jaxnoise.compare": "compares finished runs, with paired differences",
    "python -m jaxnoise.noise": "writes noisy labels to a file, of a run or new ones",
    "python -m jaxnoise.export": "writes a net of a run as plain arrays, for Flax or PyTorch",
    "python -m jaxnoise.spectrum": "measures smoothness: spectra, Jacobians, layer norms",
    "python -m jaxnoise.verify": "measures finished runs again and compares every file",
    "python -m jaxnoise.sweep": "makes a grid of runs, here or on a Slurm cluster",
    "python -m jaxnoise.report": "shows all runs of a results folder on one page, and as tables",
    "python -m jaxnoise.tune": "searches coefficients with Optuna",
    "python -m jaxnoise.reproduce": "repeats a reference or published result: does it agree?",
    "python -m jaxnoise.wave_response": "shows whether and when each noise frequency is fitted",
    "python -m jaxnoise.frequency_response": "measures how fast a wide net learns each frequency",
}


def text() -> str:
    """One line per command."""
    width = max(map(len, COMMANDS))
    lines = [f"  {command:{width}}  {about}" for command, about in COMMANDS.items()]
    return "\n".join(
        ["The commands of jaxnoise; --help describes the arguments of each:", "", *lines]
    )


def main() -> int:
    """The command; returns its exit code: 2 if an argument is given other than --help."""
    fitting.show(text())
    return 0 if len(sys.argv) == 1 or sys.argv[1:] in (["--help"], ["-h"]) else 2


if __name__ == "__main__":
    sys.exit(main())
