"""Recorded values against recomputed ones: the verdict, and the words for it."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from tabulate import tabulate

from jaxnoise.config import counted

EQUAL = "equal"
CLOSE = "within float tolerance"
DIFFERENT = "DOES NOT MATCH"
REFUSED = "CANNOT BE USED"
UNCHECKED = "not checked"


class Check(NamedTuple):
    """One line of the table."""

    what: str
    verdict: str
    recorded: str = ""
    recomputed: str = ""
    difference: str = ""
    note: str = ""  # the reason for the verdict, where the numbers do not show it

    @property
    def failed(self) -> bool:
        return self.verdict in (DIFFERENT, REFUSED)


class Tolerance(NamedTuple):
    """How far a recomputed value x may be off: absolute + relative · |x|."""

    absolute: float = 0.0
    relative: float = 0.0


EXACT = Tolerance()


def tolerance(metric: str, pictures: int) -> Tolerance:
    """How much other hardware or another version may change a metric of the same net.

    Sums in another order change a logit by about 1e-6 of its size. So one picture may fall to
    another class, or its confidence to another bin, whose two sums change by at most 1 each; and
    where a unit is at its kink, or two are equal in a pooling window, a derivative jumps: by up to
    5e-3 of ‖J‖² in a picture. Measured without AVX-512 and AVX: 4e-7 of a loss, 1e-4 of ‖J‖².
    Confident learning counts the pictures above thresholds, a quarter of all or more, so that one
    of them changes a share by up to four times its own.

    Args:
      metric: a name of `scoring.SCORES`, of `scoring.DETECTION` or of the metrics of
        `evaluation.evaluate`; or confident_matrix or anchor_matrix.
      pictures: how many it is a mean over.
    """
    if metric == "best_epoch":
        return EXACT
    if metric.startswith(("noise_", "f1_", "mixture_")):  # from a file's losses, in float64
        return Tolerance(absolute=1e-9, relative=1e-9)
    if metric.startswith("confident_"):
        return Tolerance(absolute=4 / pictures)
    if metric.startswith("anchor_rate"):
        return Tolerance(absolute=1 / pictures, relative=1e-3)
    if metric.startswith("anchor_matrix"):  # of probabilities
        return Tolerance(absolute=1e-3)
    if metric.endswith("_jacob"):
        return Tolerance(relative=5e-3)
    if metric.endswith("_ece"):
        return Tolerance(absolute=2 / pictures, relative=1e-4)
    if metric.endswith(("_loss", "_nll", "_brier")) or metric == "entropy":
        return Tolerance(relative=1e-4)
    return Tolerance(absolute=100 / pictures, relative=1e-6)  # a share, in percent


def compare(
    what: str, recorded: np.ndarray, recomputed: np.ndarray, tolerance: Tolerance = EXACT
) -> Check:
    """The check of a number per repeat; NaN, which a diverged repeat has, is equal to itself."""
    recorded, recomputed = np.float64(recorded), np.float64(recomputed)
    if np.array_equal(recorded, recomputed, equal_nan=True):
        verdict = EQUAL
    else:
        absolute, relative = tolerance
        near = np.isclose(recorded, recomputed, rtol=relative, atol=absolute, equal_nan=True)
        verdict = CLOSE if near.all() and tolerance != EXACT else DIFFERENT
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        differences = np.abs(recorded - recomputed)
    finite = differences[np.isfinite(differences)]
    difference = f"{finite.max():.3g}" if finite.size else "–"
    return Check(what, verdict, _mean(recorded), _mean(recomputed), difference)


def same(what: str, agrees: bool, note: str) -> Check:
    """The check of what must agree; `note` says what does not."""
    return Check(what, EQUAL if agrees else DIFFERENT, note="" if agrees else note)


def worst(what: str, checks: Iterable[Check]) -> Check:
    """Many checks as one: the first one with the worst verdict."""
    checks = list(checks)
    verdicts = [check.verdict for check in checks]
    first = verdicts.index(next(x for x in (DIFFERENT, CLOSE, EQUAL) if x in verdicts))
    note = f"{checks[first].what} is the first that differs" if checks[first].failed else ""
    return checks[first]._replace(what=what, note=checks[first].note or note)


def table(checks: list[Check]) -> str:
    """A row for each check."""
    header = ["checked", "recorded", "recomputed", "largest\ndifference", "verdict"]
    rows = [
        [check.what, check.recorded, check.recomputed, check.difference, check.verdict]
        for check in checks
    ]
    align = ("left", "right", "right", "right", "left")
    return tabulate(rows, header, tablefmt="simple", disable_numparse=True, colalign=align)


def sentence(checks: list[Check], scores: tuple[str, ...], repeats: int) -> str:
    """A summary of all checks, those of `scores` first."""
    of_scores = [check for check in checks if check.what in scores]
    matching = [check for check in of_scores if check.verdict in (EQUAL, CLOSE)]
    of = f"{len(scores)} scores of {counted(repeats, 'repeat')}"
    failed = [check.what for check in checks if check.failed]
    if failed:
        return f"{len(matching)} of {of} match; failed checks: {', '.join(failed)}."
    close = sum(check.verdict == CLOSE for check in of_scores)
    how = f"{len(scores) - close} bit for bit and {close} {CLOSE}" if close else "bit for bit"
    return f"All {of} match, {how}, and so does everything else that was checked."


def _mean(values: np.ndarray) -> str:
    finite = values[np.isfinite(values)]
    return f"{finite.mean():.6g}" if finite.size else "–"
