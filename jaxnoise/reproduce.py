"""Reproduces reference results.

python -m jaxnoise.reproduce NAME trains a run whose results are kept in reference/, and reports
whether its test accuracies agree with them. Without NAME it lists all references;
--record RUN_DIR keeps a finished run's results as a new reference NAME. Further folders of the same
run, made on other CPUs or by other versions, make the reference hold there too.
"""

import sys
from pathlib import Path

from tabulate import tabulate

from jaxnoise.config import Config
from jaxnoise.experiments import experiment
from jaxnoise.runs import folders
from jaxnoise.terminal import commands, console, fitting, interruption
from jaxnoise.terminal.commands import CommandParser
from jaxnoise.training import devices
from jaxnoise.verify import references


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code: 0 if all agree, 1 if not."""
    parser = CommandParser("reproduce", __doc__)
    parser.add_argument("name", metavar="NAME", nargs="?")
    parser.add_argument(
        "--record", type=Path, metavar="RUN_DIR", nargs="+", help="finished run to keep as NAME"
    )
    for flag in ("results_dir", "data_dir", "manual_dir", "cache_dir"):
        parser.add_argument(f"--{flag}", metavar="DIR", help="as for main.py")
    arguments = vars(parser.parse_args(argv))
    return commands.ended(lambda: _main(**arguments))


def _main(name: str | None, record: list[Path] | None, **where: str | None) -> int:
    if name is None:
        rows = [(each, references.read(each)["command"]) for each in references.names()]
        fitting.show(tabulate(rows, ["NAME", "command"]))
        return 0
    if record is not None:
        print(references.keep(name, record[0], record[1:]))
        return 0
    reference = references.read(name)
    given = {flag: value for flag, value in where.items() if value is not None}
    config = Config(**reference["flags"], **given)
    console.log_to_console()
    devices.start(config, gpu_asked=False)
    folder = folders.run_folder(config)
    if kept := folders.done(config):
        folders.check_unchanged(config)
    with interruption.Watch() as watch:
        experiment.run(config, watch)
    comparisons = references.compare(reference, folder)
    passed = all(each.agrees for each in comparisons)
    fitting.show(f"\n{name}, n = {reference['n']}\n\n{references.table(comparisons)}\n")
    joint = f"{100 * references.CONFIDENCE:g} %"
    print(f"Allowed are the reference's prediction intervals, which hold jointly with {joint}.")
    if kept:
        print(f"The run was finished before, and is not repeated: {folder}")
    print(f"{name} {'is' if passed else 'is NOT'} reproduced.")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
