"""What the nets made of each training sample: samples.npz, and suspects.csv, derived from it."""

import csv
import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxnoise.config import Config, InputError
from jaxnoise.labels.noisy_dataset import NoisyDataset
from jaxnoise.runs import files
from jaxnoise.training.loop import Progress

# The array with the predictions of each of `checkpoint.NETS`.
PREDICTED = {"best": "best_predicted", "last": "predicted"}


def of_progress(progress: Progress) -> dict[str, np.ndarray]:
    """The arrays of samples.npz, (repeats, training samples) each.

    They are `loss`, float32, on the label trained on, mean over epochs, nats; `score`, float32, the
    same with epochs weighted as `evaluation.Suspicion` does; and the classes predicted in the last
    epoch and in the best one, `predicted` and `best_predicted`, int32, −1 where a repeat diverged
    in its first epoch.
    """
    return {
        **progress.samples._asdict(),
        "score": progress.suspicion.score,
        PREDICTED["best"]: progress.best_predicted,
    }


def suspicion(samples: Mapping[str, np.ndarray]) -> np.ndarray:
    """How suspicious each label is, float32 (repeats, training samples), nats.

    Of an older run, whose samples.npz has no score, it is the mean loss over epochs.
    """
    return samples.get("score", samples["loss"])


def write_samples(folder: Path, samples: Mapping[str, np.ndarray]) -> None:
    """samples.npz, with the arrays of `of_progress`."""
    np.savez_compressed(folder / "samples.npz", **samples)


def read_samples(folder: Path, config: Config, dataset: NoisyDataset) -> dict[str, np.ndarray]:
    """samples.npz, see `of_progress`; an older run has no score, or no best_predicted either.

    Raises:
      InputError: it is missing or damaged.
    """
    path = folder / "samples.npz"
    samples = files.read_arrays(path)
    names = {"loss", "predicted", *(samples.keys() & {"score", *PREDICTED.values()})}
    shape = (config.total_repeats, len(dataset.train_index))
    files.check_shapes(path, samples, dict.fromkeys(names, shape))
    for name in sorted(names - {"loss", "score"}):
        classes = samples[name]
        if classes.dtype.kind not in "iu" or classes.min() < -1 or (
            classes.max() >= dataset.num_classes
        ):  # fmt: skip
            raise InputError(
                f"{path}: {name} holds something else than classes; allowed are integers from 0 to "
                f"{dataset.num_classes - 1}, and -1 for none"
            )
    return samples


def suspects(
    dataset: NoisyDataset, samples: Mapping[str, np.ndarray], *, votes: np.ndarray
) -> dict[str, dict[str, np.ndarray]]:
    """The columns of suspects.csv: all training samples, the most suspicious label first.

    They are `index`, the place in the original train set; `file`, if the data set has files;
    `given_label`, the label trained on; `predicted_label`, of the best epoch: at the last one a net
    has memorized many wrong labels and predicts them; `true_label`, if any label is known to be
    wrong; and `score`: the loss on the given label, weighted mean over epochs, nats, see
    `evaluation.Suspicion`. Labels are names of classes.

    Repeats that were given the same labels vote: mean score, most frequent prediction (the first
    class of equals). Where repeats were given different labels each has a list of its own,
    suspects_repeat_1.csv and so on.

    Args:
      samples: see `of_progress`. Without best_predicted, those of an older run, the list is as it
        was then: predictions of the last epoch, labels as numbers, no true ones.
      votes: bool (repeats,), False for those that diverged; if all did, all have one.

    Returns:
      for each file the columns by their names, each (training samples,): int, str, float32.
    """
    given = np.stack([labels.noisy for labels in dataset.noisy_labels])
    classes = len(dataset.class_names)
    older = PREDICTED["best"] not in samples
    predicted, scores = samples["predicted" if older else PREDICTED["best"]], suspicion(samples)
    # The last one is that of −1.
    names = np.array([*range(classes), -1] if older else [*dataset.class_names, ""])
    true = dataset.noisy_labels[0].clean
    known = not older and (given != true).any()

    def ranked(
        given: np.ndarray, predicted: np.ndarray, score: np.ndarray
    ) -> dict[str, np.ndarray]:
        labels = {"given_label": given, "predicted_label": predicted} | (
            {"true_label": true} if known else {}
        )
        columns = {
            "index": dataset.train_index,
            **({"file": np.array(dataset.train_files)} if dataset.train_files else {}),
            **{name: names[of_all] for name, of_all in labels.items()},
            "score": score,
        }
        order = np.argsort(-score, kind="stable")
        return {name: column[order] for name, column in columns.items()}

    if not (given == given[0]).all():
        return {
            f"suspects_repeat_{i + 1}.csv": ranked(*each)
            for i, each in enumerate(zip(given, predicted, scores, strict=True))
        }
    votes = votes if votes.any() else ~votes
    counts = [(predicted[votes] == k).sum(axis=0) for k in range(-1, classes)]
    majority = np.argmax(counts, axis=0) - 1
    return {"suspects.csv": ranked(given[0], majority, scores[votes].mean(axis=0))}


def write_suspects(
    folder: Path, dataset: NoisyDataset, samples: Mapping[str, np.ndarray], *, votes: np.ndarray
) -> None:
    """The files of `suspects`; scores have six digits."""
    for name, columns in suspects(dataset, samples, votes=votes).items():
        with open(folder / name, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(columns)
            cells = columns | {"score": [f"{x:.6g}" for x in columns["score"]]}
            table.writerows(zip(*cells.values(), strict=True))


def read_suspects(folder: Path, most: int) -> tuple[list[int], dict[str, list[str]]]:
    """The most suspicious samples of a run's list; of several lists, the first repeat's.

    Returns:
      their `index`, and the names of their classes as `given`, `predicted` and, if the list has
      it, `true`.
    """
    (path,) = (*folder.glob("suspects.csv"), *folder.glob("suspects_repeat_1.csv"))
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(itertools.islice(csv.DictReader(file), most))
    kinds = [kind for kind in ("given", "predicted", "true") if f"{kind}_label" in rows[0]]
    labels = {kind: [row[f"{kind}_label"] for row in rows] for kind in kinds}
    return [int(row["index"]) for row in rows], labels
