"""Measuring the spectral panel of one finished run, and writing it into its folder."""

import json
import logging
import time
from pathlib import Path

import numpy as np

from jaxnoise.config import InputError
from jaxnoise.figures.drawing import apart
from jaxnoise.runs import provenance
from jaxnoise.runs.checkpoint import read_nets
from jaxnoise.runs.noise_record import read_noise
from jaxnoise.runs.record import read_record, searching_data, warn_of_other_code
from jaxnoise.spectrum import figures, fourier_lines
from jaxnoise.spectrum.panel import Instrument, choose
from jaxnoise.spectrum.summary import document as document_of
from jaxnoise.spectrum.summary import summarize
from jaxnoise.spectrum.verdict import Measured
from jaxnoise.terminal import announcements
from jaxnoise.training import assembly

log = logging.getLogger("jaxnoise")


def stem_of(checkpoint: str) -> str:
    """What the names of a panel's files begin with."""
    return "spectrum" if checkpoint == "last" else f"spectrum_{checkpoint}"


def measure(folder: Path, *, checkpoint: str, pictures: int, cutoff: int, **where: str) -> Measured:
    """Measures a run and writes spectrum.json, spectrum.npz and figures into its folder.

    Files of the best checkpoint are named spectrum_best.

    Args:
      checkpoint: one of `checkpoint.NETS`.
      pictures: of each set, at most.
      cutoff: the lowest of the high frequencies, in cycles per line.
      where: flags that say where the data are, to use instead of the run's.

    Raises:
      InputError: there is no finished run, or its data set or nets cannot be loaded.
    """
    started = time.time()
    log.info("Reading %s: its data set, labels and %s nets …", folder, checkpoint)
    run = read_record(folder, **where)
    warn_of_other_code(run)
    config = run.config
    with searching_data(run.facts):
        _, dataset = read_noise(folder, config)
    engine, members = assembly.engine(config, dataset), assembly.members(config, dataset)
    image_shape = dataset.images.shape[1:]
    nets = read_nets(folder, checkpoint, engine.program, image_shape, config.total_repeats)
    chosen = choose(dataset, pictures)
    instrument = Instrument(engine, members, chosen)
    log.info("Measuring on pictures: %s; repeats: %d", _in_words(chosen.sizes), len(members))
    panel = instrument.panel(engine.trainer.spread(nets, members, engine.pictures))

    length = fourier_lines.length(image_shape)
    summary = summarize(panel, length=length, cutoff=cutoff)
    score = {"last": "last_test_accuracy", "best": "test_accuracy"}[checkpoint]
    accuracy = run.report.scores[score]
    stem = stem_of(checkpoint)
    document = {
        "checkpoint": checkpoint,
        "pictures": chosen.sizes,
        "line_length": length,
        "points": fourier_lines.POINTS,
        "cutoff": {"cycles_per_line": cutoff, "cycles_per_unit_distance": cutoff / length},
        **document_of(summary, panel, accuracy),
        **provenance.facts(),
        "wall_seconds": round(time.time() - started, 1),
    }
    arrays = {"frequencies": fourier_lines.frequencies(length, fourier_lines.POINTS)}
    for name in chosen.sizes:
        arrays[f"{name}_power"] = panel.power[name]
        arrays[f"{name}_singular_values"] = panel.singular_values[name]
    for name, index in chosen.of_sets(chosen.lines.index).items():
        arrays[f"{name}_index"] = index
    if panel.norms:
        arrays |= {f"norm_{name}": values for name, values in panel.norms._asdict().items()}
    log.info("Writing %s.json, %s.npz and the figures …", stem, stem)
    try:
        np.savez_compressed(folder / f"{stem}.npz", **arrays)
        text = json.dumps(document, indent=2) + "\n"
        (folder / f"{stem}.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"RUN_DIR={folder}: cannot be written: {error.strerror}") from error
    with apart(f"the spectrum's figures in {folder / 'figures'}"):
        figures.draw(
            folder / "figures", stem, panel, summary, length=length, cutoff=cutoff,
            title=f"{announcements.title(config, ', ')}, {checkpoint} checkpoint",
        )  # fmt: skip
    return Measured(run, summary, panel.upper_bound, panel.unbounded_because, accuracy)


def _in_words(sizes: dict[str, int]) -> str:
    return ", ".join(f"{size} {name}" for name, size in sizes.items())
