"""Which frequencies of label noise are fitted, and when: runs as a document and a figure."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from jaxnoise.config import InputError, counted
from jaxnoise.figures.colours import PAPER, methods
from jaxnoise.figures.drawing import decorate, legend_below, own_style, save
from jaxnoise.spectrum.wave_runs import LAST, Response, collect


def document(rows: dict[str, list[Response]]) -> dict[str, Any]:
    """What wave_response.json says; rates in [0, 1], shares and accuracies in percent."""
    config = next(iter(rows.values()))[0].config
    return {
        "dataset": config.dataset,
        "net": config.network,
        "noise_rate": config.noise_rate,
        "epochs": config.epochs_num,
        "runs": [
            {
                "regularization": name,
                "wave_frequency": response.config.wave_frequency,
                "folder": str(response.folder),
                "diverged": np.isnan(response.epochs_to_half).tolist(),
                "epochs_to_half": _numbers(response.epochs_to_half),
                **{key: _numbers(values) for key, values in response.last.items()},
            }
            for name, row in rows.items()
            for response in row
        ],
    }


def _numbers(values: np.ndarray) -> list[float | None]:
    return [round(float(x), 4) if np.isfinite(x) else None for x in values]


def draw(rows: dict[str, list[Response]]) -> Figure:
    """Three panels over frequency, a line for each regularization, mean ± std over repeats.

    If a repeat never fitted half, its run has an open marker at the top, at "> last epoch".
    """
    config = next(iter(rows.values()))[0].config
    figure = Figure(figsize=(10.2, 4.0), layout="constrained")
    half, fitted, test = panels = figure.subplots(1, 3)
    never, any_never = 1.35 * config.epochs_num, False
    looks = methods(list(rows), list(rows))
    for i, (look, row) in enumerate(zip(looks, rows.values(), strict=True)):
        label, colour, line, marker = look
        # Side by side, so that none hides another.
        shift = 1.05 ** (i - (len(rows) - 1) / 2)
        x = np.array([response.config.wave_frequency for response in row]) * shift
        epochs = np.stack([response.epochs_to_half for response in row])
        never_fitted = np.isinf(epochs).any(axis=1)
        came = np.where(never_fitted[:, None], np.nan, epochs)
        how = {"color": colour, "label": label, "fmt": marker + line}
        _errorbar(half, x, came, **how)
        above = np.where(never_fitted, never, np.nan)
        half.plot(x, above, marker, color=colour, markerfacecolor=PAPER, markersize=5.5)
        any_never |= never_fitted.any()
        _errorbar(fitted, x, np.stack([r.last["changed_as_noisy"] for r in row]), **how)
        _errorbar(test, x, np.stack([r.last["test_accuracy"] for r in row]), **how)
    half.set_yscale("log")
    half.set_ylim(0.85, 1.2 * never)
    ticks = [x for x in (1, 2, 5, 10, 20, 50, 100, 200, 500) if x <= 0.8 * config.epochs_num]
    ticks += [config.epochs_num, never] if any_never else [config.epochs_num]
    half.yaxis.set_major_locator(FixedLocator(ticks))
    half.yaxis.set_major_formatter(
        FuncFormatter(lambda y, _: f"> {config.epochs_num}" if y == never else f"{y:g}")
    )
    half.set_ylabel("epochs until half of the changed\nlabels are predicted (log scale)")
    fitted.set_ylabel("changed labels predicted\nafter the last epoch (%)")
    fitted.set_ylim(0, 103)
    test.set_ylabel("test accuracy\nafter the last epoch (%)")
    frequencies = sorted({r.config.wave_frequency for row in rows.values() for r in row})
    for axes in panels:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(frequencies))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_locator(NullLocator())
        axes.set_xlabel("frequency of the noise (cycles\nper standard deviation, log scale)")
        decorate(axes)
    figure.suptitle(
        f"{config.dataset_name} · {config.network} · wave_noise {config.noise_rate:g} · "
        f"mean ± std over {counted(config.total_repeats, 'repeat')}",
        fontsize=10,
    )
    legend_below(figure, half)
    return figure


def _errorbar(axes: Axes, x: np.ndarray, values: np.ndarray, **how: Any) -> None:
    """Mean ± std of values (frequencies, repeats) over the repeats that are finite."""
    found = np.ma.masked_invalid(values)
    mean, std = found.mean(axis=1).filled(np.nan), found.std(axis=1).filled(np.nan)
    axes.errorbar(x, mean, std, markersize=5, linewidth=1.2, elinewidth=0.9, capsize=2, **how)


@own_style()
def write(folders: list[Path], out: Path | None = None) -> str:
    """Writes wave_response.json, .png and .pdf, and returns a line for each run.

    Args:
      folders: of finished runs.
      out: where to write; by default the folder in which the command runs.

    Raises:
      InputError: see `collect`; or `out` cannot be written, or holds another response.
    """
    rows = collect(folders)
    out = out or Path(".")
    content = document(rows)
    text = json.dumps(content, indent=2) + "\n"
    path = out / "wave_response.json"
    try:
        if path.exists() and path.read_bytes() != text.encode():
            raise InputError(
                f"--out={out}: {path} exists with other content; allowed is a folder without it"
            )
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        save(draw(rows), out / "wave_response")
    except OSError as error:
        raise InputError(f"--out={out}: cannot be written: {error.strerror}") from error
    return "\n".join([*map(_in_words, content["runs"]), f"Written: {path}, .png and .pdf"])


def _in_words(run: dict[str, Any]) -> str:
    halves = [
        "diverged" if gone else "never" if x is None else f"{x:g}"
        for x, gone in zip(run["epochs_to_half"], run["diverged"], strict=True)
    ]
    numbers = ([x for x in run[name] if x is not None] for name in LAST)
    fitted, valid, test = (f"{np.mean(x):.1f} %" if x else "–" for x in numbers)
    return (
        f"{run['regularization']}, frequency {run['wave_frequency']:g}: half of the changed labels "
        f"fitted at epoch {', '.join(halves)}; after the last epoch {fitted} fitted, accuracy "
        f"{valid} on noisy validation labels, {test} on the test set"
    )
