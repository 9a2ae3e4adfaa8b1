"""How the three kinds of instance noise differ: how sure they are, and where wrong labels go.

    python benchmarks/instance_noise.py --dataset=cifar10 --noise_rate=0.4 --draws=10

draws labels for the whole train set, with seeds 0, 1, … The columns, as mean ± standard deviation
of the draws: the largest probability of a wrong label if the label changes, as mean over samples;
the share of labels that change; and of these, the share that the most frequent wrong label has in
all of them, and within one true class, as mean over classes.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from tabulate import tabulate

from jaxnoise import data
from jaxnoise.config import Config
from jaxnoise.labels import by_instance, noise

KINDS = {
    "instance_noise": {"white": 1, "shared": False},
    "part_dependent_noise": {"white": 255, "shared": False},
    "shared_instance_noise": {"white": 255, "shared": True},
}


def measured(kind: str, samples: noise.CleanSamples, rate: float, seed: int) -> list[float]:
    """The columns for one draw."""
    (to_others,) = by_instance.other_labels([samples], np.random.RandomState(seed), **KINDS[kind])
    model = noise.model(Config(noise_type=kind, noise_rate=rate))
    nothing = samples._replace(labels=samples.labels[:0], images=samples.images[:0])
    drawn, _ = noise.corrupt(model, samples, nothing, seed=seed)
    counts = np.zeros((samples.num_classes, samples.num_classes))
    np.add.at(counts, (drawn.clean[drawn.changed], drawn.noisy[drawn.changed]), 1)
    return [
        to_others.max(axis=1).mean(),
        drawn.changed.mean(),
        counts.sum(axis=0).max() / counts.sum(),
        (counts.max(axis=1) / counts.sum(axis=1)).mean(),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--noise_rate", type=float, default=0.4)
    parser.add_argument("--draws", type=int, default=10)
    arguments = parser.parse_args()
    dataset = data.load(arguments.dataset)
    samples = noise.CleanSamples(dataset.train_labels, dataset.train_images, dataset.num_classes)
    rows = []
    for kind in KINDS:
        found = np.array(
            [measured(kind, samples, arguments.noise_rate, i) for i in range(arguments.draws)]
        )
        rows.append([kind, *(f"{of.mean():.4f} ± {of.std(ddof=1):.4f}" for of in found.T)])
    header = ["model", "top probability", "rate", "most frequent", "within a class"]
    print(f"{len(samples.labels)} samples, {arguments.draws} draws, NumPy {np.__version__}")
    print(tabulate(rows, header))


if __name__ == "__main__":
    main()
