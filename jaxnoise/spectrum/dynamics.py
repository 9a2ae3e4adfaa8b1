"""How the spectrum of the learned mapping changes while it is learned: --spectrum_every."""

import functools
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxnoise.config import Config
from jaxnoise.figures.colours import DIVERGING, MEMORIZATION, SETS
from jaxnoise.labels.noisy_dataset import NoisyDataset
from jaxnoise.spectrum import fourier_lines
from jaxnoise.spectrum.fourier_lines import CUTOFF, DIRECTIONS
from jaxnoise.spectrum.panel import Instrument, choose
from jaxnoise.spectrum.shares import (
    centroid,
    mean_over_pictures,
    normalized,
    over_members,
    share_above,
)
from jaxnoise.terminal import announcements
from jaxnoise.training import loop
from jaxnoise.training.assembly import Engine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of each set: fewer than the panel's, since they are measured many times.
PICTURES = 100


class Recorder:
    """Measures line spectra after some epochs and leaves spectrum_dynamics.npz and its figures.

    Until the run is finished, each measured epoch is a file of its own, which a resumed run keeps.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        dataset: NoisyDataset,
        engine: Engine,
        members: list[loop.Member],
    ):
        self._config, self._folder = config, folder
        self._length = fourier_lines.length(dataset.images.shape[1:])
        if config.spectrum_every:
            chosen = choose(dataset, PICTURES)
            self._instrument = Instrument(engine, members, chosen)
            self._spread = functools.partial(
                engine.trainer.spread, members=members, pictures=engine.pictures
            )

    def record(self, epoch: int, states: Any) -> None:
        """Measures all members' states after an epoch, counted from 1, if that epoch is due."""
        every, epochs = self._config.spectrum_every, self._config.epochs_num
        if not every or (epoch % every and epoch < epochs):
            return
        arrays = {}
        for name, power in self._instrument.line_spectra(self._spread(states)).items():
            for quantity, values in (
                ("spectrum", normalized(power)),
                ("share_above_cutoff", share_above(power, CUTOFF)),
                ("centroid", centroid(power, self._length)),
            ):
                arrays[f"{name}_{quantity}"] = np.float32(mean_over_pictures(values))
        self._epochs.mkdir(exist_ok=True)
        partial = self._epochs / ".partial.npz"
        np.savez_compressed(partial, **arrays)
        os.replace(partial, self._epochs / f"{epoch:04d}.npz")

    def finish(self, history: dict[str, np.ndarray]) -> None:
        """Joins all epochs in one file, and draws them beside the run's history.

        spectrum_dynamics.npz holds `epochs`, int (epochs,), counted from 1; `frequencies`, cycles
        per unit distance (bins,); and as means over pictures, of clean, changed and test,
        `*_spectrum`, float32 (epochs, members, directions, bins), which sums to 1 over the bins,
        `*_share_above_cutoff` and `*_centroid`, float32 (epochs, members, directions).
        """
        files = sorted(self._epochs.glob("[0-9]*.npz"))
        if not files:
            return
        rows = []
        for file in files:
            with np.load(file) as archive:
                rows.append(dict(archive))
        dynamics = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        epochs = np.array([int(file.stem) for file in files])
        frequencies = fourier_lines.frequencies(self._length, fourier_lines.POINTS)
        np.savez_compressed(
            self._folder / "spectrum_dynamics.npz",
            epochs=epochs, frequencies=frequencies, directions=DIRECTIONS, **dynamics,
        )  # fmt: skip
        figures, title = self._folder / "figures", announcements.title(self._config, ", ")
        # Here and in `draw`, so that matplotlib loads after training.
        from jaxnoise.figures.drawing import apart, save
        from jaxnoise.spectrum.figures import DIRECTION_WORDS

        with apart(f"the spectrum's figures in {figures}"):
            figures.mkdir(exist_ok=True)
            for j, direction in enumerate(DIRECTIONS):
                figure = draw(
                    epochs, frequencies, {name: x[:, :, j] for name, x in dynamics.items()},
                    history, title=f"{title}\n{DIRECTION_WORDS[direction]}",
                )  # fmt: skip
                save(figure, figures / f"spectrum_dynamics_{direction}")
        shutil.rmtree(self._epochs)

    @property
    def _epochs(self) -> Path:
        return self._folder / "spectrum_epochs"


def draw(
    epochs: np.ndarray,
    frequencies: np.ndarray,
    dynamics: dict[str, np.ndarray],
    history: dict[str, np.ndarray],
    *,
    title: str,
) -> "Figure":
    """Heat maps of frequency × epoch, centroid, memorization and accuracy on one time axis.

    The maps show how much each frequency's share has changed since the first measured epoch.

    Args:
      epochs: int (measured,), counted from 1.
      dynamics: what spectrum_dynamics.npz holds, of one direction.
      history: of all epochs, (epochs, members).
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    from jaxnoise.figures.drawing import decorate
    from jaxnoise.spectrum.figures import FREQUENCY

    sets = [name for name in SETS if f"{name}_spectrum" in dynamics]
    figure = Figure(figsize=(6.8, 1.4 * len(sets) + 4.4), layout="constrained")
    rows = figure.subplots(
        len(sets) + 2, 1, sharex=True, height_ratios=[1] * len(sets) + [1.2, 1.5]
    )
    drawn = slice(1, -1)  # the trend is no frequency, and the last bin is half a bin
    spectra = {
        name: over_members(np.moveaxis(dynamics[f"{name}_spectrum"], 1, 0))[0] for name in sets
    }
    spectra = {name: np.log10(np.maximum(x[:, drawn], 1e-12)) for name, x in spectra.items()}
    changes = {name: x - x[:1] for name, x in spectra.items()}
    largest = max(0.1, *(np.nanmax(np.abs(x), initial=0) for x in changes.values()))
    for axes, name in zip(rows, sets, strict=False):
        image = axes.pcolormesh(
            epochs, frequencies[drawn], changes[name].T, shading="nearest", cmap=DIVERGING,
            vmin=-largest, vmax=largest, rasterized=True,
        )  # fmt: skip
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_title(SETS[name].label, fontsize=9, loc="left")
    figure.colorbar(
        image, ax=rows[: len(sets)], aspect=30,
        label=f"log₁₀ of the change in share of power since epoch {epochs[0]}",
    )  # fmt: skip
    rows[len(sets) // 2].set_ylabel(f"{FREQUENCY}, log scale")
    centroids, shares = rows[-2:]
    for name in sets:
        label, colour, style, _ = SETS[name]
        values = dynamics[f"{name}_centroid"]
        centroids.plot(epochs, values, color=colour, alpha=0.3, lw=0.7)
        centroids.plot(epochs, over_members(values.T)[0], style, color=colour, label=label)
    centroids.set_ylabel("spectral centroid\n(cycles per\nunit distance)", fontsize=9)
    curves = {
        "changed_as_noisy": MEMORIZATION["changed_as_noisy"]._replace(label="changed, as noisy"),
        "changed_as_true": MEMORIZATION["changed_as_true"]._replace(label="changed, as true"),
        "test_accuracy": SETS["test"]._replace(label="test accuracy"),
    }
    all_epochs = np.arange(1, len(history["test_accuracy"]) + 1)
    for name, (label, colour, style, _) in curves.items():
        shares.plot(all_epochs, history[name], color=colour, alpha=0.3, lw=0.7)
        mean, _ = over_members(history[name].T)
        shares.plot(all_epochs, mean, style, color=colour, label=label)
    shares.set_ylabel("predictions (%)", fontsize=9)
    shares.set_ylim(-3, 103)
    shares.set_xlabel("epoch")
    for axes in (centroids, shares):
        decorate(axes)
        axes.legend(
            fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.24), ncols=3
        )
    figure.suptitle(f"{title}, mean over repeats; thin: each of them", fontsize=10)
    return figure
