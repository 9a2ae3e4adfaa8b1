"""A sweep on a Slurm cluster, by submitit: submits one array of jobs, and reports on it."""

import contextlib
import getpass
import io
import json
import logging
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import submitit

from jaxnoise.config import InputError, counted
from jaxnoise.sweep import job, plans, progress
from jaxnoise.sweep.grid import PlannedRun
from jaxnoise.sweep.job import Chunk
from jaxnoise.terminal import interruption

log = logging.getLogger("jaxnoise")

DEFAULT_MINUTES = 60
# A job whose time is over is requeued and resumes; the limit stops one that never ends an epoch.
MOST_TIMEOUTS = 20
_POLL_SECONDS = 15
# A job is one process, and its name identifies the sweep; num_gpus is gpus_per_node.
_LEFT_OUT = {"job_name", "nodes", "ntasks_per_node", "num_gpus"}


def read_options(words: Sequence[str]) -> dict[str, Any]:
    """Options of sbatch by submitit's names, from words --slurm_NAME=VALUE.

    Numbers, lists, maps, true and false are written as in JSON; anything else is text.

    Raises:
      InputError: there is no such option.
    """
    allowed = sorted(submitit.SlurmExecutor._valid_parameters() - _LEFT_OUT)
    found: dict[str, Any] = {"time": DEFAULT_MINUTES}
    for word in words:
        name, equals, text = word.removeprefix("--slurm_").partition("=")
        if name not in allowed or not equals:
            raise InputError(
                f"{word}: allowed is --slurm_NAME=VALUE with one of the names {', '.join(allowed)}"
            )
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    if type(found["time"]) is not int or found["time"] < 1:  # submitit counts with it
        raise InputError(f"--slurm_time={found['time']}: allowed are whole minutes, 1 or more")
    return found


def run(
    planned: Sequence[PlannedRun],
    options: dict[str, Any],
    watch: interruption.Watch,
    *,
    gpu_asked: bool,
    cells_per_job: int | None,
    wait: bool,
) -> int:
    """Submits the unfinished runs of a sweep, unless it has jobs already, and reports its progress.

    Args:
      options: see `read_options`.
      gpu_asked, cells_per_job: see `job.chunks`.
      wait: whether to stay until the last job has ended, and report how runs end.

    Returns:
      the exit code: 1 if a run has failed and no job will try it again.

    Raises:
      InputError: Slurm does not answer, or rejects the jobs.
      Interrupted: `watch` requested to stop waiting; the jobs continue.
    """
    plan = plans.path_of(planned)
    jobs = queued(plan)
    failed = [(run["command"], run["error"]) for run in _ended(plan) if run["error"]]
    left = progress.left_of(planned)
    if jobs:
        log.info("Jobs of this sweep that have not ended: %s", ", ".join(jobs))
    else:
        progress.tell_failed(failed)
        failed = []
        plans.write(planned)
        if not left:
            return 0
        parts = job.chunks(left, plan, gpu_asked=gpu_asked, cells_per_job=cells_per_job)
        number = submit(parts, plan, options)
        log.info(
            "Submitted %s for %s, number %s",
            counted(len(parts), "job"),
            counted(len(left), "run"),
            number,
        )
    name = _job_name(plan)
    log.info("  logs      %s", job.jobs_folder(plan))
    log.info("  state     squeue --name=%s", name)
    log.info("  cancel    scancel --name=%s", name)
    if wait:
        outcomes = job.follow(left, plan, lambda: _going(plan), watch, poll_seconds=_POLL_SECONDS)
        return progress.tell(outcomes, left, plan)
    progress.tell_failed(failed)
    log.info(
        "The same command reports their progress; once all have ended, it submits the runs that "
        "are not finished"
    )
    return 1 if failed else 0


def queued(plan: Path) -> list[str]:
    """The jobs of a sweep that Slurm has not ended yet, each as in `12_0 RUNNING`.

    Raises:
      InputError: Slurm does not answer.
    """
    command = [
        "squeue", "--noheader", "--array", f"--user={getpass.getuser()}",
        f"--name={_job_name(plan)}", "--format=%i %T",
    ]  # fmt: skip
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        told = " ".join((getattr(error, "stderr", None) or str(error)).split())
        raise InputError(f"--executor=slurm: squeue failed: {told}") from error
    return answer.stdout.splitlines()


def submit(parts: Sequence[Chunk], plan: Path, options: dict[str, Any]) -> str:
    """Submits jobs, as an array if there are several, and returns the number Slurm gives them.

    Raises:
      InputError: Slurm rejects them.
    """
    try:
        # There submitit prints what sbatch writes to it, besides raising it.
        with contextlib.redirect_stderr(io.StringIO()):
            return _submit(parts, plan, options)
    except (RuntimeError, TypeError, ValueError) as error:  # from sbatch, or from submitit's checks
        raise InputError(f"--executor=slurm: {' '.join(str(error).split())}") from error


def _submit(parts: Sequence[Chunk], plan: Path, options: dict[str, Any]) -> str:
    slurm = submitit.SlurmExecutor(job.jobs_folder(plan), max_num_timeout=MOST_TIMEOUTS)
    slurm.update_parameters(job_name=_job_name(plan), **options)
    return slurm.submit_array(parts)[0].job_id.partition("_")[0]


def _going(plan: Path) -> bool:
    try:
        return bool(queued(plan))
    except InputError as error:  # Slurm may be busy for a while
        log.warning("%s", error)
        return True


def _ended(plan: Path) -> list[dict[str, Any]]:
    return list(plans.ended(plan).values()) if plan.is_file() else []


def _job_name(plan: Path) -> str:
    return f"jaxnoise-{plan.stem}"
