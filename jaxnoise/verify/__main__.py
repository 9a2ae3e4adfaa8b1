"""Whether the nets and labels of a finished run give the numbers that it recorded.

python -m jaxnoise.verify RUN_DIR... loads the data set, the labels in noise.npz and the nets in the
checkpoints, measures again what the run measured, and compares. It exits with 0 if everything
matches, 1 if something does not, 2 if a run cannot be verified. Nothing is trained: what only
training can give, the epochs in between and the losses averaged over epochs, is taken from
history.npz and samples.npz.
"""

import sys
from pathlib import Path
from typing import Any

from jaxnoise import data
from jaxnoise.config import Config, InputError
from jaxnoise.runs import provenance
from jaxnoise.runs.record import read_record, searching_data
from jaxnoise.scores.scoring import SCORES
from jaxnoise.terminal import console, fitting, location_flags
from jaxnoise.terminal.commands import CommandParser, complain, ended
from jaxnoise.training import surroundings
from jaxnoise.verify.check import sentence, table
from jaxnoise.verify.checks import all_checks


def verify(folder: Path, **where: str) -> tuple[bool, str]:
    """Whether everything a run recorded matches, and the text to print about it.

    Args:
      folder: of a finished run.
      where: flags that say where the data are, to use instead of the run's.

    Raises:
      InputError: there is no finished run, or its data set cannot be loaded.
    """
    run = read_record(folder, **where)
    config = run.config
    with searching_data(run.facts):
        data.load(
            config.dataset,
            data_dir=config.data_dir,
            manual_dir=config.manual_dir,
            cache_dir=config.cache_dir,
            split_seed=config.split_seed,
            image_size=config.image_size,
        )
    checks = list(all_checks(run))
    notes = [f"{check.what}: {check.note}." for check in checks if check.note]
    lines = [
        f"Run {folder}",
        *_elsewhere(run.facts, config),
        "",
        table(checks),
        "",
        *notes,
        sentence(checks, SCORES, config.total_repeats),
    ]
    return not any(check.failed for check in checks), "\n".join(lines)


def _elsewhere(recorded: dict[str, Any], config: Config) -> list[str]:
    """A line each on versions and device, and on code and environment, that are not the run's."""
    before, now = (_made_with(facts) for facts in (recorded, provenance.facts()))
    changed = [f"{name} {before.get(name)} (here {now[name]})" for name in now
               if before.get(name) != now[name]]  # fmt: skip
    lines = [f"Made with {'; '.join(changed)}"] if changed else []
    if trained := surroundings.changes(recorded, surroundings.of_run(config)):
        lines.append(f"Made {'; '.join(trained)}")
    return lines


def _made_with(facts: dict[str, Any]) -> dict[str, str]:
    return {**facts.get("versions", {}), "device": facts.get("device", {}).get("kind")}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = CommandParser("verify", __doc__)
    parser.add_argument(
        "runs", metavar="RUN_DIR", nargs="+", type=Path, help="folder of a finished run"
    )
    location_flags.add_where(parser)
    arguments = vars(parser.parse_args(argv))
    return ended(lambda: _main(arguments))


def _main(arguments: dict[str, Any]) -> int:
    console.log_to_console()
    code, where = 0, location_flags.start(arguments)
    for folder in arguments["runs"]:
        try:
            matches, told = verify(folder, **where)
        except InputError as error:
            code = complain(error)
        else:
            fitting.show(f"{told}\n")
            code = max(code, int(not matches))
    return code


if __name__ == "__main__":
    sys.exit(main())
