"""Writes docs/api.md and docs/flags.md: python docs/make_api.py.

They come from the docstrings of jaxnoise's public names and from the help of the flags.
"""

import inspect
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import jaxnoise  # noqa: E402
from jaxnoise.config import FIELDS, help  # noqa: E402

INTRODUCTION = """# API reference

Made from the docstrings by `python docs/make_api.py`. [From Python](library.md) has an example.
"""


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
