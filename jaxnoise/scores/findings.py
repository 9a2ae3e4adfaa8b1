"""The wrong labels found and the noise estimated, as scores.txt and reports say it."""

from typing import Any

# The ways to estimate the noise, by the beginnings of their names in the entry.
WAYS = {"mixture": "the mixture", "confident": "confident learning", "anchor": "anchor points"}


def in_words(entry: dict[str, Any], noise: dict[str, Any]) -> list[str]:
    """Describes an entry `detection` of scores.json in up to three lines, mean ± std.

    What no repeat has is left out, and so is a line without any number.

    Args:
      noise: the entry of that name.
    """
    lines = []
    if called := _told(
        entry,
        {"f1_at_true_rate": "precision = recall = F1 = {} if as many are called wrong as are",
         "mixture_precision": "by a mixture of two Gaussians precision {}",
         "mixture_recall": "recall {}", "mixture_f1": "F1 {}"},
    ):  # fmt: skip
        lines.append(f"Wrong labels found by their loss: {called}.")
    ways = {f"{way}_rate": f"{{}} % by {words}" for way, words in WAYS.items()}
    if rates := _told(entry, ways, 100):
        true = f", true {100 * noise['true_rate']:.2f} %" * (noise["true_rate"] > 0)
        lines.append(f"Noise rate estimated{true}: {rates}.")
    ways = {f"{way}_matrix_error": f"{{}} by {words}" for way, words in WAYS.items()}
    if errors := _told(entry, ways):
        lines.append(
            "Transition matrix estimated, Σ_j |estimated − realized| as a mean over its rows, in "
            f"[0, 2]: {errors}."
        )
    return lines


def _told(entry: dict[str, Any], names: dict[str, str], scale: float = 1) -> str:
    """The numbers of these names in their words, those that the entry has."""
    return ", ".join(
        words.format(mean_and_std(entry["mean"][name], entry["std"][name], scale))
        for name, words in names.items()
        if entry["mean"].get(name) is not None
    )


def mean_and_std(mean: float, std: float, scale: float = 1) -> str:
    """As in `0.953 ± 0.007` for a share, or `38.2 ± 0.8` in percent, for which `scale` is 100."""
    digits = 3 if scale == 1 else 1
    return f"{scale * mean:.{digits}f} ± {scale * std:.{digits}f}"
