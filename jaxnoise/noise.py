"""Writes noisy labels to a file for other programs: those of a run, or new ones, without training.

The labels are those of a finished run, RUN_DIR, or the noise that the flags describe, which are
those of main.py. All samples of the train set get a label: noise is drawn as a run with
--validation_ratio=0 draws it. Beside FILE stand FILE.about.json, with the rates, the transition
matrix, the SHA-256 and how it was made, and FILE.matrix.png, a picture of the matrix. main.py reads
each of the formats with --noise_file.

  python -m jaxnoise.noise RUN_DIR --to=dividemix
  python -m jaxnoise.noise --dataset=cifar10 --noise_type=flip_noise --noise_rate=0.4 --out=flip.npy
"""

import sys
from pathlib import Path
from typing import Any

from jaxnoise.config import FIELDS, Config, InputError, counted, flag_type
from jaxnoise.experiments.noise_export import ORDERS, SETTINGS, check_out, format_of, write_noise
from jaxnoise.noise_files.writing import FORMATS
from jaxnoise.runs.finished import load_run
from jaxnoise.sweep import grid
from jaxnoise.terminal import console
from jaxnoise.terminal.commands import CommandParser, ended
from jaxnoise.terminal.location_flags import WHERE


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = CommandParser("noise", __doc__)
    parser.add_argument(
        "run", metavar="RUN_DIR", nargs="?", type=Path, help="folder of a finished run"
    )
    parser.add_argument(
        "--to", choices=FORMATS,
        help="format: dividemix (a JSON list), npy, csv or npz; default: by the name of --out",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the file to write; default: noise.SUFFIX, here"
    )
    parser.add_argument(
        "--order", choices=ORDERS,
        help="of the samples of MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100: that of the original "
        "files and of PyTorch (original, the default), or that of the TFDS copy (tfds)",
    )  # fmt: skip
    parser.add_argument(
        "--draw", type=int, default=0, help="which of a run's draws of the noise; default: 0"
    )
    group = parser.add_argument_group("the noise to make, and where the data are: as in main.py")
    for name in (*SETTINGS, *WHERE):
        bare = {"nargs": "?", "const": "true"} if flag_type(FIELDS[name]) is bool else {}
        said = FIELDS[name].metadata["help"].replace("%", "%%")
        group.add_argument(f"--{name}", metavar="VALUE", help=said, **bare)
    arguments = vars(parser.parse_args(argv))
    return ended(lambda: _main(arguments))


def _main(arguments: dict[str, Any]) -> int:
    to, out, run = arguments["to"], arguments["out"], arguments["run"]
    if to is None and out is None:
        raise InputError(f"required is --out, or --to with one of {', '.join(FORMATS)}")
    out = out or Path(f"noise{FORMATS[to].suffix}")
    to = format_of(out, to)
    check_out(out)
    given = {
        name: grid.parse(name, arguments[name])
        for name in (*SETTINGS, *WHERE)
        if arguments[name] is not None
    }
    console.log_to_console(runs=False)
    if run is None and "dataset" not in given:
        raise InputError("required is RUN_DIR, or --dataset with the noise to make")
    if run is not None and (settings := sorted(given.keys() - {*WHERE})):
        raise InputError(f"--{settings[0]}: the labels are those of {run}; allowed is one")
    of = Config(**given) if run is None else load_run(run, **given)
    about = write_noise(of, out, to=to, order=arguments["order"], draw=arguments["draw"])
    print(
        f"Written: {out}: {counted(about['samples'], 'label')} of {about['dataset']}, "
        f"{about['changed']} changed ({100 * about['true_rate']:.2f} %), in the order of "
        f"{ORDERS.get(about['order'], 'the data set')}; SHA-256 {about['sha256'][:16]}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
