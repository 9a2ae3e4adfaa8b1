"""Makes the runs of a sweep in this process, and reports how runs end, wherever they are made."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jaxnoise.config import Config, counted
from jaxnoise.experiments import batch
from jaxnoise.experiments.batch import Outcome
from jaxnoise.runs import documents, folders
from jaxnoise.scores.selection import SELECTIONS
from jaxnoise.sweep import plans
from jaxnoise.sweep.grid import PlannedRun
from jaxnoise.terminal import announcements, interruption
from jaxnoise.terminal.display import duration
from jaxnoise.training import assembly

log = logging.getLogger("jaxnoise")


def left_of(planned: Iterable[PlannedRun]) -> list[Config]:
    """The runs that are not finished or are to be made again; logs how many there are."""
    configs = dict.fromkeys(run.config for run in planned)
    left = folders.unfinished(configs)
    log.info(
        "%s, %d already finished; %s",
        counted(len(configs), "run"), len(configs) - len(left),
        counted(len(assembly.by_program(left)), "program"),
    )  # fmt: skip
    return left


def here(configs: Sequence[Config], plan: Path, watch: interruption.Watch) -> Iterator[Outcome]:
    """Makes runs in this process, program by program, and records in the plan how they ended."""
    runner = batch.BatchRunner(watch)
    for program in assembly.by_program(configs):
        for outcome in runner.run(program):
            if not outcome.elsewhere:
                plans.note(plan, folders.run_folder(outcome.config), outcome.error)
            yield outcome


def tell(outcomes: Iterable[Outcome], left: Sequence[Config], plan: Path) -> int:
    """Prints how each run ended, as soon as it has, and finally the runs that failed.

    Args:
      left: the runs to wait for; outcomes may include other runs, which these depend on.

    Returns:
      the exit code: 1 if a run failed.
    """
    started, failed, done, worked = time.time(), [], 0, 0
    work = sum(map(_work, left))
    titles = dict(zip(left, announcements.titles(left), strict=True))
    for outcome in outcomes:
        passed, rest = time.time() - started, ""
        if outcome.config in left:
            done, worked = done + 1, worked + _work(outcome.config)
            # With the compilations so far, as other programs are still to be compiled.
            if worked < work:
                rest = f", about {duration(passed / worked * (work - worked))} left"
        log.info(
            "[%*d/%d] %s: %s  [%s%s]",
            len(str(len(left))), done, len(left),
            titles.get(outcome.config) or announcements.title(outcome.config, " · "),
            _ending(outcome), duration(passed), rest,
        )  # fmt: skip
        if outcome.error and not outcome.elsewhere:
            failed.append((outcome.config.command, outcome.error))
    tell_failed(failed)
    log.info("Plan%s: %s", ", with the errors of failed runs" if failed else "", plan)
    log.info("python -m jaxnoise.report %s shows all runs", plan.parents[1])
    return 1 if failed else 0


def _work(config: Config) -> int:
    """What the time of a run is about proportional to: epochs of all repeats."""
    return config.epochs_num * config.total_repeats


def tell_failed(failed: Iterable[tuple[str, str]]) -> None:
    """Prints commands of failed runs, each with its error."""
    for command, error in failed:
        log.error("Failed: %s\n  %s", command, error)


def _ending(outcome: Outcome) -> str:
    if outcome.elsewhere:
        return f"LEFT ALONE: {outcome.error}"
    if outcome.error:
        return f"FAILED: {outcome.error}"
    return _accuracy(folders.run_folder(outcome.config))


def _accuracy(folder: Path) -> str:
    """Test accuracies of a finished run, at the last epoch and at the one of its scores."""
    document = documents.read_scores(folder)
    n, repeats = document["n"], len(document["repeats"])
    if not n:
        return "all repeats diverged" if repeats > 1 else "diverged"
    told = []
    for name in dict.fromkeys(("last", document["headline"])):
        mean, std = (document["selection"][name][x] for x in ("mean", "std"))
        told.append(f"{SELECTIONS[name].words} {mean:.2f} ± {std:.2f}")
    rest = f" ({n} of {repeats} repeats; the others diverged)" if n < repeats else ""
    return ", ".join(told) + rest
