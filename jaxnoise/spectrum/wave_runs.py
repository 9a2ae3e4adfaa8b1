"""Finished runs on waves of label noise, side by side by frequency and regularization."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxnoise.config import Config, InputError, RegularizerConfig
from jaxnoise.runs.history import read_history
from jaxnoise.runs.record import read_record
from jaxnoise.scores import divergence

# Metrics of which the last epoch's are taken, as far as there are: see `evaluation.evaluate`.
LAST = ("changed_as_noisy", "valid_noisy_accuracy", "test_accuracy")
# What the runs of one figure may differ in.
_FREE = {"wave_frequency", *(field.name for field in dataclasses.fields(RegularizerConfig))}


class Response(NamedTuple):
    """How one run fitted its wave."""

    folder: Path
    config: Config
    # float (repeats,) each: infinite if half was never fitted, NaN for repeats that diverged.
    epochs_to_half: np.ndarray
    # For each name in LAST, NaN for repeats that diverged and for what a run does not have.
    last: dict[str, np.ndarray]


def epochs_to_half(changed_as_noisy: np.ndarray) -> np.ndarray:
    """The first epoch, from 1, with at least 50 percent, (epochs, repeats) → float (repeats,).

    Infinite where there is none.
    """
    reached = changed_as_noisy >= 50
    return np.where(reached.any(axis=0), 1.0 + reached.argmax(axis=0), np.inf)


def read(folder: Path) -> Response:
    """Raises InputError if a folder holds no finished run with waves of noise."""
    run = read_record(folder)
    if run.config.noise_type != "wave_noise" or not run.config.noise_rate:
        raise InputError(
            f"RUN_DIR={folder}: its noise is {run.config.noise}; allowed is wave_noise with a rate "
            "above 0"
        )
    history = read_history(folder, run.config)
    if run.config.best_by is None:
        none = np.full_like(history["test_accuracy"], np.nan)
        history["valid_noisy_accuracy"] = none
    for name in LAST:
        if name not in history:
            raise InputError(f"RUN_DIR={folder}: history.npz has no array {name}")
    half = np.where(
        divergence.epochs(history) > 0, np.nan, epochs_to_half(history["changed_as_noisy"])
    )
    last = {name: divergence.of_survivors(history, history[name][-1]) for name in LAST}
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
                    f"{responses[0].folder} is {there[name]}; allowed are runs that differ only "
                    "in --wave_frequency and regularizers"
                )
        row = rows.setdefault(response.config.regularization, {})
        same = row.setdefault(response.config.wave_frequency, response)
        if same is not response:
            raise InputError(
                f"RUN_DIR={response.folder}: {same.folder} has the same regularization and "
                "frequency; allowed is one run of each"
            )
    return {name: [row[frequency] for frequency in sorted(row)] for name, row in rows.items()}
