"""The runs of a sweep as jobs, by submitit, and as processes of this machine; see also `slurm`.

A job makes some runs of one program. It notes in the sweep's plan how they ended, so that a shared
folder is all that jobs and whoever waits for them have in common.
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

# Repeats in a job, unless cells are counted: they fill the cores of a node or an accelerator, and
# the jobs are still many.
MEMBERS_PER_JOB = 40
_POLL_SECONDS = 0.5
_TEN_YEARS_OF_MINUTES = 10 * 365 * 24 * 60


@dataclasses.dataclass(frozen=True)
class Chunk:
    """What a job does: its runs, as far as they have not ended before it was requeued."""

    configs: tuple[Config, ...]
    plan: Path
    gpu_asked: bool
    command: tuple[str, ...]  # that config.json is to tell
    gpus: str | None = None  # CUDA_VISIBLE_DEVICES of a job on this machine

    def __call__(self) -> None:
        # Orbax and TFDS tell absl's log every step they take.
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
        # Nobody asks it to stop: Slurm does not requeue a job that ends by itself on SIGTERM.
        outcomes = progress.here(left, self.plan, interruption.Watch())
        progress.tell(outcomes, left, self.plan)

    def checkpoint(self) -> DelayedSubmission:
        """What submitit requeues when the job's time is over: the same, since all is on the disk.

        It calls this in a handler of the signal that Slurm sends before it takes the node.
        """
        return DelayedSubmission(self)


def chunks(
    configs: Sequence[Config], plan: Path, *, gpu_asked: bool, cells_per_job: int | None
) -> list[Chunk]:
    """Shares runs out to jobs.

    Args:
      cells_per_job: most runs of a program in a job; by default those of MEMBERS_PER_JOB repeats.
    """
    after: dict[Config, list[Config]] = {}  # runs that need another one, which is made here too
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
    """Where submitit keeps the logs of a sweep's jobs, and what it hands them."""
    return plan.with_name(f"{plan.stem}_jobs")


def run_local(parts: Sequence[Chunk], plan: Path, watch: interruption.Watch) -> Iterator[Outcome]:
    """Runs jobs on this machine, and yields how their runs ended.

    One at a time, since each takes all cores or the GPU; if CUDA_VISIBLE_DEVICES lists several
    GPUs, and --GPU_num chooses none, one on each of them.

    Raises:
      Interrupted: `watch` asked to stop; the jobs have been ended.
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
            time.sleep(2)  # a terminal sends Ctrl-C to them too, and a second one ends them midway
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
    """Yields how runs end, as the plan says, until no job is going any more.

    Raises:
      Interrupted: `watch` asked to stop.
    """
    watch.saved("all epochs but those in hand are saved")
    left = {folders.run_folder(config): config for config in configs}
    while True:
        more = going()  # before the plan is read, which may change meanwhile
        for folder, cell in plans.ended(plan).items():
            if folder in left:
                yield Outcome(left.pop(folder), cell["error"])
        watch.check(0)
        if not more:
            break
        time.sleep(poll_seconds)
    for config in left.values():
        reason = f"its job left it unfinished; why stands in its log in {jobs_folder(plan)}"
        yield Outcome(config, reason)
