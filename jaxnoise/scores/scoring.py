"""The scores of a run: each repeat's, their mean and std, as JSON, CSV and tables to read."""

import itertools
import textwrap
from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate

from jaxnoise.labels.noise import in_words
from jaxnoise.scores import divergence, findings
from jaxnoise.scores.calibration import BINS
from jaxnoise.scores.detection import FOUND
from jaxnoise.scores.estimates import ESTIMATED
from jaxnoise.scores.selection import (
    ABSENT_WORDS,
    ORACLE_WORDS,
    SELECTIONS,
    Selected,
    headline_name,
)
from jaxnoise.scores.variance import components

# The seven scores of Bar et al. 2022, and two more in the same table.
_MAIN = (
    "train_noisy_accuracy",
    "train_accuracy",
    "valid_accuracy",
    "test_accuracy",
    "train_jacob",
    "test_jacob",
    "entropy",
    "last_test_accuracy",
    "best_epoch",
)
AREAS = ("noise_auroc", "noise_aupr")
_CALIBRATION_AND_DETECTION = ("test_ece", "test_nll", "test_brier", *AREAS)
SCORES = _MAIN + _CALIBRATION_AND_DETECTION
# Beside them, in an entry of their own.
DETECTION = FOUND + ESTIMATED
# Those that a run without a validation part does not have: they are NaN.
OF_VALIDATION = ("valid_accuracy", "best_epoch")

_WIDTH = 100
_HEADER = 11  # of a column of selections
_AT_BEST = (
    "Scores at the epoch with the {chosen} accuracy (the earliest one, if several are equal; "
    "--validation_labels={labels}), best_epoch, counted from 1; last_test_accuracy is taken at the "
    "last epoch."
)
_AT_LAST = (
    "Scores at the last epoch: the run has no validation part (--validation_ratio=0), and so "
    "neither a valid_accuracy nor a best_epoch; the nets in checkpoints/best and the predictions "
    "best_predicted are those of the last epoch too."
)
_ABOUT_MAIN = (
    "{at} Accuracies are in percent; jacob = mean squared Frobenius norm of the logits' Jacobian; "
    "entropy = mean entropy of the predictions on the training set, in nats. Mean and std (the "
    "population's) are over {covered}."
)
_ABOUT_SELECTION = (
    "Test accuracy in percent, after the epoch in parentheses, where it is that of one epoch; each "
    "column chooses in its own way. The scores above are taken at the epoch of the column "
    "{chosen}. {oracle}."
)
_ABOUT_CALIBRATION_AND_DETECTION = (
    "At the epoch of the first table, on the test set: ece = expected calibration error "
    f"({BINS} bins, in [0, 1]), nll = negative log-likelihood in nats, brier = Brier score in "
    "[0, 2]; lower is better. Over the whole training: noise_auroc and noise_aupr = areas under "
    "the ROC curve and the precision-recall curve, with the loss of suspects.csv as a score for "
    "changed labels, in [0, 1]; higher is better."
)


class Report(NamedTuple):
    """All that scores.csv, scores.txt and scores.json say."""

    scores: dict[str, np.ndarray]  # float (repeats,) for each name in SCORES
    # For each name in `selection.named`; None: the run lacks it. An older run has no `last_ten`
    # here, and its documents are as they were then.
    selected: dict[str, Selected | None]
    diverged: np.ndarray  # int (repeats,), of divergence.epochs(): these have no scores
    noise: dict[str, Any]  # of noise.summary()
    validation_labels: str | None  # clean or noisy; None: the run has no validation part
    # float (repeats,) for each name in DETECTION; None: an older run.
    detection: dict[str, np.ndarray] | None = None

    @property
    def headline(self) -> str:
        """The name of the selection whose epoch the scores are of."""
        return headline_name(self.validation_labels)

    def rows(self) -> list[dict[str, Any]]:
        """A row of SCORES for each repeat, named by its number, then mean, std and their n."""
        repeats, mean, std = self._summary({name: self.scores[name] for name in SCORES})
        rows = [
            {"repeat": i} | row | {"diverged_at_epoch": int(epoch) or None}
            for i, (row, epoch) in enumerate(zip(repeats, self.diverged, strict=True), start=1)
        ]
        rows += [{"repeat": "mean"} | mean, {"repeat": "std"} | std]
        rows.append({"repeat": "n"} | dict.fromkeys(SCORES, self._n))
        return rows

    def _summary(
        self, values: dict[str, np.ndarray]
    ) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
        """The numbers of every repeat by their names, their means and their deviations."""
        repeats = [
            {name: None if epoch else number(of_all[i]) for name, of_all in values.items()}
            for i, epoch in enumerate(self.diverged)
        ]
        both = {x: _mean_and_std(self._survivors(of_all)) for x, of_all in values.items()}
        mean, std = ({name: each[i] for name, each in both.items()} for i in (0, 1))
        return repeats, mean, std

    @property
    def _n(self) -> int:
        """How many repeats mean and std cover."""
        return int(np.sum(self.diverged == 0))

    def _survivors(self, values: np.ndarray) -> np.ndarray:
        """The values (repeats,) of those repeats that have not diverged."""
        return values[self.diverged == 0]

    def document(self) -> dict[str, Any]:
        """The content of scores.json."""
        repeats, mean, std = self._summary({name: self.scores[name] for name in SCORES})
        return {
            "about": "\n".join(self._about()),
            "noise": self.noise,
            "n": self._n,
            "mean": mean,
            "std": std,
            "repeats": repeats,
            "diverged_at_epoch": [int(epoch) or None for epoch in self.diverged],
            "headline": self.headline,
            "selection": {
                name: None if chosen is None else self._selection(*chosen)
                for name, chosen in self.selected.items()
            },
            "variance": self._variance(),
            **({} if self.detection is None else {"detection": self._detection()}),
        }

    def _detection(self) -> dict[str, Any]:
        """The entry `detection` of scores.json."""
        repeats, mean, std = self._summary({name: self.detection[name] for name in DETECTION})
        return {"mean": mean, "std": std, "repeats": repeats}

    def text(self) -> str:
        """The content of scores.txt: three tables, each a row per repeat, then mean and std."""
        *rows, _ = self.rows()
        main, calibration_and_detection = (
            self._table([name.replace("_", "\n") for name in names],
                        [[row["repeat"], *(_cell(row[name]) for name in names)] for row in rows])
            for names in (_MAIN, _CALIBRATION_AND_DETECTION)
        )  # fmt: skip
        tables = (main, self._selection_table(), calibration_and_detection)
        about = (textwrap.fill(text, _WIDTH) for text in self._about())
        noise = "\n".join(
            textwrap.fill(f"Noise ({self.noise['noise']}): {line}.", _WIDTH)
            for line in in_words(self.noise)
        )
        parts = self._variance()
        variance = [textwrap.fill(_variance_in_words(parts), _WIDTH)] if parts else []
        lines = findings.in_words(self._detection(), self.noise) if self.detection else []
        found = ["\n".join(textwrap.fill(line, _WIDTH) for line in lines)] if lines else []
        told = itertools.chain(*zip(tables, about, strict=True))
        return "\n\n".join([*told, noise, *found, *variance])

    def _about(self) -> list[str]:
        """A note on each of the three tables."""
        chosen = SELECTIONS[self.headline].words
        at = _AT_BEST if self.validation_labels else _AT_LAST
        at = at.format(chosen=chosen, labels=self.validation_labels)
        selection = _ABOUT_SELECTION.format(chosen=chosen, oracle=ORACLE_WORDS)
        if None in self.selected.values():
            selection = f"{selection} {ABSENT_WORDS}."
        return [
            _ABOUT_MAIN.format(at=at, covered=divergence.covered(self.diverged)),
            selection,
            _ABOUT_CALIBRATION_AND_DETECTION,
        ]

    def _variance(self) -> dict[str, Any] | None:
        """Standard deviation by its source, if there are several draws of the noise."""
        draws, repeats = len(self.noise["draws"]), len(self.diverged)
        if draws == 1:
            return None
        std = None
        if repeats > draws:
            draw, std = self._survivors(np.arange(repeats) % draws), {}
            for name in SCORES:
                with np.errstate(invalid="ignore"):  # infinity minus infinity
                    parts = components(self._survivors(self.scores[name]), draw)
                std[name] = {source: number(x) for source, x in parts._asdict().items()}
        return {"noise_draws": draws, "runs_per_draw": repeats // draws, "std": std}

    def _selection(self, accuracy: np.ndarray, epoch: np.ndarray) -> dict[str, Any]:
        mean, std = _mean_and_std(self._survivors(accuracy))
        return {"accuracy": [number(x) for x in accuracy], "epoch": [int(x) or None for x in epoch],
                "mean": mean, "std": std, "n": self._n}  # fmt: skip

    def _selection_table(self) -> str:
        header = [textwrap.fill(SELECTIONS[name].words, _HEADER) for name in self.selected]
        columns = [self._selection_column(chosen) for chosen in self.selected.values()]
        labels = [*range(1, len(self.diverged) + 1), "mean", "std"]
        rows = [[label, *row] for label, *row in zip(labels, *columns, strict=True)]
        return self._table(header, rows)

    def _selection_column(self, chosen: Selected | None) -> list[str]:
        """The cells of every repeat, of mean and of std."""
        if chosen is None:
            return ["–"] * (len(self.diverged) + 2)
        return [
            *(f"({epoch}) {accuracy:.2f}" if epoch else f"{accuracy:.2f}"
              for accuracy, epoch in zip(*chosen, strict=True)),
            *("–" if value is None else f"{value:.2f}"
              for value in _mean_and_std(self._survivors(chosen.accuracy))),
        ]  # fmt: skip

    def _table(self, header: list[str], rows: list[list[Any]]) -> str:
        """A row per repeat, a line, mean and std; a repeat that diverged has no numbers."""
        for row, epoch in zip(rows, self.diverged, strict=False):
            if epoch:
                row[1:] = ["diverged", f"at epoch {epoch}", *["–"] * (len(header) - 2)]
        rows = [*rows[:-2], ["─" * 6] + ["─" * 7] * len(header), *rows[-2:]]
        return tabulate(
            rows,
            ["repeat", *header],
            tablefmt="simple",
            disable_numparse=True,
            stralign="right",
        )


def number(x: np.generic | float) -> int | float | None:
    """For JSON, which has no NaN and no infinity: they become null."""
    return np.asarray(x).item() if np.isfinite(x) else None


def _mean_and_std(values: np.ndarray) -> tuple[float | None, float | None]:
    if not len(values):
        return None, None
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        return tuple(number(statistic(np.float64(values))) for statistic in (np.mean, np.std))


def _variance_in_words(parts: dict[str, Any]) -> str:
    if parts["std"] is None:
        return (
            "Every repeat has a noise draw of its own, so std covers noise, initialization and "
            "batch order together; more repeats than --noise_draws would separate them."
        )
    test = parts["std"]["test_accuracy"]
    return (
        f"The variance of test_accuracy by source: std {_cell(test['noise'])} between "
        f"{parts['noise_draws']} noise draws, {_cell(test['training'])} between the "
        f"{parts['runs_per_draw']} repeats on the same draw, that is, from initialization and "
        "batch order (random-effects analysis of variance; scores.json has the other scores)."
    )


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
