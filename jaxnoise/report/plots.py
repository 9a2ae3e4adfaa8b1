"""The plots of a run's curves for a browser, by Bokeh (https://bokeh.org), as yet without numbers.

A page holds one plot for each panel. When a run is opened, page.js draws a copy of it with the
run's numbers.
"""

import functools
import html
from typing import Any

from bokeh.embed import json_item
from bokeh.models import ColumnDataSource, DataRange1d, HoverTool, Legend
from bokeh.plotting import figure
from bokeh.resources import Resources

from jaxnoise.figures.colours import BLACK
from jaxnoise.report.curves import PANELS, Panel

_DASHES = {"-": "solid", "--": "dashed", "-.": "dashdot", ":": "dotted"}
_FONT = "system-ui, sans-serif"
# Of each curve: its mean; mean ± std; the mean where no line leads to it; what hovering shows.
_OF_A_CURVE = ("{}", "{}_low", "{}_high", "{}_alone", "{}_words")
# For each x a box around all curves, which catches the pointer.
_BOX = ("left", "right", "bottom", "top")


def script() -> str:
    """The script that draws plots, BokehJS, from the installed package."""
    resources = Resources(mode="inline", minified=True, components=["bokeh"])
    return resources.js_raw[0]  # the rest sets a log level


@functools.cache
def plots() -> dict[str, dict[str, Any]]:
    """For each of PANELS its title, its curves' names, and what `Bokeh.embed.embed_item` takes.

    In the item's document, the data source `numbers` has the column x, those of _BOX, and for each
    curve those of _OF_A_CURVE. The legend is called `legend`; lines, and the points that stand
    alone, are called as their columns.
    """
    return {
        name: {
            "title": f"{panel.y} by {panel.x}",
            "curves": list(panel.looks),
            "logarithmic": panel.logarithmic,
            "limits": panel.limits,
            "item": json_item(_plot(panel)),
        }
        for name, panel in PANELS.items()
    }


def _plot(panel: Panel) -> figure:
    columns = [column.format(name) for name in panel.looks for column in _OF_A_CURVE]
    # A plot without any number would warn that it has no range.
    source = ColumnDataSource({name: [1.0] for name in ("x", *_BOX, *columns)}, name="numbers")
    scale = "log" if panel.logarithmic else "linear"
    plot = figure(
        frame_height=240, min_width=260, sizing_mode="stretch_width", toolbar_location="above",
        tools="box_zoom,reset,save", x_axis_type=scale, y_axis_type=scale, x_axis_label=panel.x,
        y_axis_label=panel.y,
    )  # fmt: skip
    boxes = plot.quad(
        *_BOX, source=source, fill_alpha=0, line_alpha=0, hover_fill_color=BLACK,
        hover_fill_alpha=0.07, hover_line_alpha=0,
    )  # fmt: skip
    drawn = []
    for name, look in panel.looks.items():
        alone, shared = f"{name}_alone", dict(source=source, color=look.colour)
        # Legends here do not break lines, and a phone is narrow.
        labelled = shared | {"legend_label": look.label.replace(" label, predicted", ", predicted")}
        drawn += [
            plot.varea("x", f"{name}_low", f"{name}_high", fill_alpha=0.12, **labelled),
            plot.line(
                "x", name, line_width=1.8, line_dash=_DASHES[look.style], name=name, **labelled
            ),
            plot.scatter("x", alone, size=6, name=alone, **shared),
        ]
    # A margin so small that no epoch 0 is in it.
    plot.x_range = DataRange1d(renderers=drawn, range_padding=0.02)
    plot.y_range = DataRange1d(renderers=drawn)
    hover = HoverTool(
        renderers=[boxes], mode="vline", point_policy="follow_mouse", visible=False,
        tooltips=_tooltip(panel),
    )  # fmt: skip
    plot.add_tools(hover)
    _decorate(plot)
    return plot


def _decorate(plot: figure) -> None:
    plot.toolbar.logo, plot.toolbar.autohide = None, True
    plot.outline_line_color = None
    plot.grid.grid_line_alpha = 0.4
    plot.xaxis.ticker.min_interval = 1 if plot.xaxis[0].axis_label == "epoch" else 0
    for axis in plot.axis:
        axis.axis_label_text_font = axis.major_label_text_font = _FONT
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color, axis.major_tick_in = None, 0
    (legend,) = plot.select(Legend)
    legend.update(
        name="legend", click_policy="hide", location="left", border_line_color=None, padding=0,
        margin=4, spacing=0, glyph_height=16, glyph_width=20, label_height=16,
        label_text_font=_FONT, label_text_font_size="11px",
    )  # fmt: skip
    plot.add_layout(legend, "below")


def _tooltip(panel: Panel) -> str:
    """What hovering shows, as HTML: x, and each curve's value behind its colour."""
    rows = [
        f'<tr><td><span style="color: {look.colour}">●</span> {html.escape(look.label)}</td>'
        f'<td style="text-align: right; padding-left: 1em">@{{{name}_words}}</td></tr>'
        for name, look in panel.looks.items()
    ]
    head = f"<strong>{html.escape(panel.x)}: @x</strong>"
    return f'<div style="font: 12px {_FONT}">{head}<table>{"".join(rows)}</table></div>'
