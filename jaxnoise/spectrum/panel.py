"""The spectral panel: what is measured of every member, and on which pictures."""

import functools
import logging
from typing import Any, NamedTuple

import numpy as np

from jaxnoise.labels.noisy_dataset import SPLITS, NoisyDataset
from jaxnoise.layers.lipschitz import Unbounded
from jaxnoise.spectrum import fourier_lines, jacobian, layer_norms
from jaxnoise.spectrum.fourier_lines import Lines
from jaxnoise.spectrum.layer_norms import Norms
from jaxnoise.training import loop, surroundings
from jaxnoise.training.assembly import Engine

log = logging.getLogger("jaxnoise")

# Training samples with their true label, those whose label noise has changed, and test samples.
SETS = ("clean", "changed", "test")
# Of pictures, partners and directions: these are the same for all runs on a data set and noise.
SEED = 0


class Chosen(NamedTuple):
    """The pictures of every member, one set after the other, and where lines through them lead."""

    sizes: dict[str, int]  # of the sets that there are
    lines: Lines  # int32 (members, pictures) each

    def of_sets(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """An array (members, pictures, ...) as one for each set."""
        parts = np.split(values, np.cumsum(list(self.sizes.values()))[:-1], axis=1)
        return dict(zip(self.sizes, parts, strict=True))


def choose(dataset: NoisyDataset, pictures: int) -> Chosen:
    """At most so many random pictures of each set; without noise there are no changed ones.

    Members that share a draw of the noise share the pictures. Partners are of the same split.
    """
    train, test = (np.flatnonzero(dataset.split == SPLITS.index(x)) for x in ("train", "test"))
    draws = {}  # by identity: repeats of a draw have the same object
    for labels in dataset.noisy_labels:
        changed = np.asarray(labels.changed, bool)
        sets = {"clean": train[~changed], "changed": train[changed], "test": test}
        draws.setdefault(id(labels), sets)
    sizes = {name: min(pictures, *(len(sets[name]) for sets in draws.values())) for name in SETS}
    sizes = {name: size for name, size in sizes.items() if size > 0}
    chosen = {}
    for draw, sets in draws.items():
        rng = np.random.default_rng(SEED)
        parts = []
        for name, size in sizes.items():
            index = rng.permutation(sets[name])[:size]
            split = test if name == "test" else train
            parts.append((index, *_partners(rng, index, split, dataset.labels)))
        chosen[draw] = [np.concatenate(part) for part in zip(*parts, strict=True)]
    rows = [chosen[id(labels)] for labels in dataset.noisy_labels]
    return Chosen(sizes, Lines(*(np.stack(x).astype(np.int32) for x in zip(*rows, strict=True))))


def _partners(
    rng: np.random.Generator, index: np.ndarray, split: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each picture another one of its true class, and one of another class."""
    same, other = np.array(index), np.array(index)
    for label in np.unique(labels[index]):
        mine = labels[index] == label
        alike, unlike = split[labels[split] == label], split[labels[split] != label]
        drawn = rng.integers(len(alike), size=mine.sum())
        # The next one where a picture drew itself.
        drawn += alike[drawn] == index[mine]
        same[mine] = alike[drawn % len(alike)]
        if len(unlike):
            other[mine] = rng.choice(unlike, mine.sum())
    return same, other


class Panel(NamedTuple):
    """What was measured, on the host, (members, ...) each."""

    power: dict[str, np.ndarray]  # of each set, float32 (members, pictures, DIRECTIONS, bins)
    singular_values: dict[str, np.ndarray]  # float64 (members, pictures, classes)
    layer_names: list[str]
    norms: Norms | None  # None: its layers do not bound this net
    unbounded_because: str | None = None

    @property
    def upper_bound(self) -> np.ndarray:
        """Of the Lipschitz constant, float64 (members,); NaN where there is none."""
        members = len(next(iter(self.power.values())))
        return self.norms.upper_bound if self.norms else np.full(members, np.nan)


class Instrument:
    """Measures members of one program, any number of times."""

    def __init__(
        self,
        engine: Engine,
        members: list[loop.Member],
        chosen: Chosen,
    ):
        program, trainer, pictures = engine
        self._trainer, self._pictures, self._count = trainer, pictures, len(members)
        self._chosen = chosen
        lines = Lines(*map(np.asarray, chosen.lines))
        self._lines = trainer.spread(lines, members, pictures)
        self._index = [group.index for group in self._lines]
        self._spectra = trainer.measuring(
            functools.partial(fourier_lines.line_spectra, program=program),
            members=2,
            shared=2,
            name="the spectra along lines",
        )
        self._grams = trainer.measuring(
            functools.partial(jacobian.grams, program=program),
            members=2,
            shared=1,
        )
        self._layer_norms = functools.partial(
            layer_norms.norms, program=program, image_shape=pictures.images.shape[1:]
        )

    def line_spectra(self, states: list[Any]) -> dict[str, np.ndarray]:
        """`Panel.power` of the groups' states."""
        shared = (self._pictures, surroundings.key(SEED))
        return self._of_sets(self._spectra(states, self._lines, shared=shared))

    def panel(self, states: list[Any]) -> Panel:
        """Everything that the panel holds."""
        log.info("Measuring the norms of the layers …")
        names, norms, reason = [], None, None
        try:
            names, norms = self._layer_norms(self._trainer.gather(states, self._count))
        except Unbounded as error:
            reason = str(error)
        log.info("Measuring the singular values of the Jacobians …")
        grams = self._of_sets(self._grams(states, self._index, shared=(self._pictures,)))
        singular = {name: jacobian.singular_values(gram) for name, gram in grams.items()}
        log.info("Measuring the spectra along lines through pictures …")
        return Panel(self.line_spectra(states), singular, names, norms, reason)

    def _of_sets(self, groups: list[Any]) -> dict[str, np.ndarray]:
        return self._chosen.of_sets(self._trainer.gather(groups, self._count))
