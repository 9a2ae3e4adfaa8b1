"""The spectral panel in numbers: for each picture, and as means over pictures with intervals."""

from typing import Any, NamedTuple

import numpy as np

from jaxnoise.scores.intervals import CONFIDENCE, Difference, paired_difference
from jaxnoise.scores.scoring import number
from jaxnoise.spectrum.fourier_lines import DIRECTIONS
from jaxnoise.spectrum.panel import Panel
from jaxnoise.spectrum.shares import centroid, share_above


class Summary(NamedTuple):
    """The panel in numbers for each picture, float64."""

    share: dict[str, np.ndarray]  # above the cut-off, in [0, 1]: (members, pictures, DIRECTIONS)
    centroid: dict[str, np.ndarray]  # cycles per unit distance, the same shape
    power: dict[str, np.ndarray]  # logits², all frequencies, the same shape
    frobenius: dict[str, np.ndarray]  # (members, pictures)
    largest: dict[str, np.ndarray]  # singular value of J, (members, pictures)

    @property
    def lower_bound(self) -> np.ndarray:
        """Of the Lipschitz constant: the largest derivative that was found, (members,)."""
        return np.max([values.max(axis=1) for values in self.largest.values()], axis=0)


def summarize(panel: Panel, *, length: float, cutoff: int) -> Summary:
    """Each quantity of each picture."""
    power, singular = panel.power, {k: np.float64(v) for k, v in panel.singular_values.items()}
    return Summary(
        {name: share_above(x, cutoff) for name, x in power.items()},
        {name: centroid(x, length) for name, x in power.items()},
        {name: np.float64(x).sum(axis=-1) for name, x in power.items()},
        {name: np.sqrt(np.square(x).sum(axis=-1)) for name, x in singular.items()},
        {name: x[..., 0] for name, x in singular.items()},
    )


def interval(values: np.ndarray) -> Difference:
    """Mean over pictures and its 95 % confidence interval (Student's t), NaN where there is none.

    Args:
      values: float (pictures,); those that are not finite are left out.
    """
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return Difference(*[float("nan")] * 3)
    return paired_difference(values)


def document(summary: Summary, panel: Panel, test_accuracy: np.ndarray) -> dict[str, Any]:
    """For spectrum.json: every member's summaries, and mean and deviation over members."""
    members, norms = len(test_accuracy), panel.norms
    unbounded = panel.unbounded_because
    lines = {
        name: {
            direction: {
                quantity: [_interval(values[name][i, :, j]) for i in range(members)]
                for quantity, values in (
                    ("share_above_cutoff", summary.share),
                    ("centroid", summary.centroid),
                    ("power", summary.power),
                )
            }
            for j, direction in enumerate(DIRECTIONS)
        }
        for name in summary.share
    }
    jacobian = {
        name: {
            quantity: [_distribution(values[name][i]) for i in range(members)]
            for quantity, values in (
                ("frobenius_norm", summary.frobenius),
                ("largest_singular_value", summary.largest),
            )
        }
        for name in summary.largest
    }
    layers = {
        layer: {
            quantity: _numbers(getattr(norms, quantity)[:, i])
            for quantity in ("reshaped", "operator", "batch_norm", "layer")
        }
        for i, layer in enumerate(panel.layer_names)
    }
    return {
        "confidence": CONFIDENCE,
        "test_accuracy": _numbers(test_accuracy),
        "lines": lines,
        "jacobian": jacobian,
        "layers": layers,
        "lipschitz": {
            "upper_bound": _numbers(panel.upper_bound),
            "lower_bound": _numbers(summary.lower_bound),
        }
        | ({"unbounded_because": unbounded} if unbounded else {}),
    }


def _interval(values: np.ndarray) -> dict[str, float | None]:
    return {name: number(x) for name, x in interval(values)._asdict().items()}


def _distribution(values: np.ndarray) -> dict[str, float | None]:
    finite = values[np.isfinite(values)]
    quantiles = (5, 25, 50, 75, 95, 100)
    found = np.percentile(finite, quantiles) if len(finite) else np.full(len(quantiles), np.nan)
    return _interval(values) | {
        f"percentile_{q}": number(x) for q, x in zip(quantiles, found, strict=True)
    }


def _numbers(values: np.ndarray) -> list[float | None]:
    return [number(x) for x in values]
