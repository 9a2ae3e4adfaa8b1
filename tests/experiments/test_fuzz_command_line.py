"""Nonsense on the command line: whatever it is, it is done or answered by one line."""

import contextlib
import dataclasses
import io
import json
import pathlib
import re

import numpy as np
import pytest
import requests
from absl import flags
from hypothesis import given
from hypothesis import strategies as st
from main_program import call
from nonsense_files import files

import main
from jaxnoise import data
from jaxnoise.config import Config, flag_type
from jaxnoise.experiments import experiment
from jaxnoise.runs import provenance
from jaxnoise.training import assembly

ABSL_SAYS = "Warning: Hit circular flagfile dependency. Ignoring flagfile: recursive.cfg\n"
GIVEN: list[pathlib.Path] = []  # the files in the working folder, which no command may change
FIELDS = {field.name: field for field in dataclasses.fields(Config)}


@pytest.fixture(scope="module", autouse=True)
def _before_training():
    """Everything up to training is done, but nothing is got from a network, and digits once."""

    def before_training(alone, watch):
        engine = assembly.engine(alone.config, alone.dataset)
        assert np.isfinite(engine.program.optimizer.schedule(2**30))
        alone.begin(engine)
        return {}

    def no_network(*_, **__):
        raise requests.ConnectionError

    def load(name, *, load=data.load, **where):
        return bundled if name == "digits" else load(name, **where)

    bundled, facts_of_all = data.load("digits"), provenance.facts()
    with pytest.MonkeyPatch.context() as patch:
        if "noise_rate" not in flags.FLAGS:
            main.define_flags()
        patch.setattr(experiment, "_run", before_training)
        patch.setattr(provenance, "facts", lambda: facts_of_all)
        patch.setattr(requests, "get", no_network)
        patch.setattr(data, "load", load)
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The working folder, with a few things in it to be named on the command line."""
    folder = tmp_path_factory.mktemp("place")
    labels = data.load("digits").train_labels
    (folder / "folder").mkdir()
    (folder / "folder" / "kept").write_text("kept")
    (folder / "empty").touch()
    (folder / "text.csv").write_text("label_noisy\n1\n")
    (folder / "labels.json").write_text(json.dumps(labels.tolist()))
    np.savez(folder / "labels.npz", noisy=labels)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "matrix.npy", np.full((10, 10), 0.1))
    np.save(folder / "cut.npy", np.zeros(3))
    (folder / "cut.npy").write_bytes((folder / "cut.npy").read_bytes()[:-9])
    (folder / "flags.cfg").write_text("--dataset=digits\n--noise_rate=0.3\n")
    (folder / "recursive.cfg").write_text("--flagfile=recursive.cfg\n")
    (folder / "binary.cfg").write_bytes(bytes(range(256)))
    (folder / "forbidden").write_text("x")
    (folder / "forbidden").chmod(0)
    (folder / "loop").symlink_to("loop")
    GIVEN.extend(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    return folder


def contents(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if "new" not in path.parts}


def tried(place, *arguments):
    """Exit code and errors of one command in the place, which must stay as it was but for `new`."""
    before = contents(place)
    told = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    with (
        contextlib.chdir(place),
        contextlib.redirect_stderr(told),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        code = call("--results_dir=new", *arguments)
    told.seek(0)
    text = told.read().replace(ABSL_SAYS, "")
    after = contents(place)
    assert code in (0, 2), (code, text)
    if code == 2:
        assert re.fullmatch(r"error: \S.*\n", text), text  # . matches no line break
        assert re.search(r"""--\w|'.*'|".*"|/""", text), text
        assert after == before
    else:
        assert text == ""
        assert {path: after[path] for path in GIVEN} == {path: before[path] for path in GIVEN}
    return code, text


# What stands behind a flag

TEXT = st.text(max_size=20) | st.sampled_from(
    [
        "",
        " ",
        "\n",
        "\0",
        "\udcff",
        "\x1b[31m",
        "ß",
        "🎲",
        "-1",
        "1e400",
        "0x10",
        "1_000",
        "²",
        "x" * 300,
    ]
)
NUMBERS = st.one_of(
    st.integers(-3, 40),
    st.integers(-(2**70), 2**70),
    st.sampled_from([2**31 - 1, 2**31, 2**32, 2**63, 10**400]),
    st.floats(),
    st.floats(0, 1),
).map(str)
PATHS = st.sampled_from(
    [
        "folder", "empty", "empty/below", "missing", "missing.npz", "text.csv", "labels.json",
        "labels.npz", "labels.npy", "matrix.npy", "cut.npy", "forbidden", "loop", "/dev/null",
        "~nobody/x", "~", ".", "..", "/proc/self/mem", "n" * 300, "a\0b", "new", "flags.cfg",
        "folder/", "new/\udcff", "new/\n",
    ]
)  # fmt: skip
KINDS = {
    bool: st.sampled_from(["true", "false", "1", "0", "maybe", ""]),
    int: NUMBERS,
    float: NUMBERS,
    str: PATHS,
}


@st.composite
def flag(draw):
    """One flag with a value: of its type or choices as a rule, anything at times."""
    field = FIELDS[draw(st.sampled_from(sorted(FIELDS)))]
    right = KINDS[flag_type(field)]
    if field.metadata["choices"]:
        right = st.sampled_from(tuple(field.metadata["choices"]))
    value = draw(st.one_of(right, right, TEXT))
    form = draw(st.sampled_from(["--{}={}", "--{}={}", "--{}={}", "-{}={}", "--no{}={}", "--{}"]))
    return form.format(field.name, value)


SOUND = st.sampled_from(
    [
        "--dataset=digits", "--dataset=digits", "--dataset=mnist", "--dataset=cifar10_n",
        "--noise_type=flip_noise", "--noise_type=instance_noise", "--noise_type=concentrated_noise",
        "--noise_type=matrix_noise", "--noise_matrix=matrix.npy", "--noise_type=human_noise",
        "--human_labels=worse_label", "--noise_rate=0.4", "--noise_file=labels.npz", "--do_sn",
        "--noise_draws=5", "--noise_per_repeat", "--train_size=300", "--validation_labels=noisy",
        "--data_dir=folder", "--cache_dir=new", "--manual_dir=folder", "--jacob_coef=1e-3",
    ]
)  # fmt: skip
JUNK = st.sampled_from(
    [
        "--", "-", "---", "--=", "--no", "--nono", "digits", "=", "", "--flagfile=missing.cfg",
        "--flagfile=flags.cfg", "--flagfile=recursive.cfg", "--flagfile=binary.cfg", "--flagfile=",
        "--flagfile=folder", "--flagfile", "--undefok=x", "--undefok", "--x", "--noise_rate",
        "--flagfile=a\0b", "--flagfile=forbidden",
    ]
)  # fmt: skip
ARGUMENTS = st.lists(st.one_of(flag(), flag(), flag(), SOUND, JUNK, TEXT), max_size=6)


@given(ARGUMENTS)
def test_any_arguments(place, arguments):
    tried(place, *arguments)


@given(st.lists(flag(), min_size=1, max_size=2), st.lists(SOUND, max_size=4))
def test_a_bad_flag_among_sound_ones(place, bad, sound):
    tried(place, "--dataset=digits", *sound, *bad)


# What stands in the files named on the command line


@pytest.mark.parametrize("flag", ["noise_file", "noise_matrix", "flagfile"])
@given(files())
def test_any_file(place, flag, file):
    suffix, content = file
    (place / "new").mkdir(exist_ok=True)
    name = f"new/file{suffix}"
    (place / name).write_bytes(content)
    more = ["--noise_type=matrix_noise", "--noise_rate=1"] * (flag == "noise_matrix")
    code, told = tried(place, "--dataset=digits", f"--{flag}={name}", *more)
    if code == 2 and flag != "flagfile":
        assert f"--{flag}" in told
