"""Figures of the spectral panel: every axis and every curve says what it is."""

import numpy as np
import pytest

from jaxnoise.figures.colours import NORMS
from jaxnoise.figures.colours import SETS as LOOKS
from jaxnoise.spectrum import figures
from jaxnoise.spectrum.fourier_lines import DIRECTIONS
from jaxnoise.spectrum.layer_norms import Norms
from jaxnoise.spectrum.panel import SETS, Panel
from jaxnoise.spectrum.summary import summarize

rng = np.random.default_rng(0)
PANEL = Panel(
    {name: rng.uniform(0.1, 1, (2, 3, len(DIRECTIONS), 33)).astype(np.float32) for name in SETS},
    {name: -np.sort(-rng.uniform(1, 9, (2, 3, 10))) for name in SETS},
    ["conv1", "dense1"],
    Norms(*(rng.uniform(1, 2, (2, 2)) for _ in range(4)), rng.uniform(5, 9, 2)),
)
SUMMARY = summarize(PANEL, length=7.0, cutoff=3)
DRAWN = {
    "lines": figures._lines(PANEL, 7.0, 3, "title"),
    "summary": figures._summary(SUMMARY, 7.0, 3, "title"),
    "jacobian": figures._jacobian(SUMMARY, "title"),
    "layers": figures._layers(PANEL, SUMMARY, "title"),
}
X_LABELS = {
    "lines": [f"{figures.FREQUENCY}\n(log scale)"] * 3,
    "summary": ["direction of the line"] * 3,
    "jacobian": ["‖J‖$_F$\n(logits per unit distance, log scale)",
                 "largest singular value of J\n(logits per unit distance, log scale)"],
    "layers": ["norm (log scale)", "Lipschitz constant (logits per unit distance, log scale)"],
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_axes_are_labelled_by_their_quantities(name):
    panels = DRAWN[name].axes
    assert [axes.get_xlabel() for axes in panels] == X_LABELS[name]
    shared = name in ("lines", "jacobian")  # one y axis for all
    named = name == "layers"  # ticks name layers and bounds
    assert all(named or axes.get_ylabel() for axes in panels[: 1 if shared else None])


@pytest.mark.parametrize("name", DRAWN)
def test_a_logarithmic_axis_says_so(name):
    for axes in DRAWN[name].axes:
        for axis, label in ((axes.xaxis, axes.get_xlabel()), (axes.yaxis, axes.get_ylabel())):
            assert ("log scale" in label) == (axis.get_scale() == "log" and bool(label))


@pytest.mark.parametrize("name", DRAWN)
def test_the_legend_names_every_set_or_norm_once(name):
    (legend,) = DRAWN[name].legends
    looks = NORMS if name == "layers" else LOOKS
    assert [text.get_text() for text in legend.get_texts()] == [x.label for x in looks.values()]


def test_a_layer_without_a_kernel_has_no_points_for_one():
    """And forty layers have a name each, from top to bottom."""
    names = [f"layer{i // 10}_{i % 10}/conv" for i in range(40)]
    norms = Norms(*(rng.uniform(1, 2, (2, 40)) for _ in range(4)), rng.uniform(5, 9, 2))
    norms.operator[:, 3] = np.nan
    figure = figures._layers(PANEL._replace(layer_names=names, norms=norms), SUMMARY, "title")
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == names
    assert axes.yaxis_inverted()
    points = {line.get_label(): line.get_xydata() for line in axes.lines}
    drawn = {quantity: points[look.label] for quantity, look in NORMS.items()}
    assert np.isnan(drawn["operator"][:, 0]).sum() == 2
    np.testing.assert_array_equal(drawn["layer"][:, 0], norms.layer.ravel())
    room = figure.get_figheight() * 72 / len(names)  # points for a row, whose letters have nine
    assert room > 9
