"""The runs of a sweep as jobs, by submitit, and as processes of this machine; see also `slurm`.

A job makes some runs of one program. It records in the sweep's plan how they ended, so that a
shared folder is all that jobs and the command that waits for them need in common.
"""

import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import absl.logging
import submitit
from submitit.helpers import DelayedSubmission

from jaxnoise.config import Config
from jaxnoise.experiments import forward_matrix
from jaxnoise.experiments.batch import Outcome
from jaxnoise.runs import folders
from jaxnoise.sweep import plans, progress
from jaxnoise.terminal import console, interruption
from jaxnoise.training import assembly, devices

# Repeats in a job unless --cells_per_job is given: enough to fill the cores of a node or an
# accelerator, and few enough that there are still many jobs.
MEMBERS_PER_JOB = 40
_POLL_SECONDS = 0.5
_TEN_YEARS_OF_MINUTES = 10 * 365 * 24 * 60


@dataclasses.dataclass(frozen=True)
class Chunk:
    """The work of a job: its runs, except those that ended before the job was requeued."""

    configs: tuple[Config, ...]
    plan: Path
    gpu_asked: bool
    command: tuple[str, ...]  # to be recorded in config.json
    gpus: str | None = None  # CUDA_VISIBLE_DEVICES of a job on this machine

    def __call__(self) -> None:
        # Orbax and TFDS write every step they take to absl's log.
        absl.logging.set_verbosity(absl.logging.WARNING)
        sys.argv = list(self.command)
        if os.environ.get("SUBMITIT_EXECUTOR") == "local":  # which hides all GPUs
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
            if self.gpus is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = self.gpus
        console.log_to_console(runs=False)
        devices.start(self.configs[0], gpu_asked=self.gpu_asked)
        ended = plans.ended(self.plan)
        left = [config for config in self.configs if folders.run_folder(config) not in ended]
        # A Watch that does not listen: Slurm does not requeue a job that ends by itself on SIGTERM.
        outcomes = progress.here(left, self.plan, interruption.Watch())
        progress.tell(outcomes, left, self.plan)

    def checkpoint(self) -> DelayedSubmission:
        """What submitit requeues when the job's time is over: the same job, since all is on disk.

        submitit calls this in a handler of the signal that Slurm sends before it takes the node.
        """
        return DelayedSubmission(self)


def chunks(
    configs: Sequence[Config], plan: Path, *, gpu_asked: bool, cells_per_job: int | None
) -> list[Chunk]:
    """Distributes runs over jobs.

    Args:
      cells_per_job: maximum number of runs in a job; default: as many as have MEMBERS_PER_JOB
        repeats.
    """
    after: dict[Config, list[Config]] = {}  # runs that depend on another run of this sweep
    for config in configs:
        stage = forward_matrix.first_stage(config)
        if stage in configs:
            after.setdefault(stage, []).append(config)
    later = {config for needing in after.values() for config in needing}
    parts = []
    for program in assembly.by_program(config for config in configs if config not in later):
        size = cells_per_job or max(1, MEMBERS_PER_JOB // program[0].total_repeats)
        parts += [program[i : i + size] for i in range(0, len(program), size)]
    return [
        Chunk(
            (*part, *(needing for config in part for needing in after.get(config, ()))),
            plan, gpu_asked, tuple(sys.argv),
        )
        for part in parts
    ]  # fmt: skip


def jobs_folder(plan: Path) -> Path:
    """The folder in which submitit keeps the logs and the input of a sweep's jobs."""
    return plan.with_name(f"{plan.stem}_jobs")


def run_local(parts: Sequence[Chunk], plan: Path, watch: interruption.Watch) -> Iterator[Outcome]:
    """Runs jobs on this machine, and yields how their runs ended.

    One job runs at a time, since each uses all cores or the GPU. If CUDA_VISIBLE_DEVICES lists
    several GPUs and --GPU_num is not given, one job runs on each GPU.

    Raises:
      Interrupted: `watch` requested a stop; the jobs have been ended.
    """
    local = submitit.LocalExecutor(jobs_folder(plan))
    local.update_parameters(timeout_min=_TEN_YEARS_OF_MINUTES)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    several = visible and parts and not parts[0].gpu_asked
    places, waiting, running = visible.split(",") if several else [visible], list(parts), {}

    def going() -> bool:
        for gpus in places:
            if gpus in running and running[gpus].done():
                del running[gpus]
            if gpus not in running and waiting:
                chunk = dataclasses.replace(waiting.pop(0), gpus=gpus)
                running[gpus] = local.submit(chunk)
        return bool(running)

    try:
        configs = [config for part in parts for config in part.configs]
        yield from follow(configs, plan, going, watch, poll_seconds=_POLL_SECONDS)
    finally:
        if any(not job.done() for job in running.values()):
            time.sleep(2)  # Ctrl-C reaches the jobs too, and a second signal would end them midway
        for job in running.values():
            if not job.done():
                job.cancel()
                job.wait()


def follow(
    configs: Sequence[Config],
    plan: Path,
    going: Callable[[], bool],
    watch: interruption.Watch,
    *,
    poll_seconds: float,
) -> Iterator[Outcome]:
    """Yields how runs end, according to the plan, until no job is left.

    Raises:
      Interrupted: `watch` requested a stop.
    """
    watch.saved("all epochs but the current ones are saved")
    left = {folders.run_folder(config): config for config in configs}
    while True:
        more = going()  # before the plan is read, which may change meanwhile
        for folder, entry in plans.ended(plan).items():
            if folder in left:
                yield Outcome(left.pop(folder), entry["error"])
        watch.check(0)
        if not more:
            break
        time.sleep(poll_seconds)
    for config in left.values():
        reason = f"its job ended without finishing it; see the job's log in {jobs_folder(plan)}"
        yield Outcome(config, reason)
