"""Which score of a label finds the wrong ones: by the losses of all epochs, of one, or held out.

    python benchmarks/suspects.py --dataset=fashion_mnist --train_size=267 --noise_rate=0.1875 \\
      --noise_type=symmetric_noise --net=lenet

takes the flags of main.py, trains the repeats, and ranks their training samples by each score, high
ones first: AUROC of one repeat (mean ± std) and of the mean of all repeats, and how many of the
first samples, as many as there are wrong labels, have one (%). The last row trains five times as
many nets, each on four fifths of the samples, and ranks the others by the probability that the net
at its best epoch on noisy validation labels gives to the label, as cleanlab does by default.
"""

import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import scipy.special
from absl import flags
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from tabulate import tabulate

import main
from jaxnoise.labels import noisy_dataset
from jaxnoise.training import assembly

FOLDS = 5


def trained(config, dataset, index):
    """Logits after each epoch of the pictures at `index`, and accuracy on noisy validation labels.

    Returns:
      float (repeats, epochs, pictures, classes), float (repeats, epochs).
    """
    program, trainer, pictures = assembly.engine(config, dataset)
    members, logits, accuracy = assembly.members(config, dataset), [], []
    for groups, metrics in trainer.epochs(
        members, pictures, epochs=config.epochs_num, jacob_start_epoch=assembly.jacob_start(config)
    ):
        states = [progress.state for progress in groups]
        logits.append(trainer.gather(trainer.logits(states, pictures, index), len(members)))
        accuracy.append(metrics["valid_noisy_accuracy"])
    return np.stack(logits, axis=1), np.stack(accuracy, axis=1)


def scores(logits, accuracy, labels):
    """For one repeat, float (samples,) by the name of the score."""
    each = np.arange(len(labels))
    loss = -scipy.special.log_softmax(logits, axis=-1)[:, each, labels]
    others = np.where(np.eye(logits.shape[-1], dtype=bool)[labels], -np.inf, logits).max(axis=-1)
    wrong = logits.argmax(axis=-1) != labels
    return {
        "mean loss, epochs by the labels not yet fitted": np.average(
            loss, axis=0, weights=1 + wrong.sum(axis=1)
        ),
        "mean loss over epochs": loss.mean(axis=0),
        "mean loss over the second half": loss[len(loss) // 2 :].mean(axis=0),
        "share of epochs with another prediction": wrong.mean(axis=0),
        "area under the margin (Pleiss et al. 2020)": (others - logits[:, each, labels]).mean(0),
        "loss at the best noisy validation": loss[accuracy.argmax()],
        "loss at the last epoch": loss[-1],
    }


def held_out(config, dataset):
    """1 − the mean probability of each label by nets that did not see it: float (samples,)."""
    labels, samples = dataset.noisy_labels[0].noisy, len(dataset.train_index)
    rest = np.arange(samples + len(dataset.valid_index), len(dataset.images))
    found = np.zeros(samples)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(labels, labels)
    for seen, unseen in folds:
        order = np.concatenate([seen, unseen, rest])
        part = dataclasses.replace(
            dataset,
            images=dataset.images[order],
            labels=dataset.labels[order],
            split=np.repeat(np.arange(3, dtype=np.int32), [len(seen), len(unseen), len(rest)]),
            train_index=dataset.train_index[seen],
            valid_index=dataset.train_index[unseen],
            noisy_labels=tuple(_part(of, seen) for of in dataset.noisy_labels),
            noisy_valid_labels=tuple(_part(of, unseen) for of in dataset.noisy_labels),
        )
        index = np.arange(len(seen), samples, dtype=np.int32)
        logits, accuracy = trained(config, part, index)
        best = np.stack([of[by.argmax()] for of, by in zip(logits, accuracy, strict=True)])
        chances = scipy.special.softmax(best, axis=-1).mean(axis=0)
        found[unseen] = 1 - chances[np.arange(len(unseen)), labels[unseen]]
    return found


def _part(labels, index):
    kept = ("noisy", "clean", "picked", "changed")
    return labels._replace(**{name: getattr(labels, name)[index] for name in kept})


def report(argv):
    main.define_flags()
    flags.FLAGS(argv)
    config = main.config_of_flags()
    dataset = noisy_dataset.load(config)
    labels, wrong = dataset.noisy_labels[0].noisy, dataset.noisy_labels[0].changed
    logits, accuracy = trained(config, dataset, np.arange(len(labels), dtype=np.int32))
    found = [scores(*repeat, labels) for repeat in zip(logits, accuracy, strict=True)]
    by_name = {name: np.stack([of[name] for of in found]) for name in found[0]}
    by_name[f"held out, {FOLDS} folds"] = held_out(config, dataset)[None]
    rows = []
    for name, values in by_name.items():
        areas, vote = [roc_auc_score(wrong, of) for of in values], values.mean(axis=0)
        first = np.argsort(-vote, kind="stable")[: wrong.sum()]
        spread = f"{np.mean(areas):.3f} ± {np.std(areas, ddof=1):.3f}" if len(areas) > 1 else ""
        rows.append([name, spread, f"{roc_auc_score(wrong, vote):.3f}", 100 * wrong[first].mean()])
    print(f"{config.dataset}: {len(labels)} training samples, {wrong.sum()} with a wrong label")
    header = ["score", "AUROC, each repeat", "AUROC, mean of repeats", "wrong among the first (%)"]
    print(tabulate(rows, header, tablefmt="github", floatfmt=".0f", disable_numparse=[1, 2]))


if __name__ == "__main__":
    report(sys.argv)
