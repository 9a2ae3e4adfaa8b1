"""Text that was laid out for a wide page, laid out anew for a terminal's width."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator

# The line below a table's header, as tabulate draws it: it shows where each column stands.
_RULE = re.compile(r"-{2,}(?: {2}-{2,})*")
_HEADING = 9  # characters before the text of a line such as `Data     1302 train, 140 valid`


def columns() -> int:
    """The terminal's width; 80 where that is not known."""
    return shutil.get_terminal_size().columns


def show(text: str) -> None:
    """Prints text to stdout, on a terminal fitted to its width."""
    print(fitted(text, columns()) if sys.stdout is not None and sys.stdout.isatty() else text)


def fitted(text: str, width: int, *, refill: bool = False) -> str:
    """Breaks lines between words, and tables between columns; what fits stays as it is.

    The parts of a table stand one below the other, each with the first column. A word that is
    longer than a line, such as a path, is not broken.

    Args:
      refill: whether the lines of a paragraph belong together, as those of `textwrap.fill` do,
        unless one of them is indented.
    """
    blocks = re.split(r"(\n\s*\n)", text)  # with what separates them
    return "".join(
        block if i % 2 or _widest(block) <= width else _block(block, width, refill)
        for i, block in enumerate(blocks)
    )


def _widest(text: str) -> int:
    return max(map(len, text.split("\n")))


def _block(block: str, width: int, refill: bool) -> str:
    lines = block.strip("\n").split("\n")
    around = re.fullmatch(r"(\n*)(?:.*?)(\n*)", block, re.DOTALL)
    if any(_RULE.fullmatch(line) for line in lines):
        inside = "\n\n".join(_parts(lines, width))
    elif refill and not any(line.startswith(" ") for line in lines):
        inside = _wrapped(" ".join(lines), width)
    else:
        inside = "\n".join(_wrapped(line, width) for line in lines)
    return around[1] + inside + around[2]


def _wrapped(line: str, width: int) -> str:
    """The line in several, the others indented like its text, or the last of its columns."""
    start = re.match(r"\s*(?:\S.*? {2,})?", line)[0]
    if len(start) > width / 2:
        start = re.match(r"\s*", line)[0]
    if (heading := re.match(r"[A-Z][a-z]+ +", line)) and heading.end() == _HEADING:
        start = heading[0]
    lines = textwrap.wrap(
        line[len(start) :], width - len(start), break_long_words=False, break_on_hyphens=False
    )
    return start + f"\n{' ' * len(start)}".join(lines)


def _parts(lines: list[str], width: int) -> Iterator[str]:
    """The table in parts that are narrow enough, each with the first column."""
    rule = next(line for line in lines if _RULE.fullmatch(line))
    key, *others = [match.span() for match in re.finditer("-+", rule)]
    others[-1:] = [(start, None) for start, _ in others[-1:]]

    def drawn(spans: list[tuple[int, int | None]]) -> list[str]:
        cells = [[line[slice(*span)].ljust(_length(span)) for span in spans] for line in lines]
        drawn = ["  ".join(row).rstrip() for row in cells]
        return [line for line in drawn if line]  # of a header, lines may be those of other columns

    def _length(span: tuple[int, int | None]) -> int:
        return (len(rule) if span[1] is None else span[1]) - span[0]

    part = [key]
    for span in others:
        if len(part) > 1 and _widest("\n".join(drawn([*part, span]))) > width:
            yield "\n".join(drawn(part))
            part = [key]
        part.append(span)
    yield "\n".join(drawn(part))
