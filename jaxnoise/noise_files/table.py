"""Tables of labels: one reader for every CSV file, however Excel, pandas or an editor wrote it."""

import csv
import io
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxnoise.config import Config, InputError, counted

_log = logging.getLogger("jaxnoise")

COLUMNS = ("file", "index", "label", "label_noisy")
_OTHER_NAMES = {"filename": "file", "file_name": "file", "path": "file", "filepath": "file"}
# The columns of cleanlab's tables of label issues, from its version 2.0 on: `given_label` is what a
# net would be trained on, the others are what cleanlab thinks of it.
_OF_CLEANLAB = {"is_label_issue", "label_quality", "label_score", "predicted_label", "given_label"}
# A column of such a name may hold labels or their order, so that it cannot be left out unseen.
_TELLING = re.compile(r"label|class|target|noisy|clean|true|index|idx|^ids?$|split|set$")


class Table:
    """The documented columns of a table, as text, row by row."""

    def __init__(self, source: str, columns: dict[str, list[str]], lines: list[int]):
        """`lines` are the rows' line numbers in the file, counted from 1."""
        self.source, self._columns, self._lines = source, columns, lines

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def __len__(self) -> int:
        return len(self._lines)

    def text(self, name: str) -> list[str]:
        """A column as it stands in the file."""
        return self._columns[name]

    def numbers(self, name: str) -> np.ndarray:
        """A column of whole numbers, int (rows,).

        Raises:
          InputError: an entry is something else; the message names its line.
        """
        for line, entry in zip(self._lines, self._columns[name], strict=True):
            if not re.fullmatch(r"[+-]?\d{1,18}", entry, re.ASCII):
                raise InputError(
                    f"{self.source}: line {line}: {name} is {entry!r}; allowed are whole numbers"
                )
        return np.array([int(entry) for entry in self._columns[name]], int)


def read_table(path: Path, source: str) -> Table:
    """Reads a CSV file with a header of COLUMNS, in any order and letter case.

    Accepted are UTF-8, UTF-16 and Windows-1252; commas, semicolons and tabs; any line ends. Columns
    that cannot be labels or their order are not used, which a warning says. Of a table of label
    issues by cleanlab, `given_label` is label_noisy, and the first column is index.

    Args:
      source: what errors call the file.

    Raises:
      InputError: it cannot be read, a row has too few or too many entries, a column is there twice,
        or one is unknown that may hold labels or their order.
    """
    try:
        text = _decoded(path.read_bytes())
        head = text.lstrip("\r\n").splitlines()[:1] or [""]
        separator = max(",;\t", key=lambda x: len(set(map(_name, head[0].split(x))) & {*COLUMNS}))
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        lines, rows = [], []
        for row in reader:
            if any(entry.strip() for entry in row):
                lines.append(reader.line_num)
                rows.append([entry.strip() for entry in row])
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(f"{source}: cannot be read: {reason}") from error
    if not rows:
        raise InputError(f"{source}: is empty; required are a header and rows below it")
    header, *rows = rows
    if cleanlabs := {"given_label", "is_label_issue"} <= {*header}:
        header = ["label_noisy" if name == "given_label" else name for name in header]
        header = [name or "index" for name in header]  # pandas' own, in the order of the quality
    for line, row in zip(lines[1:], rows, strict=True):
        if len(row) != len(header):
            raise InputError(
                f"{source}: line {line} has {counted(len(row), 'entry')}; required is one for each "
                f"of {', '.join(header)}"
            )
    columns: dict[str, list[str]] = {}
    unused = []
    for place, heading in enumerate(header):
        name, entries = _name(heading), [row[place] for row in rows]
        if name in columns:
            raise InputError(f"{source}: there are two columns {name}; allowed is one")
        if name in COLUMNS:
            columns[name] = entries
        elif not name and entries == [str(i) for i in range(len(rows))]:
            pass  # pandas' index, in order
        elif cleanlabs and name in _OF_CLEANLAB:
            unused.append(heading)
        elif not name or _TELLING.search(name):
            raise InputError(
                f"{source}: the column {heading!r} is unknown, but may hold labels or their order; "
                f"allowed are {', '.join(COLUMNS)} (label is the true one, label_noisy the one to "
                "train on): rename it or delete it"
            )
        else:
            unused.append(heading)
    if unused and columns:
        _log.warning("%s: columns that are not used: %s", source, ", ".join(unused))
    return Table(source, columns, lines[1:])


def table_of(config: Config) -> Table | None:
    """The table of --noise_file, if that is a CSV file.

    Raises:
      InputError: see `read_table`.
    """
    if config.noise_file is None or not config.noise_file.lower().endswith(".csv"):
        return None
    path = Path(os.path.expanduser(config.noise_file))
    return read_table(path, f"--noise_file={config.noise_file}")


def required(table: Table, names: Sequence[str]) -> None:
    """Raises InputError if one of these columns is missing."""
    for name in names:
        if name not in table:
            raise InputError(
                f"{table.source}: there is no column {name}; required are {' and '.join(names)}"
            )


def _name(heading: str) -> str:
    name = heading.strip().strip("\"'").lower()
    return _OTHER_NAMES.get(name, name)


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", errors="surrogateescape")  # what Excel calls CSV
    if re.search("[\0\udc80-\udcff]", text):  # no character there, as in a spreadsheet's own file
        raise ValueError("it is not text; save it as CSV (UTF-8)")
    return text
