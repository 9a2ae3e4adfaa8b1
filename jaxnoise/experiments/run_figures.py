"""The figures of a finished run: its curves, its labels as matrices, its suspicious pictures."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxnoise.config import Config
from jaxnoise.figures import confusion, contact_sheet, training_curves
from jaxnoise.labels.noisy_dataset import NoisyDataset
from jaxnoise.runs import samples as of_samples
from jaxnoise.scores import divergence
from jaxnoise.terminal import announcements


def draw(
    folder: Path,
    config: Config,
    dataset: NoisyDataset,
    history: Mapping[str, np.ndarray],
    samples: Mapping[str, np.ndarray],
    best_epoch: np.ndarray,
) -> None:
    """Writes `figures` in the folder of a run, whose lists of suspects are written already.

    Args:
      history: the metrics, float (epochs, repeats) each.
      samples: see `of_samples.of_progress`.
      best_epoch: int (repeats,), counted from 1; 0 if there is none, as without validation.
    """
    figures, title = folder / "figures", announcements.title(config, ", ")
    if config.noise_is_given:
        differ = np.mean([labels.changed.mean() for labels in dataset.noisy_labels])
        title += f", {100 * differ:.1f} % of the labels changed"
    training_curves.draw(
        figures, history, best_epoch, title=title, validation_labels=config.validation_labels
    )
    survived = divergence.epochs(history) == 0
    votes = survived if survived.any() else ~survived
    confusion.draw(
        figures / "confusion",
        dataset.noisy_labels[0].clean,
        np.stack([labels.noisy for labels in dataset.noisy_labels])[votes],
        samples[of_samples.PREDICTED["best"]][votes],
        dataset.class_names,
        title=title,
        epoch="best" if config.best_by else "last",
    )
    places, labels = of_samples.read_suspects(folder, contact_sheet.PICTURES)
    row = {place: i for i, place in enumerate(dataset.train_index)}
    images = dataset.images[[row[place] for place in places]]
    contact_sheet.draw(figures / "suspects", images, labels, title=title)
