"""Which frequencies of label noise are fitted, and when: a command of its own.

python -m jaxnoise.wave_response RUN_DIR... collects finished runs with --noise_type=wave_noise,
which differ in --wave_frequency and in regularizers alone, and writes wave_response.json and a
figure. Of every repeat it takes, from history.npz,

  epochs_to_half        the first epoch, from 1, after which at least half of the training samples
                        with a changed label are predicted as labelled; null if there is none,
  changed_as_noisy      the share of them after the last epoch, in percent,
  valid_noisy_accuracy  on validation pictures, whose labels follow the same wave, after the last
                        epoch, in percent: high where the wave was learned and not its samples,
  test_accuracy         on true labels after the last epoch, in percent.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from jaxnoise import artefacts, divergence
from jaxnoise.config import Config, InputError
from jaxnoise.figures import save
from jaxnoise.flags import complain
from jaxnoise.regularizer_config import RegularizerConfig
from jaxnoise.spectrum_figures import decorate

_LAST = ("changed_as_noisy", "valid_noisy_accuracy", "test_accuracy")
# What the runs of one figure may differ in.
_FREE = {"wave_frequency", *(field.name for field in dataclasses.fields(RegularizerConfig))}
# Okabe and Ito's colours; markers and lines tell them apart in grey.
_STYLES = (
    ("#000000", "o", "-"), ("#0072B2", "^", "--"), ("#009E73", "D", "-."), ("#D55E00", "s", "-"),
    ("#CC79A7", "v", "--"), ("#E69F00", "P", "-."), ("#56B4E9", "X", ":"),
)  # fmt: skip


class Response(NamedTuple):
    """What one run did to its wave."""

    folder: Path
    config: Config
    # float (repeats,) each: infinite if it never came, NaN for repeats that diverged.
    epochs_to_half: np.ndarray
    last: dict[str, np.ndarray]  # for each name in _LAST, NaN for repeats that diverged


def epochs_to_half(changed_as_noisy: np.ndarray) -> np.ndarray:
    """The first epoch, from 1, with at least 50 percent, (epochs, repeats) → float (repeats,).

    Infinite where there is none.
    """
    reached = changed_as_noisy >= 50
    return np.where(reached.any(axis=0), 1.0 + reached.argmax(axis=0), np.inf)


def read(folder: Path) -> Response:
    """Raises InputError if a folder holds no finished run with waves of noise."""
    run = artefacts.read_run(folder)
    if run.config.noise_type != "wave_noise" or not run.config.noise_rate:
        raise InputError(
            f"RUN_DIR={folder}: its noise is {run.config.noise}; allowed is wave_noise of a rate "
            "above 0"
        )
    history = artefacts.read_history(folder, run.config)
    for name in _LAST:
        if name not in history:
            raise InputError(f"RUN_DIR={folder}: history.npz has no array {name}")
    half = np.where(
        divergence.epochs(history) > 0, np.nan, epochs_to_half(history["changed_as_noisy"])
    )
    last = {name: artefacts.of_survivors(history, history[name][-1]) for name in _LAST}
    return Response(folder, run.config, half, last)


def collect(folders: list[Path]) -> dict[str, list[Response]]:
    """The responses by their regularization, in the order given, each by frequency.

    Raises:
      InputError: see `read`; or runs that differ in more than frequency and regularizers, or of
        which two do not differ even in those.
    """
    rows: dict[str, dict[float, Response]] = {}
    responses = [read(folder) for folder in folders]
    for response in responses:
        here, there = (x.config.result_settings for x in (response, responses[0]))
        for name in here.keys() - _FREE:
            if here[name] != there[name]:
                raise InputError(
                    f"RUN_DIR={response.folder}: --{name} is {here[name]}, that of "
                    f"{responses[0].folder} is {there[name]}; allowed are runs that differ in "
                    "--wave_frequency and regularizers"
                )
        row = rows.setdefault(response.config.regularization, {})
        same = row.setdefault(response.config.wave_frequency, response)
        if same is not response:
            raise InputError(
                f"RUN_DIR={response.folder}: {same.folder} has the same regularization and "
                "frequency; allowed is one run of each"
            )
    return {name: [row[frequency] for frequency in sorted(row)] for name, row in rows.items()}


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

    Where a repeat never fitted half, its run has an open marker above, at "> last epoch".
    """
    config = next(iter(rows.values()))[0].config
    figure = Figure(figsize=(10.2, 4.0), layout="constrained")
    half, fitted, test = panels = figure.subplots(1, 3)
    never = 1.35 * config.epochs_num
    for i, (name, row) in enumerate(rows.items()):
        colour, marker, line = _STYLES[i % len(_STYLES)]
        # Side by side, so that none hides another.
        shift = 1.05 ** (i - (len(rows) - 1) / 2)
        x = np.array([response.config.wave_frequency for response in row]) * shift
        epochs = np.stack([response.epochs_to_half for response in row])
        came = np.where(np.isinf(epochs).any(axis=1, keepdims=True), np.nan, epochs)
        how = {"color": colour, "label": name, "fmt": marker + line}
        _errorbar(half, x, came, **how)
        half.plot(
            x[np.isinf(epochs).any(axis=1)], np.full(np.isinf(epochs).any(axis=1).sum(), never),
            marker, color=colour, markerfacecolor="white", markersize=5.5,
        )  # fmt: skip
        _errorbar(fitted, x, np.stack([r.last["changed_as_noisy"] for r in row]), **how)
        _errorbar(test, x, np.stack([r.last["test_accuracy"] for r in row]), **how)
    half.set_yscale("log")
    half.set_ylim(0.85, 1.2 * never)
    ticks = [x for x in (1, 2, 5, 10, 20, 50, 100, 200, 500) if x <= 0.8 * config.epochs_num]
    half.yaxis.set_major_locator(FixedLocator([*ticks, config.epochs_num, never]))
    half.yaxis.set_major_formatter(
        FuncFormatter(lambda y, _: f"> {config.epochs_num}" if y == never else f"{y:g}")
    )
    half.set_ylabel("epochs until half of the\nchanged labels are predicted")
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
        axes.set_xlabel("frequency of the noise\n(cycles per standard deviation)")
        decorate(axes)
    figure.suptitle(
        f"{config.dataset_name} · {config.network} · wave_noise {config.noise_rate:g} · "
        f"mean ± std over {config.total_repeats} repeats",
        fontsize=10,
    )
    handles, labels = half.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(len(labels), 6), frameon=False,
        fontsize=9,
    )  # fmt: skip
    return figure


def _errorbar(axes: Axes, x: np.ndarray, values: np.ndarray, **how: Any) -> None:
    """Mean ± std of values (frequencies, repeats) over the repeats that are finite."""
    found = np.ma.masked_invalid(values)
    mean, std = found.mean(axis=1).filled(np.nan), found.std(axis=1).filled(np.nan)
    axes.errorbar(x, mean, std, markersize=5, linewidth=1.2, elinewidth=0.9, capsize=2, **how)


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
                f"--out={out}: {path} is there and says something else; allowed is a folder "
                "without it"
            )
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        save(draw(rows), out / "wave_response")
    except OSError as error:
        raise InputError(f"--out={out}: cannot be written: {error.strerror}") from error
    return "\n".join([*map(_in_words, content["runs"]), f"Written: {path}, .png and .pdf"])


def _in_words(run: dict[str, Any]) -> str:
    pairs = zip(run["epochs_to_half"], run["diverged"], strict=True)
    halves = ["diverged" if gone else "never" if x is None else f"{x:g}" for x, gone in pairs]
    means = [np.mean([x for x in run[name] if x is not None] or [np.nan]) for name in _LAST]
    fitted, valid, test = (f"{mean:.1f} %" for mean in means)
    return (
        f"{run['regularization']}, frequency {run['wave_frequency']:g}: half fitted at epoch "
        f"{', '.join(halves)}; at the end {fitted} fitted, noisy validation {valid}, test {test}"
    )


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        "python -m jaxnoise.wave_response", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("runs", metavar="RUN_DIR", nargs="+", type=Path, help="of a finished run")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: here)")
    arguments = parser.parse_args(argv)
    try:
        print(write(arguments.runs, arguments.out))
    except InputError as error:
        return complain(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
