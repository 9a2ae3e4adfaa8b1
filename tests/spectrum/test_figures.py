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
    "layers": ["", ""],  # ticks name layers and bounds
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_axes_are_labelled_by_their_quantities(name):
    panels = DRAWN[name].axes
    assert [axes.get_xlabel() for axes in panels] == X_LABELS[name]
    shared = name in ("lines", "jacobian")  # one y axis for all
    assert all(axes.get_ylabel() for axes in panels[: 1 if shared else None])
    assert all(axes.get_xlabel() or axes.get_xticklabels() for axes in panels)


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
