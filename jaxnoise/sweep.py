"""A whole grid of runs, with few programs: a command of its own.

python -m jaxnoise.sweep takes the flags of main.py, each with any number of values, and makes a run
of each combination: the same folder, with the same files, as main.py makes of it. Runs that share a
program train as one batch, compiled once. What is finished is not made again, and the same command
goes on with what was interrupted.

  python -m jaxnoise.sweep --dataset=digits --noise_rate=0,0.2,0.4 --wd_coef=0,1e-4 --dry_run
"""

import argparse
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import absl.logging

from jaxnoise import (
    console,
    devices,
    grid,
    interruption,
    plan_file,
    results,
    sweep_estimate,
    together,
)
from jaxnoise.config import Config, InputError, flag_type
from jaxnoise.flags import complain
from jaxnoise.selection import SELECTIONS

log = logging.getLogger("jaxnoise")


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code: 1 if a run failed."""
    # Orbax and TFDS tell absl's log every step they take.
    absl.logging.set_verbosity(absl.logging.WARNING)
    arguments = vars(_parser().parse_args(argv))
    try:
        listed = given(arguments)
        rows = grid.read_rows(arguments["grid"]) if arguments["grid"] else {None: {}}
        planned = grid.cells(rows, listed)
        console.log_to_console(runs=False)
        devices.start(planned[0].config, gpu_asked="GPU_num" in listed)
        configs = list(dict.fromkeys(cell.config for cell in planned))
        for config in configs:
            results.check_usable(results.run_folder(config))
        if arguments["dry_run"]:
            sweep_estimate.tell(planned)
            return 0
        path = plan_file.write(planned)
        with interruption.Watch() as watch:
            return run(configs, path, watch)
    except interruption.Interrupted as interrupted:
        return interrupted.exit_code
    except InputError as error:
        return complain(error)
    except KeyboardInterrupt:  # before there was anything to lose
        return 130


def run(configs: Sequence[Config], plan: Path, watch: interruption.Watch) -> int:
    """Runs what is not finished, program by program, and tells; returns the exit code."""
    started, failed, done = time.time(), [], 0
    left = [c for c in configs if c.overwrite or not results.finished(results.run_folder(c))]
    programs = grid.by_program(left)
    log.info(
        "%d runs, %d of them finished before; %d programs",
        len(configs), len(configs) - len(left), len(programs),
    )  # fmt: skip
    runner = together.Together(watch)
    for program in programs:
        for outcome in runner.run(program):
            folder = results.run_folder(outcome.config)
            plan_file.note(plan, folder, outcome.error)
            done += outcome.config in left
            passed = time.time() - started
            log.info(
                "[%*d/%d] %s: %s  [%s, %s left]",
                len(str(len(left))), done, len(left),
                console.title(outcome.config, " · "),
                f"FAILED: {outcome.error}" if outcome.error else _accuracy(folder),
                _duration(passed), _duration(passed / max(done, 1) * (len(left) - done)),
            )  # fmt: skip
            if outcome.error:
                failed.append(f"{outcome.config.command}\n  {outcome.error}")
    for told in failed:
        log.error("Failed: %s", told)
    log.info("Plan, with what failed: %s", plan)
    log.info("python -m jaxnoise.report %s shows all of it", plan.parents[1])
    return 1 if failed else 0


def _accuracy(folder: Path) -> str:
    """Test accuracies of a finished run, in one line."""
    selection = results.read_scores(folder)["selection"]
    told = []
    for name in ("last", "best_clean_valid"):
        mean, std = selection[name]["mean"], selection[name]["std"]
        told.append(f"{SELECTIONS[name].words} {mean:.2f} ± {std:.2f}" if mean else "diverged")
    return ", ".join(told)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes > 90 else f"{seconds:.0f} s"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m jaxnoise.sweep", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--grid", type=Path, metavar="FILE",
        help="YAML file with values of flags, and under rows those of named rows",
    )  # fmt: skip
    parser.add_argument(
        "--dry_run", action="store_true",
        help="only say what would be run, in which programs, how long it takes and how much memory",
    )  # fmt: skip
    add_flags(parser)
    return parser


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds all flags of main.py; `given` reads them."""
    flags = parser.add_argument_group("flags of main.py, each with values in a list with commas")
    for name, field in grid.FIELDS.items():
        bare = {"nargs": "?", "const": "true"} if flag_type(field) is bool else {}
        help = field.metadata["help"].replace("%", "%%")
        flags.add_argument(f"--{name}", metavar="VALUES", help=help, **bare)


def given(arguments: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values of those flags of main.py that are given.

    Raises:
      InputError: one of them is of another type.
    """
    return {
        name: grid.listed(name, arguments[name])
        for name in grid.FIELDS
        if arguments[name] is not None
    }


if __name__ == "__main__":
    sys.exit(main())
