"""Noisy labels that are given instead of drawn: whether they fit a data set, and whose they are."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxnoise import data
from jaxnoise.config import InputError, class_folders, counted
from jaxnoise.labels.noise import NoisyLabels

_log = logging.getLogger("jaxnoise")


class _Agreement(NamedTuple):
    """How often labels agree with others, and whether it is more often than by chance."""

    share: float
    above_chance: bool


class GivenLabels(NamedTuple):
    """Noisy labels of samples of a data set's original train set (before the validation split)."""

    source: str  # the flag that names them, with its value
    noisy: np.ndarray  # int (draws, n)
    clean: np.ndarray | None  # int (n,), if the source has them
    picked: np.ndarray | None  # bool (draws, n), if the source has it
    index: np.ndarray | None  # int (n,), places in the train set; None: all, in order
    by_name: bool = False  # whether they were given by names of files and classes
    data_sha256: str | None = None  # of the data set whose places they are, if the source has it

    def placed(self, dataset: data.Dataset, *, trust: bool = False) -> "GivenLabels":
        """The labels with the places that they have in the data set.

        Of some data sets, the samples of a TFDS copy are in another order than in the original
        files. In which one the labels are is found out by the true labels: of the two orders, one
        fits. If none does, they stay as they are, for `check`. So do those of a run on this very
        data set.

        Args:
          trust: whether labels that fit both orders are in that of the copy.

        Raises:
          InputError: they fit both.
        """
        if self.data_sha256 == dataset.sha256:
            return self
        places = np.arange(self.noisy.shape[1]) if self.index is None else self.index
        original = data.original_order(dataset.name, len(dataset.train_labels))
        if original is None or places.min() < 0 or places.max() >= len(original):
            return self
        by_original = np.argsort(original)[places]
        fits, fits_original = (
            self._fits(dataset.train_labels[of], dataset.num_classes)
            for of in (places, by_original)
        )
        if fits and fits_original and not trust:
            raise InputError(
                f"{self.source}: its labels fit {dataset.name} in the order of the original files "
                "and in that of the TFDS copy; allowed are labels with the true ones beside them, "
                "or --trust_noise_file, for that of the copy"
            )
        if fits == fits_original:
            return self
        order = "the TFDS copy" if fits else "the original files"
        _log.info("%s: in the order of %s, by the true labels", self.source, order)
        return self if fits else self._replace(index=by_original)

    def _fits(self, true: np.ndarray, num_classes: int) -> bool:
        """Whether these may be the true labels: they are known, or noise leaves enough of them."""
        if self.clean is not None:
            return np.array_equal(self.clean, true)
        return self._agreement(true, num_classes).above_chance

    def _agreement(self, true: np.ndarray, num_classes: int) -> "_Agreement":
        """Labels in an unrelated order agree about as often as two independent labels would."""
        shares = [np.bincount(x, minlength=num_classes) / len(true) for x in (true, *self.noisy)]
        chance = np.mean([shares[0] @ share for share in shares[1:]])
        agreement = (self.noisy == true).mean()
        limit = chance + 5 * np.sqrt(chance * (1 - chance) / len(true))
        return _Agreement(agreement, agreement >= limit)

    def check(
        self, dataset: data.Dataset, *, rate: float | None = None, trust: bool = False
    ) -> None:
        """Checks that the labels fit the data set that they will be used for.

        Args:
          rate: the noise rate that they should have, in [0, 1]; None: it is not known.
          trust: whether labels are used that agree with the true ones no more often than by chance.

        Raises:
          InputError: the number of samples is wrong; a label is out of range; the labels agree with
            the true ones no more often than by chance, or clearly less often than by `rate`, or the
            clean labels are not those of the data set, because they are of another one or in
            another order; or it cannot be known whether a number is the name of a class or its
            place.
        """
        if dataset.train_files and self.data_sha256 not in (None, dataset.sha256) and not trust:
            # A file more or less moves the places of others, mostly within one class.
            raise InputError(
                f"{self.source}: its labels are those of other images than {dataset.name} has now; "
                "allowed are the images as they were, a CSV of file,label, or --trust_noise_file"
            )
        total, n = len(dataset.train_labels), self.noisy.shape[1]
        index = np.arange(n) if self.index is None else self.index
        own = total - dataset.valid_size
        if self.index is None and n not in (own, total):
            more = f", or {total}, with those for validation after them" if own < total else ""
            raise InputError(
                f"{self.source}: {counted(n, 'label')}; allowed is {own}, one for each sample of "
                f"the train set of {dataset.name}{more}"
            )
        if len(np.unique(index)) < n or index.min() < 0 or index.max() >= total:
            raise InputError(
                f"{self.source}: indices are repeated or out of range; allowed are different ones "
                f"in [0, {total})"
            )
        if self.clean is None and not self.by_name:
            self._check_names(dataset.class_names)
        low, high = self.noisy.min(), self.noisy.max()
        if low < 0 or high >= dataset.num_classes:
            raise InputError(
                f"{self.source}: labels from {low} to {high}; allowed is 0 to "
                f"{dataset.num_classes - 1} for {dataset.name}"
            )
        true = dataset.train_labels[index]
        differing = (self.noisy != true).mean()
        # As many as by chance, and one in a hundred for rates that are rounded.
        if rate is not None and differing > rate + 5 * np.sqrt(rate * (1 - rate) / n) + 0.01:
            raise InputError(
                f"--noise_file_rate={rate:g}: {100 * differing:.2f} % of the labels of "
                f"{self.source} differ from the true ones; allowed are labels in the order of "
                f"{dataset.name}, or another rate"
            )
        if self.clean is None:
            agreement = self._agreement(true, dataset.num_classes)
            if not agreement.above_chance and not trust:
                raise InputError(
                    f"{self.source}: its labels agree with the true labels on "
                    f"{100 * agreement.share:.2f} % of the samples, no more often than by chance; "
                    f"allowed are labels of the images of {dataset.name}, in their order, or "
                    "--trust_noise_file"
                )
        elif (self.clean != true).any():
            agree = self.clean == true
            raise InputError(
                f"{self.source}: its clean labels agree with those of {dataset.name} on "
                f"{100 * agree.mean():.2f} % of the samples, all but {n - agree.sum()} of {n}; "
                "allowed is 100 %, that is the same data set in the same order"
            )

    def _check_names(self, names: Sequence[str]) -> None:
        """Classes may be named by numbers that are not their places."""
        if class_folders.numbers(names) and [int(name) for name in names] != list(
            range(len(names))
        ):
            raise InputError(
                f"{self.source}: the classes are named by numbers ({', '.join(names[:3])}, …) that "
                "are not their places, so a number as a label is ambiguous; allowed is a CSV of "
                "file,label, whose labels are names, or one with true labels beside the noisy ones"
            )

    def completed(self, dataset: data.Dataset, *, validation_labels: str) -> "GivenLabels":
        """Adds the true labels of the data set's own validation split, where there are none.

        Args:
          validation_labels: clean or noisy, the ones that are used.

        Raises:
          InputError: the noisy ones are used, but some are missing.
        """
        total = len(dataset.train_labels)
        index = np.arange(self.noisy.shape[1]) if self.index is None else self.index
        missing = np.setdiff1d(np.arange(total - dataset.valid_size, total), index)
        if not len(missing):
            return self
        if validation_labels == "noisy":
            raise InputError(
                f"--validation_labels=noisy: {self.source} has no label for {len(missing)} of "
                f"the {dataset.valid_size} images for validation; allowed are labels for all of "
                "them, or --validation_labels=clean"
            )
        draws, true = len(self.noisy), dataset.train_labels[missing]
        as_drawn = np.broadcast_to(true, (draws, len(missing)))
        return self._replace(
            noisy=np.concatenate([self.noisy, as_drawn], axis=1),
            clean=None if self.clean is None else np.concatenate([self.clean, true]),
            picked=None
            if self.picked is None
            else np.concatenate([self.picked, np.zeros_like(as_drawn, bool)], axis=1),
            index=np.concatenate([index, missing]),
        )

    def of(self, index: np.ndarray, true: np.ndarray) -> list[NoisyLabels]:
        """Returns the labels of some samples of the train set, in the order given, for each draw.

        Args:
          index: int (N,), places in the train set.
          true: int32 (N,), the true labels there.

        Raises:
          InputError: some of these samples have no label here.
        """
        if self.index is None:
            where = index
        else:
            places = np.full(max(self.index.max(), index.max(initial=-1)) + 1, -1)
            places[self.index] = np.arange(len(self.index))
            where = places[index]
        if (where < 0).any():
            raise InputError(
                f"{self.source}: has labels for {counted(len(self.index), 'sample')}, but not for "
                f"{(where < 0).sum()} of those used here; allowed is any subset of its samples "
                "(see --train_size)"
            )
        draws = []
        for i, labels in enumerate(self.noisy[:, where].astype(np.int32)):
            changed = labels != true
            picked = changed if self.picked is None else self.picked[i, where]
            draws.append(NoisyLabels(labels, true, picked, changed))
        return draws
