"""What a run says of itself in the log: its settings, its data, how it goes on, and its scores."""

import logging
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from jaxnoise.config import (
    Config,
    InputError,
    MethodConfig,
    RegularizerConfig,
    class_folders,
    counted,
)
from jaxnoise.labels import noise
from jaxnoise.labels.noisy_dataset import SPLITS, NoisyDataset
from jaxnoise.layers.conventions import PAPER

log = logging.getLogger("jaxnoise")

# Validation images; with fewer, one of them is more than a point of accuracy.
_FEW = 100


def title(config: Config, separator: str) -> str:
    """The settings that identify a run, in one line."""
    return separator.join(
        [config.dataset_name, config.network, config.noise, config.regularization]
    )


def titles(configs: Sequence[Config]) -> list[str]:
    """The titles of runs, each with those of its `untold` settings in which the runs differ."""
    others = [untold(config) for config in configs]
    names = dict.fromkeys(name for each in others for name in each)
    differing = [name for name in names if len({str(each.get(name)) for each in others}) > 1]
    return [
        " · ".join(
            [title(config, " · "), *(f"{name}={each[name]}" for name in differing if name in each)]
        )
        for config, each in zip(configs, others, strict=True)
    ]


def other_settings(config: Config) -> str:
    """The `untold` settings as flags."""
    return " ".join(f"--{name}={value}" for name, value in untold(config).items())


def untold(config: Config) -> dict[str, Any]:
    """Settings that can change a result, are not at their default, and are not in `title`."""
    shown = {"dataset", "net", "noise_type", "noise_rate", "wave_frequency", "human_labels"}
    shown |= {field.name for of in (RegularizerConfig, MethodConfig) for field in fields(of)}
    shown -= {"jacob_mode", "jacob_start_epoch", "forward_file"}
    settings = config.result_settings
    return {
        field.name: settings[field.name]
        for field in fields(Config)
        if field.name in settings.keys() - shown and settings[field.name] != field.default
    }


def announce(
    config: Config,
    folder: Path,
    dataset: NoisyDataset,
    *,
    device: str,
    lags: bool,
    variables: dict[str, str],
) -> None:
    """Reports what is going to be trained, on what, and where the results go.

    Args:
      device: the kind that it runs on.
      lags: whether batch norm is evaluated with running averages.
      variables: those of the environment that can change numbers.
    """
    sizes = ", ".join(f"{np.sum(dataset.split == i)} {name}" for i, name in enumerate(SPLITS))
    log.info("Run      %s", title(config, " · "))
    if others := other_settings(config):
        log.info("Settings %s", others)
    for name, value in variables.items():
        log.info("Variable %s=%s, which can change numbers", name, value)
    log.info("Results  %s", folder)
    log.info("Data     %s images, %d classes", sizes, dataset.num_classes)
    if dataset.original.resized:
        log.info("         %s", dataset.original.resized)
    draws = dataset.noisy_labels[: config.draws]
    if config.best_by is None:
        log.info(
            "         nothing is set aside for validation: the scores, and the nets in "
            "checkpoints/best, are those of the last epoch"
        )
    elif (valid := np.sum(dataset.split == SPLITS.index("valid"))) < _FEW:
        log.info(
            "         the best epoch is chosen by %s: each is %.2g %% of that accuracy",
            counted(valid, "validation image"),
            100 / valid,
        )
    log.info("Noise    %s", "\n         ".join(noise.in_words(noise.summary(config, draws))))
    if config.noise_is_given and not any(labels.changed.any() for labels in draws):
        log.warning("         no label differs from the true one: are these the noisy labels?")
    own = config.definition("noise_model")  # which may not go by the rate
    if config.noise_rate == 0 and not config.noise_is_given and not own:
        none = f"; --recipe={config.recipe} sets no noise, its published rows do"
        log.info(
            "         --noise_rate is 0: training on the data set's own labels%s",
            none if config.recipe else "",
        )
    _warn_of_exact_jacobian(config, dataset.num_classes)
    if "flip" in (config.augment or "") and _are_characters(dataset):
        log.warning(
            "--augment=%s: a mirror image of a digit or letter is another one, or none; "
            "--augment=crop does not flip",
            config.augment,
        )
    if lags:
        _tell_of_running_averages(config, int(np.sum(dataset.split == 0)))
    late = config.jacob_coef > 0 and config.jacob_start_epoch > 0
    log.info(
        "Training %s%s, %s%s, on %s",
        counted(config.total_repeats, "repeat"),
        " together" if config.total_repeats > 1 else "",
        counted(config.epochs_num, "epoch"),
        f" (the Jacobian term is on from epoch {config.jacob_start_epoch + 1})" if late else "",
        device,
    )


def _are_characters(dataset: NoisyDataset) -> bool:
    """Whether the classes seem to be digits or letters: by their names."""
    names = dataset.class_names
    return class_folders.numbers(names) or all(len(name) == 1 for name in names)


def announce_resumption(epochs: int, facts: dict[str, Any]) -> None:
    """Reports that the run resumes, and what has changed since its last session."""
    log.info("Resuming after epoch %d, where the run was interrupted", epochs)
    earlier = facts["earlier_sessions"][-1] if facts["earlier_sessions"] else facts
    changed = [
        f"{name} {earlier.get(of, {}).get(name)}, now {value}"
        for of in ("versions", "device", "machine")
        for name, value in facts[of].items()
        if earlier.get(of, {}).get(name) != value
    ]
    for change in facts.get("resumed_anyway", []):
        log.warning("Begun %s: the results are not those of one code", change)
    if changed:
        log.warning(
            "Begun with %s: the results may differ in the last digits from those of one session",
            "; ".join(changed),
        )


def _warn_of_exact_jacobian(config: Config, num_classes: int) -> None:
    """A row of the Jacobian, gradient included, costs about a plain step (benchmarks/README.md)."""
    if config.jacob_coef > 0 and config.jacob_mode == "exact":
        log.warning(
            "--jacob_mode=exact: from epoch %d on, a step takes about %d times as long as a plain "
            "one, since it needs a backward pass for each of %d classes; with projection it takes "
            "about twice as long",
            config.jacob_start_epoch + 1,
            num_classes + 1,
            num_classes,
        )


def _tell_of_running_averages(config: Config, samples: int) -> None:
    """They forget their initial 0 and 1 as momentum^steps: at 0.99, down to 2 % in 400 steps."""
    momentum = PAPER.momentum if config.bn_momentum is None else config.bn_momentum
    asked = "--preset=paper" if config.preset == "paper" else "--bn_momentum"
    steps = -(-samples // config.batch_size)
    log.info(
        "Epochs   %s each: for about %s, batch norm's running averages lag far behind, and with "
        "them all accuracies%s%s",
        counted(steps, "step"),
        counted(math.ceil(4 / (1 - momentum) / steps), "epoch"),
        " and the best epoch" if config.best_by else "",
        f" ({asked} evaluates with them)"
        * (config.preset == "paper" or config.bn_momentum is not None),
    )


def scores(folder: Path) -> None:
    """Prints the table of scores of a finished run."""
    path = folder / "scores.txt"
    try:
        log.info("\n%s", path.read_text(encoding="utf-8"), extra={"refill": True})
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error}); --overwrite trains the run again") from error
