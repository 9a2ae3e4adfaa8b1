"""Strategies for files of labels and matrices: sound, of another kind, cut short, or any bytes."""

import io
import json

import numpy as np
from hypothesis import strategies as st

NAMES = st.sampled_from(["noisy", "clean", "picked", "train_index", "valid_index", "valid_noisy",
                         "valid_clean", "valid_picked", "other"])  # fmt: skip
DTYPES = st.sampled_from(["i4", "i8", "u8", "f4", "f8", "c8", "?", "U3", "S2", "O", "M8[s]", "i1"])
SHAPES = st.sampled_from([(), (0,), (1,), (3,), (1437,), (1, 1437), (2, 1437), (10, 10), (1, 1, 2)])


@st.composite
def arrays(draw):
    """Arrays of any kind: now and then of the right shape."""
    dtype, shape = draw(DTYPES), draw(SHAPES)
    fill = draw(st.sampled_from([0, 1, 9, 10, 100, 255, 0.1]))
    with np.errstate(invalid="ignore", over="ignore"):
        array = np.full(shape, fill).astype("f8").astype(dtype if dtype != "i1" else "u1")
    return array


def as_npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def as_npz(content):
    file = io.BytesIO()
    np.savez(file, **content)
    return file.getvalue()


CELLS = st.one_of(
    st.integers(-1, 11), st.floats(), st.text(max_size=3), st.none(), st.integers(), st.booleans()
)
JSON = st.recursive(
    CELLS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
) | st.lists(st.integers(0, 9) | CELLS, min_size=1437, max_size=1437).filter(bool)
JSON_TEXT = JSON.map(json.dumps) | st.sampled_from(
    ["[" * 100_000, "1" * 5000, "NaN", "[1e999]", "\ufeff[1]", "[" + "7," * 1436 + "7]"]
)
CSV_TEXT = st.builds(
    lambda header, rows: "\n".join([header, *(",".join(map(str, row)) for row in rows)]),
    st.sampled_from(
        ["label,label_noisy", "label_noisy", "label_noisy,label_noisy", "", "a\0b", "1,0"]
    ),
    st.lists(st.lists(CELLS, max_size=3), max_size=5),
)
FILES = {
    ".npz": st.dictionaries(NAMES, arrays(), max_size=9).map(as_npz),
    ".npy": arrays().map(as_npy),
    ".json": JSON_TEXT.map(lambda text: text.encode(errors="surrogatepass")),
    ".csv": CSV_TEXT.map(lambda text: text.encode(errors="surrogatepass")),
    "": st.just(b""),
}


@st.composite
def files(draw):
    """The end of a file's name and its content: sound, of another kind, cut short, or any bytes."""
    suffix = draw(st.sampled_from(sorted(FILES)))
    kind = draw(st.sampled_from([suffix, suffix, suffix, *FILES]))
    content = draw(st.one_of(FILES[kind], FILES[kind], st.binary(max_size=200)))
    if draw(st.integers(0, 4)) == 0:
        content = content[: draw(st.integers(0, len(content)))]
    return suffix, content
