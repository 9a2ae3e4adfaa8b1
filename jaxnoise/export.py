"""Writes one net of a finished run as plain arrays, to use it without jaxnoise.

python -m jaxnoise.export RUN_DIR --out=FILE.npz writes the parameters and averages of one repeat,
with kernels as the layers apply them (spectral normalization included), and about them as JSON:
their names and axes in PyTorch, the layers, the preprocessing, the classes and the run. Nothing is
trained. docs/library.md rebuilds LeNet from such a file, in Flax and in PyTorch.

  python -m jaxnoise.export RUN_DIR --net=best --repeat=0 --out=lenet.npz
"""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnoise import __version__
from jaxnoise.config import InputError
from jaxnoise.layers.plain import Plain, plain
from jaxnoise.runs import checkpoint
from jaxnoise.runs.finished import FinishedRun, load_run
from jaxnoise.scores import divergence
from jaxnoise.terminal import console, location_flags
from jaxnoise.terminal.commands import CommandParser, ended
from jaxnoise.training import assembly

FORMAT = 1  # of what `export_net` writes


def export_net(
    run: FinishedRun | str | os.PathLike,
    out: str | os.PathLike,
    *,
    net: str = "best",
    repeat: int = 0,
) -> dict[str, Any]:
    """Writes one net of a run to a file .npz of plain arrays, without pickles.

    `params/PATH` and `batch_stats/PATH` are float32 arrays by their paths in Flax. Kernels are
    those that the layers apply in evaluation mode: with spectral normalization the normalized ones.
    `preprocessing/mean` and `preprocessing/scale` map a uint8 picture to the input of the net,
    (image − mean) · scale. `about` is JSON, one str, with the entries

    * format (1), jaxnoise (its version), net, which (best, last or ema), repeat, epoch (from 1),
      run (command, fingerprint, folder, precision: the arrays are float32 whatever the net was
      trained in), dataset (name, data_sha256, image_shape as height, width, channels) and
      class_names;
    * arrays: for each array its name in PyTorch, `pytorch`, and the `axes` that transpose it to
      PyTorch's layout, both null if it is of a layer that is not jaxnoise's;
    * layers, in order of application: their kind (conv, dense, batch_norm), stride, padding (zeros
      on each side), max_pool (2×2, after batch norm and ReLU), bias, epsilon, scale (whether batch
      norm has a factor γ) and relu (whether ReLU follows batch norm);
    * flatten: CHW if a dense layer takes a feature map, channels first as in PyTorch; else null.

    Args:
      run: a finished run, or its folder.
      out: the file to write, whose name ends in .npz; it must not exist.
      net: of the best epoch, which the scores are of, or of the last one: best or last; of a run
        with --ema_decay also ema, the last one with averaged weights.
      repeat: from 0, as in arrays: 0 is the first row of scores.txt.

    Returns:
      the content of `about`.

    Raises:
      InputError: an argument is not allowed, the repeat diverged, the file exists or cannot be
        written, or the run or its data set cannot be read.
    """
    out = Path(os.path.expanduser(out))
    _check_out(out)
    run = run if isinstance(run, FinishedRun) else load_run(run)
    able = checkpoint.NETS + (checkpoint.EMA,) * (run.config.ema_decay is not None)
    if net not in able:
        averaged = "; ema requires a run with --ema_decay" * (net == checkpoint.EMA)
        raise InputError(f"--net={net}: allowed are {', '.join(able)}{averaged}")
    _check_repeat(run, repeat)
    config, dataset = run.config, run.dataset
    image_shape = dataset.images.shape[1:]
    program = assembly.program(config, dataset)
    state = checkpoint.read_nets(run.folder, net, program, image_shape, config.total_repeats)
    variables = jax.tree.map(lambda x: x[repeat], {"params": state.params, **state.variables})
    found = plain(program.measuring().net, variables, image_shape)
    about = _about(run, found, net, repeat)
    arrays = {f"preprocessing/{k}": x for k, x in dataset.preprocessing._asdict().items()}
    content = io.BytesIO()
    np.savez(content, about=np.array(json.dumps(about)), **found.arrays, **arrays)
    _write(out, content.getbuffer())
    return about


def _about(run: FinishedRun, found: Plain, net: str, repeat: int) -> dict[str, Any]:
    config, dataset = run.config, run.dataset
    at_best = net == "best" and config.best_by is not None
    return {
        "format": FORMAT,
        "jaxnoise": __version__,
        "net": config.network,
        "which": net,
        "repeat": int(repeat),
        "epoch": int(run.scores["best_epoch"][repeat]) if at_best else config.epochs_num,
        "run": {
            "command": config.command,
            "fingerprint": config.fingerprint,
            "folder": run.folder.absolute().name,
            "precision": config.precision,
        },
        "dataset": {
            "name": config.dataset,
            "data_sha256": dataset.data_sha256,
            "image_shape": list(dataset.images.shape[1:]),
        },
        "class_names": list(run.class_names),
        "flatten": found.flatten,
        "layers": found.layers,
        "arrays": {
            path: {"pytorch": named.pytorch, "axes": named.axes and list(named.axes)}
            for path, named in found.names.items()
        },
    }


def _check_out(out: Path) -> None:
    if out.suffix != ".npz":
        raise InputError(f"--out={out}: allowed is a file whose name ends in .npz")
    if os.path.lexists(out):
        raise InputError(f"--out={out}: exists; allowed is a new file")
    if not out.parent.is_dir():
        raise InputError(f"--out={out}: there is no folder {out.parent}")


def _check_repeat(run: FinishedRun, repeat: int) -> None:
    repeats, diverged = run.config.total_repeats, divergence.epochs(run.history)
    whole = isinstance(repeat, int | np.integer) and not isinstance(repeat, bool)
    if not whole or not 0 <= repeat < repeats:
        raise InputError(f"--repeat={repeat}: allowed is 0 to {repeats - 1}")
    if diverged[repeat]:
        others = ", ".join(map(str, np.flatnonzero(diverged == 0))) or "none: all diverged"
        raise InputError(
            f"--repeat={repeat}: this repeat diverged at epoch {diverged[repeat]}; allowed are "
            f"{others}"
        )


def _write(out: Path, content: memoryview) -> None:
    try:
        with open(out, "xb") as file:  # never over a file that has come in the meantime
            try:
                file.write(content)
            except BaseException:
                out.unlink()
                raise
    except OSError as error:
        raise InputError(f"--out={out}: cannot be written: {error.strerror}") from error


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = CommandParser("export", __doc__)
    parser.add_argument("run", metavar="RUN_DIR", type=Path, help="folder of a finished run")
    parser.add_argument(
        "--net", choices=(*checkpoint.NETS, checkpoint.EMA), default="best",
        help="the net at the best validation epoch (default), after the last epoch, or after it "
        "with averaged weights (--ema_decay)",
    )  # fmt: skip
    parser.add_argument(
        "--repeat", type=int, default=0,
        help="which repeat, from 0: 0 (the default) is the first row of scores.txt",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE.npz", help="the file to write, a new one"
    )
    location_flags.add_where(parser)
    arguments = vars(parser.parse_args(argv))
    return ended(lambda: _main(arguments))


def _main(arguments: dict[str, Any]) -> int:
    _check_out(arguments["out"])
    console.log_to_console()
    where = location_flags.start(arguments)
    run = load_run(arguments["run"], **where)
    how = {name: arguments[name] for name in ("net", "repeat")}
    about = export_net(run, arguments["out"], **how)
    repeat, epoch = about["repeat"], about["epoch"]
    print(
        f"Written: {arguments['out']}: repeat {repeat + 1} of scores.txt (--repeat={repeat}) after "
        f"epoch {epoch}"
    )
    others = [path for path, named in about["arrays"].items() if named["pytorch"] is None]
    if others:
        print(f"Without a name in PyTorch, and as Flax has them: {', '.join(others)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
