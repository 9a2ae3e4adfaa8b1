"""Reproduces reference results and published ones.

python -m jaxnoise.reproduce NAME trains a run whose results are kept in reference/, or one that
answers to a published row of a recipe, and reports whether its test accuracies agree. --list, or no
NAME, lists all names. --record RUN_DIR keeps a finished run's results as a new reference NAME;
further folders of the same run, made on other CPUs or by other versions, make the reference hold
there too.
"""

import sys
from pathlib import Path

import jax
from tabulate import tabulate

from jaxnoise.config import Config, InputError
from jaxnoise.config.recipes import Row
from jaxnoise.experiments import experiment
from jaxnoise.runs import folders
from jaxnoise.scores.selection import SELECTIONS
from jaxnoise.terminal import commands, console, fitting, interruption
from jaxnoise.terminal.commands import CommandParser
from jaxnoise.training import devices
from jaxnoise.verify import published, references


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code: 0 if all agree, 1 if not."""
    parser = CommandParser("reproduce", __doc__)
    parser.add_argument("name", metavar="NAME", nargs="?")
    parser.add_argument("--list", action="store_true", help="list all names and their commands")
    parser.add_argument(
        "--record", type=Path, metavar="RUN_DIR", nargs="+", help="finished run to keep as NAME"
    )
    parser.add_argument(
        "--anyway", action="store_true", help="make the run of a published row on a CPU too"
    )
    for flag in ("results_dir", "data_dir", "manual_dir", "cache_dir"):
        parser.add_argument(f"--{flag}", metavar="DIR", help="as for main.py")
    arguments = vars(parser.parse_args(argv))
    return commands.ended(lambda: _main(**arguments))


def _main(
    name: str | None, list: bool, record: list[Path] | None, anyway: bool, **where: str | None
) -> int:
    if name is None or list:
        _list()
        return 0
    if record is not None:
        print(references.keep(name, record[0], record[1:]))
        return 0
    given = {flag: value for flag, value in where.items() if value is not None}
    if name in published.rows():
        return _published(name, published.rows()[name], anyway, given)
    reference = references.read(name, others=published.rows())
    config = Config(**reference["flags"], **given)
    folder, kept = _run(config)
    comparisons = references.compare(reference, folder)
    fitting.show(f"\n{name}, n = {reference['n']}\n\n{references.table(comparisons)}\n")
    joint = f"{100 * references.CONFIDENCE:g} %"
    print(f"Allowed are the reference's prediction intervals, which hold jointly with {joint}.")
    return _told(name, folder, kept, all(each.agrees for each in comparisons))


def _list() -> None:
    rows = [(each, references.read(each)["command"]) for each in references.names()]
    fitting.show(tabulate(rows, ["NAME", "command"]))
    print("\nPublished rows of the recipes (docs/recipes.md has their sources):\n")
    rows = [
        (
            name,
            published.config(row).command,
            ", ".join(f"{SELECTIONS[of].words} {x:.2f}" for of, x in row.accuracy.items()),
        )
        for name, row in published.rows().items()
    ]
    fitting.show(tabulate(rows, ["NAME", "command", "published test accuracy (%)"]))


def _published(name: str, row: Row, anyway: bool, where: dict[str, str]) -> int:
    config = published.config(row, **where)
    if jax.default_backend() == "cpu" and not anyway and not folders.done(config):
        raise InputError(
            f"NAME={name}: {published.effort(config)}; allowed on a CPU is --anyway, which makes "
            f"the run here. How long it takes: python -m jaxnoise.sweep "
            f"{config.command.partition('main.py ')[2]} --dry_run"
        )
    folder, kept = _run(config)
    comparisons = published.compare(row, folder)
    fitting.show(f"\n{name}, n = {config.total_repeats}\n\n{published.table(comparisons)}\n")
    print(f"Published: {row.source}. Tolerance: {row.why}.")
    return _told(name, folder, kept, all(each.agrees for each in comparisons))


def _run(config: Config) -> tuple[Path, bool]:
    """Makes a run, unless it is finished: its folder, and whether it was."""
    console.log_to_console()
    devices.start(config, gpu_asked=False)
    if kept := folders.done(config):
        folders.check_unchanged(config)
    with interruption.Watch() as watch:
        experiment.run(config, watch)
    return folders.run_folder(config), kept


def _told(name: str, folder: Path, kept: bool, passed: bool) -> int:
    if kept:
        print(f"The run was finished before, and is not repeated: {folder}")
    print(f"{name} {'is' if passed else 'is NOT'} reproduced.")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
