"""Writes docs/api.md, docs/flags.md and docs/recipes.md: python docs/make_api.py.

They come from the docstrings of jaxnoise's public names, from the help of the flags, and from the
files of the recipes.
"""

import inspect
import pathlib
import sys
import textwrap

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import jaxnoise  # noqa: E402
from jaxnoise.config import FIELDS, help, recipes  # noqa: E402
from jaxnoise.scores.selection import SELECTIONS  # noqa: E402

INTRODUCTION = """# API reference

Made from the docstrings by `python docs/make_api.py`. [From Python](library.md) has an example.
"""


RECIPES = """# Recipes

A *recipe* is a set of flags that trains as a publication does: net, preprocessing, augmentation,
optimizer and schedule. `--recipe=NAME` sets them; flags that you give win, as in `--recipe=elr
--noise_rate=0.4 --total_repeats=3`, and `none` takes one away: `--recipe=elr --method=none` is the
baseline of ELR. If you give another optimizer, schedule or preprocessing, the recipe's flags that
belong to it are left out. A recipe sets no noise rate: the rows in the tables do. The folder of a
run names the recipe.

The published accuracies are in percent, on the test set, at the epoch that the
[selection](results.md#five-test-accuracies) chooses. **None of these rows has been run with
jaxnoise so far**: they are work for a GPU. The nets themselves agree with PyTorch's to 1e-6 in
logits and gradients (`tests/layers/test_pytorch_nets.py`).

This page is made from the files in `jaxnoise/config/recipes/` by `python docs/make_api.py`.
"""


def recipes_page() -> str:
    """All recipes as a page."""
    return "\n".join([RECIPES, *map(_recipe, recipes.NAMES)])


def _recipe(name: str) -> str:
    recipe = recipes.read(name)
    flags = " ".join(f"--{flag}={_spelled(value)}" for flag, value in recipe.flags.items())
    parts = [
        f"## {name}",
        _paragraph(recipe.about),
        _paragraph(f"Source: {recipe.source}."),
        _paragraph(f"Known differences: {recipe.differences}."),
        f"```text\n{_paragraph(flags)}\n```",
    ]
    if recipe.rows:
        rows = [
            f"| {row.name} | `{' '.join(f'--{x}={_spelled(y)}' for x, y in row.flags.items())}` | "
            + ", ".join(
                f"{SELECTIONS[selection].words} {accuracy:.2f}"
                for selection, accuracy in row.accuracy.items()
            )
            + " |"
            for row in recipe.rows
        ]
        first = recipe.rows[0]
        parts += [
            "\n".join(["| row | flags beside the recipe's | published |", "|---|---|---|", *rows]),
            _paragraph(
                f"Published: {first.source}. Tolerance: {first.tolerance:g} points ({first.why})."
            ),
        ]
    return "\n\n".join(parts) + "\n"


def _paragraph(text: str) -> str:
    return textwrap.fill(text, 100, break_on_hyphens=False, break_long_words=False)


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def text() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(_entry(name) for name in jaxnoise.__all__)])


def _entry(name: str) -> str:
    value = getattr(jaxnoise, name)
    parts = [f"## {name}", _docstring(value)]
    if inspect.isfunction(value):
        parts.insert(1, f"```python\n{name}{inspect.signature(value)}\n```")
    else:
        for member, of in vars(value).items():
            if not member.startswith("_") and (found := _documented(of)):
                parts.append(f"### {name}.{member}\n\n{found}")
    return "\n\n".join(parts) + "\n"


def _documented(value: object) -> str | None:
    """The docstring of a method or a property; None for what is neither."""
    of = getattr(value, "func", value)  # a cached property's function
    able = isinstance(value, property) or inspect.isfunction(of)
    return _docstring(of) if able and of.__doc__ else None


def _docstring(value: object) -> str:
    """As text: in Markdown what is indented would be code."""
    return f"```text\n{inspect.getdoc(value)}\n```"


if __name__ == "__main__":
    (ROOT / "docs" / "api.md").write_text(text(), encoding="utf-8")
    (ROOT / "docs" / "flags.md").write_text(help.markdown(FIELDS), encoding="utf-8")
    (ROOT / "docs" / "recipes.md").write_text(recipes_page(), encoding="utf-8")
