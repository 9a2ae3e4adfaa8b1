"""Is the learned mapping smooth, and where? The spectral panel of finished runs: a command.

python -m jaxnoise.spectrum RUN_DIR... loads the data set, the labels of noise.npz and the nets of a
checkpoint, and writes spectrum.json, spectrum.npz and figures/spectrum_*.png and .pdf into every
run's folder: Fourier spectra along lines through pictures, singular values of the Jacobian, and
norms of the layers. Over several runs it prints a table and a verdict: whether less high-frequency
power on samples with a changed label goes with test accuracy. Nothing is trained.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from jaxnoise import (
    artefacts,
    assembly,
    commands,
    console,
    figures,
    fourier_lines,
    provenance,
    spectral_panel,
    spectral_summary,
    spectral_verdict,
    spectrum_figures,
    verdict_figure,
)
from jaxnoise.config import InputError
from jaxnoise.exits import CommandParser
from jaxnoise.spectral_verdict import Measured
from jaxnoise.trainer import Trainer

PICTURES = 500
CHECKPOINTS = ("last", "best")


def measure(folder: Path, *, checkpoint: str, pictures: int, cutoff: int, **where: str) -> Measured:
    """Measures a run and writes spectrum.json, spectrum.npz and figures into its folder.

    Files of the best checkpoint are named spectrum_best instead.

    Args:
      checkpoint: one of CHECKPOINTS.
      pictures: of each set, at most.
      cutoff: the lowest of the high frequencies, in cycles per line.
      where: flags that say where the data are, to use instead of the run's.

    Raises:
      InputError: it is no finished run, or its data set or nets cannot be had.
    """
    started = time.time()
    run = artefacts.read_run(folder, **where)
    config = run.config
    _, what = artefacts.read_noise(folder, config)
    program, members, shown = assembly.assemble(config, what)
    image_shape = what.images.shape[1:]
    nets = artefacts.read_nets(
        folder / "checkpoints" / checkpoint, program, image_shape, config.total_repeats
    )
    trainer = Trainer(program, config.batch_size, members_at_once=config.members_at_once)
    chosen = spectral_panel.choose(what, pictures)
    instrument = spectral_panel.Instrument(program, trainer, members, shown, chosen)
    panel = instrument.panel(trainer.spread(nets, members, shown))

    length = fourier_lines.length(image_shape)
    summary = spectral_summary.summarize(panel, length=length, cutoff=cutoff)
    score = {"last": "last_test_accuracy", "best": "test_accuracy"}[checkpoint]
    accuracy = run.report.scores[score]
    stem = "spectrum" if checkpoint == "last" else f"spectrum_{checkpoint}"
    document = {
        "checkpoint": checkpoint,
        "pictures": chosen.sizes,
        "line_length": length,
        "points": fourier_lines.POINTS,
        "cutoff": {"cycles_per_line": cutoff, "cycles_per_unit_distance": cutoff / length},
        **spectral_summary.document(summary, panel, accuracy),
        **provenance.facts(),
        "wall_seconds": round(time.time() - started, 1),
    }
    arrays = {"frequencies": fourier_lines.frequencies(length, fourier_lines.POINTS)}
    for name in chosen.sizes:
        arrays[f"{name}_power"] = panel.power[name]
        arrays[f"{name}_singular_values"] = panel.singular_values[name]
    for name, index in chosen.of_sets(chosen.lines.index).items():
        arrays[f"{name}_index"] = index
    arrays |= {f"norm_{name}": values for name, values in panel.norms._asdict().items()}
    try:
        np.savez_compressed(folder / f"{stem}.npz", **arrays)
        text = json.dumps(document, indent=2) + "\n"
        (folder / f"{stem}.json").write_text(text, encoding="utf-8")
        spectrum_figures.draw(
            folder / "figures", stem, panel, summary, length=length, cutoff=cutoff,
            title=f"{console.title(config, ', ')}, {checkpoint} checkpoint",
        )  # fmt: skip
    except OSError as error:
        raise InputError(f"RUN_DIR={folder}: cannot be written: {error.strerror}") from error
    return Measured(run, summary, panel.norms.upper_bound, accuracy)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = CommandParser("spectrum", __doc__)
    parser.add_argument("runs", metavar="RUN_DIR", nargs="+", type=Path, help="of a finished run")
    parser.add_argument(
        "--checkpoint", choices=CHECKPOINTS, default="last",
        help="the nets after the last epoch (default), or at the best by validation",
    )  # fmt: skip
    parser.add_argument(
        "--pictures", type=_at_least(2), default=PICTURES,
        help="of each set: training samples with unchanged and with changed label, and test "
        f"(default: {PICTURES})",
    )  # fmt: skip
    parser.add_argument(
        "--cutoff", type=_at_least(1, fourier_lines.POINTS // 2), default=fourier_lines.CUTOFF,
        help="the lowest of the high frequencies, in cycles per line "
        f"(default: {fourier_lines.CUTOFF})",
    )  # fmt: skip
    commands.add_where(parser)
    arguments = vars(parser.parse_args(argv))
    how = {name: arguments[name] for name in ("checkpoint", "pictures", "cutoff")}
    try:
        where = commands.start(arguments)
        measured = [measure(folder, **how, **where) for folder in arguments["runs"]]
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(spectral_verdict.text(measured))
    if len(measured) > 1:
        print("Drawn:", _draw_verdict(measured))
    return 0


def _draw_verdict(measured: list[Measured]) -> Path:
    """figures/spectrum_comparison.png and .pdf in the first run's folder."""
    config = measured[0].run.config
    figure = verdict_figure.draw(
        [one.run.config.regularization for one in measured],
        [one.share("changed") for one in measured],
        [one.test_accuracy for one in measured],
        title=", ".join([config.dataset, config.network, config.noise]),
    )
    stem = measured[0].run.folder / "figures" / "spectrum_comparison"
    figures.save(figure, stem)
    return stem.with_suffix(".png")


def _at_least(low: int, high: int | None = None):
    """An argparse type: int in [low, high]."""

    def parse(text: str) -> int:
        value = int(text)
        if value < low or (high is not None and value > high):
            allowed = f"{low} or more" if high is None else f"{low} to {high}"
            raise argparse.ArgumentTypeError(f"{value}: allowed is {allowed}")
        return value

    return parse


if __name__ == "__main__":
    sys.exit(main())
