"""The spectral panels of several runs side by side: a table, and a verdict in words."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata
from tabulate import tabulate

from jaxnoise.config import Config
from jaxnoise.runs import pairs
from jaxnoise.runs.record import Record
from jaxnoise.scores.intervals import CONFIDENCE, Difference, paired_difference, signed
from jaxnoise.spectrum.fourier_lines import DIRECTIONS
from jaxnoise.spectrum.shares import mean_over_pictures
from jaxnoise.spectrum.summary import Summary
from jaxnoise.terminal import announcements

RESAMPLES = 5000
# Repeats for a verdict: of five points in any order, the chance of |ρ| = 1 is 1.7 %, of four 8 %.
_FEWEST = 5
# Without noise there are no changed samples.
HEADLINE_SETS = ("changed", "test")


class Measured(NamedTuple):
    """A run and its panel in numbers."""

    run: Record
    summary: Summary
    upper_bound: np.ndarray  # of the Lipschitz constant, float (members,)
    unbounded_because: str | None  # why there is no such bound
    test_accuracy: np.ndarray  # of the checkpoint that was measured, percent, (members,)

    def share(self, name: str) -> np.ndarray:
        """Mean share of high frequencies on a set, percent, (members, DIRECTIONS); NaN without."""
        if name not in self.summary.share:
            return np.full((len(self.test_accuracy), len(DIRECTIONS)), np.nan)
        return 100 * mean_over_pictures(self.summary.share[name])


def common_and_labels(configs: Sequence[Config]) -> tuple[str, list[str]]:
    """What runs share, and a name for each.

    They may share data set, net and noise. A name is the regularization, then each of these in
    which the runs differ, and any other setting in which they do and which is not at its default.
    """
    places = _places(configs).values()
    common = ", ".join(words[0] for words in places if len(set(words)) == 1)
    differing = [words for words in places if len(set(words)) > 1]
    more = [announcements.untold(config) for config in configs]
    names = [
        name
        for name in dict.fromkeys(name for settings in more for name in settings)
        if name not in ("total_repeats", "jacob_samples")
        and len({str(settings.get(name)) for settings in more}) > 1
    ]
    labels = [
        " ".join([
            config.regularization,
            *(words[i] for words in differing),
            *(f"{name}={more[i][name]}" for name in names if name in more[i]),
        ])
        for i, config in enumerate(configs)
    ]  # fmt: skip
    return common, labels


def _places(configs: Sequence[Config]) -> dict[str, list[str]]:
    """What each run learns, and with which net, in words."""
    return {
        "data set": [config.dataset_name for config in configs],
        "net": [config.network for config in configs],
        "noise": [config.noise for config in configs],
    }


class Correlation(NamedTuple):
    """Spearman's rank correlation and its interval; NaN where ranks do not vary."""

    rho: float
    low: float
    high: float


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rank correlation along the last axis: Pearson's of the ranks, equal values sharing theirs."""
    x, y = (rankdata(values, axis=-1) for values in (x, y))
    x, y = (ranks - ranks.mean(axis=-1, keepdims=True) for ranks in (x, y))
    with np.errstate(invalid="ignore"):
        return (x * y).sum(axis=-1) / np.sqrt(np.square(x).sum(axis=-1) * np.square(y).sum(axis=-1))


def correlation(x: list[np.ndarray], y: list[np.ndarray]) -> Correlation:
    """Over all members of all runs, with a 95 % percentile bootstrap interval.

    Members of a run are alike, so a sample is drawn in two stages: runs with replacement, and
    within each of them members with replacement (Davison and Hinkley, "Bootstrap Methods and their
    Application", 1997, section 3.8).

    Args:
      x, y: a float array (members,) for each run; pairs that are not finite are left out.
    """
    finite = [np.isfinite(a) & np.isfinite(b) for a, b in zip(x, y, strict=True)]
    runs = [
        np.stack([a[keep], b[keep]]) for a, b, keep in zip(x, y, finite, strict=True) if keep.any()
    ]
    if sum(run.shape[1] for run in runs) < 3:
        return Correlation(*[float("nan")] * 3)
    rho = float(spearman(*np.concatenate(runs, axis=1)))
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        sample = [runs[i] for i in rng.integers(len(runs), size=len(runs))]
        sample = [run[:, rng.integers(run.shape[1], size=run.shape[1])] for run in sample]
        drawn.append(float(spearman(*np.concatenate(sample, axis=1))))
    drawn = np.array(drawn)[np.isfinite(drawn)]
    ends = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    low, high = np.quantile(drawn, ends) if len(drawn) else (np.nan, np.nan)
    return Correlation(rho, float(low), float(high))


def baseline_first(measured: list[Measured]) -> tuple[list[Measured], str]:
    """The runs in their order, but for the baseline, and why it is that (see `pairs.baseline`)."""
    place, because = pairs.baseline([pairs.read(one.run.folder) for one in measured])
    return [measured[place], *measured[:place], *measured[place + 1 :]], because


def text(measured: list[Measured]) -> str:
    """The table, and for several runs the conclusions from it."""
    measured, because = baseline_first(measured)
    _, labels = common_and_labels([one.run.config for one in measured])
    lines = [_table(measured, labels), "", _ABOUT, *(
        f"Run {i}: {one.run.folder}" for i, one in enumerate(measured, start=1)
    ), *(
        f"Run {i} has no layer norms and no bound: {one.unbounded_because}."
        for i, one in enumerate(measured, start=1)
        if one.unbounded_because
    )]  # fmt: skip
    if len(measured) > 1:
        lines += [f"Run 1 is the baseline: {because}."]
        lines += ["", *_differences(measured, labels), "", *_correlations(measured)]
    return "\n".join(lines)


_ABOUT = (
    "Columns 4 to 9: the high-frequency share of the power of the logits (%), along lines in a "
    "random direction and towards pictures of the same class and of another class. σ(J): the "
    "largest singular value of the Jacobian, median over pictures; max σ(J): the largest one "
    "found; bound: the upper bound from the layers' norms. Mean ± std over n repeats."
)


def _table(measured: list[Measured], labels: list[str]) -> str:
    header = ["run", "regularizer", "test accuracy (%)"]
    header += [f"{name}, {direction}" for name in HEADLINE_SETS for direction in DIRECTIONS]
    header += ["σ(J), changed", "σ(J), test", "max σ(J)", "bound", "n"]
    rows = []
    for i, one in enumerate(measured, start=1):
        row = [i, labels[i - 1], _spread(one.test_accuracy)]
        for name in HEADLINE_SETS:
            row += [_spread(share) for share in one.share(name).T]
        for name in HEADLINE_SETS:
            largest = one.summary.largest.get(name)
            row.append("–" if largest is None else _spread(np.median(largest, axis=1), ".3g"))
        row += [_spread(one.summary.lower_bound, ".3g"), _spread(one.upper_bound, ".3g")]
        rows.append([*row, len(one.test_accuracy)])
    header = [title.replace(", ", "\n").replace("_", " ") for title in header]
    return tabulate(rows, header, tablefmt="simple", disable_numparse=True)


def _spread(values: np.ndarray, digits: str = ".2f") -> str:
    values = values[np.isfinite(values)]
    return f"{values.mean():{digits}} ± {values.std():{digits}}" if len(values) else "–"


def _differences(measured: list[Measured], labels: list[str]) -> list[str]:
    """Whether each run has a lower share on changed samples than the first, the baseline."""
    first, lines = measured[0], []
    readable = [pairs.read(one.run.folder) for one in measured]
    for i, one in enumerate(measured[1:], start=2):
        name = f"Run {i} ({labels[i - 1]})"
        reason = pairs.unpaired_because(readable[i - 1], readable[0])
        if reason:
            lines.append(f"{name} cannot be paired with run 1: {reason}.")
            continue
        for j, direction in enumerate(DIRECTIONS):
            n = min(len(first.test_accuracy), len(one.test_accuracy))
            difference = one.share("changed")[:n, j] - first.share("changed")[:n, j]
            difference = difference[np.isfinite(difference)]
            if len(difference) > 1:
                found = paired_difference(difference)
                lines.append(
                    f"{name} {_verb(found)} the high-frequency share on changed samples "
                    f"({direction.replace('_', ' ')}): {found} "
                    "percentage points relative to run 1."
                )
    return lines


def _verb(found: Difference) -> str:
    if found.high < 0:
        return "lowers"
    return "raises" if found.low > 0 else "does not clearly change"


def _correlations(measured: list[Measured]) -> list[str]:
    """Whether smoother nets are more accurate, over all repeats of all runs."""
    accuracy, lines = [one.test_accuracy for one in measured], []
    quantities = {
        f"high-frequency share on {name} samples ({direction.replace('_', ' ')})": [
            one.share(name)[:, j] for one in measured
        ]
        for name in HEADLINE_SETS
        for j, direction in enumerate(DIRECTIONS)
    } | {"max σ(J)": [one.summary.lower_bound for one in measured]}
    for name, values in quantities.items():
        found = correlation(values, accuracy)
        if np.isnan(found.rho):
            continue
        if sum(len(each) for each in accuracy) < _FEWEST:
            says = f"no verdict from fewer than {_FEWEST} repeats"
        elif found.high < 0:
            says = "lower values go with higher accuracy, as the thesis says"
        elif found.low > 0:
            says = "higher values go with higher accuracy, against the thesis"
        else:
            says = "no clear relation"
        lines.append(
            f"{name[0].upper()}{name[1:]} and test accuracy: Spearman's ρ = {signed(found.rho)} "
            f"[{signed(found.low)}, {signed(found.high)}], {says}."
        )
    if lines:
        lines.append(
            "The intervals are 95 % bootstrap intervals over runs and their repeats, and are rough "
            "with few runs. A correlation over regularizers says nothing about cause."
        )
        places = _places([one.run.config for one in measured])
        differing = [what for what, words in places.items() if len(set(words)) > 1]
        if differing:
            lines.append(
                f"These runs differ in {' and '.join(differing)}, which moves accuracies and "
                "shares too: the correlations are not those of regularizers."
            )
    return lines
