"""Makes a grid of runs with few compiled programs.

python -m jaxnoise.sweep takes the flags of main.py, each with any number of values, and makes a run
of each combination, with the same folder and the same files as main.py. Runs that share a program
train as one batch, compiled once. The same command skips finished runs and resumes interrupted
ones.

  python -m jaxnoise.sweep --dataset=digits --noise_rate=0,0.2,0.4 --wd_coef=0,1e-4 --dry_run
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxnoise.config import FIELDS, InputError, nearest
from jaxnoise.runs import folders
from jaxnoise.sweep import estimate, grid, job, plans, progress, slurm
from jaxnoise.sweep.arguments import add_flags, given
from jaxnoise.terminal import commands, console, display, interruption
from jaxnoise.terminal.commands import CommandParser
from jaxnoise.training import devices


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code: 1 if a run failed."""
    parser = _parser()
    parsed, others = parser.parse_known_args(argv)
    if unknown := [word for word in others if not word.startswith("--slurm_")]:
        near = nearest(unknown[0].partition("=")[0], [f"--{name}" for name in FIELDS])
        parser.error(f"unknown: {' '.join(unknown)}{near}; separate values by commas")
    return commands.ended(lambda: _main(vars(parsed), others))


def _main(arguments: dict[str, Any], slurm_words: Sequence[str]) -> int:
    where = arguments["executor"]
    _check_jobs(arguments, slurm_words)
    options = slurm.read_options(slurm_words)
    listed = given(arguments)
    rows = grid.read_rows(arguments["grid"]) if arguments["grid"] else {None: {}}
    planned = grid.planned_runs(rows, listed)
    console.log_to_console(runs=False)
    jobs = {"gpu_asked": "GPU_num" in listed, "cells_per_job": arguments["cells_per_job"]}
    if arguments["dry_run"] or where is None:  # else the jobs use the GPU
        devices.start(planned[0].config, gpu_asked=jobs["gpu_asked"])
    for run in planned:
        folders.check_usable(run.folder)
    if arguments["dry_run"]:
        with display.live():
            estimate.tell(planned)
        return 0
    with display.live(), interruption.Watch() as watch:
        if where == "slurm":
            return slurm.run(planned, options, watch, **jobs, wait=arguments["wait"])
        plan, left = plans.write(planned), progress.left_of(planned)
        if where == "local":
            outcomes = job.run_local(job.chunks(left, plan, **jobs), plan, watch)
        else:
            outcomes = progress.here(left, plan, watch)
        return progress.tell(outcomes, left, plan)


def _check_jobs(arguments: Mapping[str, Any], slurm_words: Sequence[str]) -> None:
    """Raises InputError if a flag concerns jobs that this sweep does not have."""
    where, runs_per_job = arguments["executor"], arguments["cells_per_job"]
    if where != "slurm" and (words := [*slurm_words, *["--wait"] * arguments["wait"]]):
        raise InputError(f"{words[0]}: allowed only with --executor=slurm")
    if runs_per_job is not None and (where is None or runs_per_job < 1):
        raise InputError(
            f"--cells_per_job={runs_per_job}: allowed is 1 or more, and only with --executor"
        )


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("sweep", __doc__)
    parser.usage = (
        "%(prog)s [--grid=FILE] [--dry_run] [--executor=local|slurm] [--FLAG=VALUE,VALUE ...]"
    )
    parser.add_argument(
        "--grid", type=Path, metavar="FILE",
        help="YAML file with values of flags and, under rows, named rows with values of their own",
    )  # fmt: skip
    parser.add_argument(
        "--dry_run", action="store_true",
        help="only print the runs and their programs, with estimates of time and memory",
    )  # fmt: skip
    jobs = parser.add_argument_group(
        "jobs",
        "--slurm_NAME=VALUE sets an option of sbatch, as in --slurm_partition=gpu\n"
        f"--slurm_gres=gpu:1; --slurm_time is in minutes, {slurm.DEFAULT_MINUTES} by default",
    )
    jobs.add_argument(
        "--executor", choices=("local", "slurm"),
        help="make the runs in separate processes: on this machine (local), or as jobs on the "
        "Slurm cluster that it is part of (slurm); default: in this process",
    )  # fmt: skip
    jobs.add_argument(
        "--cells_per_job", type=int, metavar="N",
        help="maximum number of runs in a job, all of one program; default: as many as have about "
        f"{job.MEMBERS_PER_JOB} repeats in all",
    )  # fmt: skip
    jobs.add_argument(
        "--wait", action="store_true",
        help="with --executor=slurm: report how each run ends, until the last job has ended",
    )  # fmt: skip
    add_flags(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
