"""Text laid out anew for narrow terminals."""

import textwrap

import pytest
from tabulate import tabulate

from jaxnoise.terminal.fitting import fitted

HEADER = ["repeat", "train\naccuracy", "test\naccuracy", "an entropy", "noise auroc"]
ROWS = [["1", "93.5", "90.1", "1.9", "0.98"], ["mean", "92.82", "94.08", "–", "0.9976"]]
TABLE = tabulate(ROWS, HEADER, tablefmt="simple", disable_numparse=True, stralign="right")


def cells(text):
    return [line.split() for line in text.splitlines()]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_what_fits_stays_as_it_is(width):
    text = f"\n\n{TABLE}\n\nA note.\n  indented\n\n\nEnd\n"
    assert fitted(text, width) == text


@pytest.mark.parametrize("width", [24, 30, 36, 45])
def test_a_table_is_divided_between_columns_and_repeats_its_first(width):
    parts = fitted(f"\n{TABLE}\n", width).strip("\n").split("\n\n")
    assert len(parts) > 1 and all(len(line) <= width for part in parts for line in part.split("\n"))
    for part in parts:
        assert [row[0] for row in cells(part)[-2:]] == ["1", "mean"]
    for place in (-2, -1):  # all cells, in order
        joined = [cell for part in parts for cell in cells(part)[place][1:]]
        assert joined == ROWS[place + 2][1:]
    assert fitted(f"\n{TABLE}\n", width).startswith("\n")


def test_left_aligned_columns_and_a_last_one_that_is_too_wide_are_whole():
    rows = [["1", "some words", "/a/path/that/is/longer/than/a/line"], ["2", "b", "/c"]]
    text = tabulate(rows, ["run", "what", "folder"])
    *_, part = fitted(text, 20).split("\n\n")
    assert cells(part) == [["run", "folder"], cells(part)[1], ["1", rows[0][2]], ["2", "/c"]]


def test_lines_are_broken_between_words_and_paths_are_not():
    line = "Results  /a/long/path-with-hyphens/that/cannot/be/broken and more words"
    assert fitted(line, 30).split("\n") == [
        "Results  /a/long/path-with-hyphens/that/cannot/be/broken", " " * 9 + "and more words",
    ]  # fmt: skip
    assert fitted("Data     1302 train, 140 valid images", 20) == (
        "Data     1302 train,\n         140 valid\n         images"
    )
    assert fitted("  an indented line of words", 16) == "  an indented\n  line of words"
    assert fitted("  run  about some thing", 14) == "  run  about\n       some\n       thing"
    assert fitted("[1/2] a long title of a run  [14 s]", 20).split("\n")[0] == "[1/2] a long title"


def test_a_filled_paragraph_is_filled_anew():
    words = " ".join(f"word{i}" for i in range(60))
    wide, narrow = (textwrap.fill(words, width) for width in (100, 80))
    assert fitted(wide, 80, refill=True) == narrow
    assert fitted("one\ntwo", 80, refill=True) == "one\ntwo"  # it fits
    examples = "Examples:\n  a command\n  another command"
    assert fitted(examples, 12, refill=True) == "Examples:\n  a command\n  another\n  command"
