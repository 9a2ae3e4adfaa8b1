"""Searches coefficients with Optuna.

python -m jaxnoise.tune tries values of some flags. Each trial is a run like main.py's, and many of
them train side by side in one program. The search maximizes validation accuracy, by default on
noisy labels, which are available even where clean ones are not; it never uses test accuracy.

  python -m jaxnoise.tune --tune=wd_coef,jacob_coef=1e-4:1e-1 --trials=32 --dataset=digits ...
"""

import logging
import sys
from typing import Any

from tabulate import tabulate

from jaxnoise.config import InputError, counted
from jaxnoise.runs import folders
from jaxnoise.sweep import grid
from jaxnoise.sweep.arguments import add_flags, given
from jaxnoise.sweep.search import OBJECTIVES, RANGES, parse_ranges, search, write
from jaxnoise.terminal import commands, console, display, interruption
from jaxnoise.terminal.commands import CommandParser, complain
from jaxnoise.training import devices

log = logging.getLogger("jaxnoise")


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code: 1 if no trial finished."""
    parser = CommandParser("tune", __doc__)
    parser.add_argument(
        "--tune", required=True, metavar="FLAG[=LOW:HIGH],...",
        help=f"flags to search, with their ranges; {', '.join(RANGES)} have default ranges",
    )  # fmt: skip
    parser.add_argument(
        "--trials", type=int, default=32, help="number of trials; default: %(default)s"
    )
    parser.add_argument(
        "--batch", type=int, default=8,
        help="number of trials that are requested at once; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--objective", choices=OBJECTIVES, default="noisy",
        help="validation labels on which the accuracy, at its best epoch, is maximized; "
        "default: %(default)s",
    )  # fmt: skip
    add_flags(parser)
    arguments = vars(parser.parse_args(argv))
    return commands.ended(lambda: _main(arguments))


def _main(arguments: dict[str, Any]) -> int:
    for name in ("trials", "batch"):
        if arguments[name] < 1:
            raise InputError(f"--{name}={arguments[name]}: allowed is 1 or more")
    ranges, metric = parse_ranges(arguments["tune"]), OBJECTIVES[arguments["objective"]]
    listed = given(arguments)
    if both := listed.keys() & ranges.keys():
        raise InputError(f"--{min(both)}: allowed is a value or a search by --tune, not both")
    for name, (low, high) in ranges.items():  # both ends, before any work
        ends = [grid.parse(name, f"{x:g}") for x in (low, high)]
        tried = grid.planned_runs({None: {}}, listed | {name: ends})
        if any(run.config.best_by is None for run in tried):
            raise InputError(
                f"--validation_ratio=0 with --tune={arguments['tune']}, which maximizes validation "
                "accuracy: allowed is a ratio in (0, 1)"
            )
    (base, *others) = [run.config for run in grid.planned_runs({None: {}}, listed)]
    if others:
        raise InputError("--tune: allowed is one value for each of the other flags")
    console.log_to_console(runs=False)
    devices.start(base, gpu_asked="GPU_num" in listed)
    with display.live(), interruption.Watch() as watch:
        found = search(base, ranges, trials=arguments["trials"], batch=arguments["batch"],
                       metric=metric, watch=watch)  # fmt: skip
    if not found:
        return complain("all trials failed")
    found = sorted(found, key=lambda trial: -trial.objective)
    rows = [
        [*(f"{getattr(config, name):g}" for name in ranges), f"{value:.2f}",
         folders.run_folder(config)]
        for config, value in found[:10]
    ]  # fmt: skip
    header = [*ranges, f"best {arguments['objective']} validation (%)", "folder"]
    log.info("\nThe best of %s:\n%s", counted(len(found), "trial"), tabulate(rows, header))
    log.info("\nAll trials: %s", write(base, ranges, metric, found))
    log.info("The best trial: %s", found[0].config.command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
