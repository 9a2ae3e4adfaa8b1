"""python -m jaxnoise lists the commands of jaxnoise."""

import sys

COMMANDS = {
    "python main.py": "one run: corrupts labels, trains all repeats, leaves scores and figures",
    "python -m jaxnoise.compare": "finished runs side by side, with paired differences",
    "python -m jaxnoise.spectrum": "is the learned mapping smooth? spectra, Jacobians, layer norms",
    "python -m jaxnoise.verify": "measures finished runs again and compares every file",
    "python -m jaxnoise.sweep": "a grid of runs, here or on a Slurm cluster",
    "python -m jaxnoise.report": "all runs of a results folder on one page, and as tables",
    "python -m jaxnoise.tune": "searches coefficients with Optuna",
    "python -m jaxnoise.reproduce": "repeats a reference result and checks that it agrees",
    "python -m jaxnoise.wave_response": "which frequencies of label noise are fitted, and when",
    "python -m jaxnoise.frequency_response": "how fast a wide net learns each frequency",
}


def text() -> str:
    """A line for each command."""
    width = max(map(len, COMMANDS))
    lines = [f"  {command:{width}}  {about}" for command, about in COMMANDS.items()]
    return "\n".join(["jaxnoise has these commands; each explains itself with --help:", "", *lines])


def main() -> int:
    """The command; returns its exit code, 2 for an argument, of which it takes none."""
    print(text())
    return 0 if len(sys.argv) == 1 or sys.argv[1:] in (["--help"], ["-h"]) else 2


if __name__ == "__main__":
    sys.exit(main())
