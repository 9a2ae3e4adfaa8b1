"""Run folders in any state: verify, compare and main.py never end in a traceback."""

import contextlib
import io
import json
import re
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nonsense_files import JSON, JSON_TEXT, arrays, as_npz

from jaxnoise import compare as compare_command
from jaxnoise import data
from jaxnoise.config import Config, InputError
from jaxnoise.experiments import experiment
from jaxnoise.labels import noise, noisy_dataset
from jaxnoise.runs import documents, folders, noise_record, provenance
from jaxnoise.runs.history import EpochWriter, write_history
from jaxnoise.runs.record import read_record
from jaxnoise.runs.samples import write_samples, write_suspects
from jaxnoise.scores import scoring, selection
from jaxnoise.terminal import announcements
from jaxnoise.verify import __main__ as verify

REPEATS, EPOCHS = 2, 2
# A case takes five times as long as one of the command line.
few = settings(max_examples=max(1, settings.default.max_examples // 4))


@pytest.fixture(scope="module", autouse=True)
def _load_once():
    digits = data.load("digits")

    def load(name, *, load=data.load, **where):
        return digits if name == "digits" else load(name, **where)

    facts = provenance.facts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", load)
        patch.setattr(provenance, "facts", lambda: facts)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a finished run, all of it but for checkpoints, written without training."""
    config = Config(
        dataset="digits", train_size=200, test_size=50, noise_rate=0.4, total_repeats=REPEATS,
        epochs_num=EPOCHS, results_dir=str(tmp_path_factory.mktemp("results")),
    )  # fmt: skip
    what, folder = noisy_dataset.load(config), folders.run_folder(config)
    facts = provenance.facts() | {"data_sha256": what.data_sha256, "earlier_sessions": []}
    folders.claim(folder, config, facts)
    noise_record.write_noise(folder, config, what, versions=facts["versions"])
    names = {chosen.chosen_by for chosen in selection.SELECTIONS.values()} - {None}
    names |= {"test_accuracy", "train_accuracy", "train_noisy_accuracy", "valid_accuracy"}
    rng = np.random.default_rng(0)
    history = {name: rng.random((EPOCHS, REPEATS), np.float32) for name in sorted(names)}
    shape = REPEATS, len(what.train_index)
    samples = {
        "loss": rng.random(shape, np.float32),
        "predicted": np.zeros(shape, np.uint8),
        "best_predicted": np.ones(shape, np.uint8),
    }
    write_history(folder, history)
    write_samples(folder, samples)
    write_suspects(folder, what, samples, votes=np.ones(REPEATS, bool))
    with EpochWriter(folder, REPEATS) as writer:
        for epoch in range(EPOCHS):
            writer.write(epoch + 1, {name: values[epoch] for name, values in history.items()})
    scores = {name: rng.random(REPEATS) for name in scoring.SCORES}
    report = scoring.Report(
        scores,
        selection.select(history),
        np.zeros(REPEATS, int),
        noise.summary(config, what.noisy_labels[: config.draws]),
        config.validation_labels,
        {name: rng.random(REPEATS) for name in scoring.DETECTION},
    )
    documents.write_scores(folder, report)
    return folder


DOCUMENTS = ("config.json", "scores.json")


@st.composite
def edits(draw):
    """A function that changes one value somewhere in a JSON document, or takes it out."""
    steps = draw(st.lists(st.integers(0, 60), min_size=1, max_size=5))
    value, delete = draw(JSON), draw(st.booleans())

    def edit(document):
        inner = document
        for step in steps:
            keys = list(inner) if isinstance(inner, dict) else range(len(inner))
            key = keys[step % len(keys)]
            if step == steps[-1] or not isinstance(inner[key], dict | list) or not inner[key]:
                break
            inner = inner[key]
        if delete:
            del inner[key]
        else:
            inner[key] = value
        return document

    return lambda content: json.dumps(edit(json.loads(content))).encode()


ANYTHING = st.binary(max_size=100) | JSON_TEXT.map(lambda text: text.encode(errors="surrogatepass"))
DAMAGE = st.one_of(
    st.floats(0, 1).map(lambda share: lambda content: content[: int(share * len(content))]),
    ANYTHING.map(lambda other: lambda content: other),
    st.tuples(st.floats(0, 0.999), st.integers(1, 255)).map(
        lambda where: lambda content: flipped(content, *where)
    ),
)


def flipped(content, share, bits):
    at = int(share * len(content))
    return content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :]


@st.composite
def edited_arrays(draw):
    position, other = draw(st.integers(0, 20)), draw(arrays() | st.none())

    def edit(content):
        with np.load(io.BytesIO(content)) as archive:
            held = dict(archive)
        name = sorted(held)[position % len(held)]
        if other is None:
            del held[name]
        else:
            same_shape = other.ndim == 0
            held[name] = np.full(held[name].shape, other) if same_shape else other
        return as_npz(held)

    return edit


def told_by(command, *arguments):
    """Exit code of a command, which must end in one line where it is 2."""
    said, wrong = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(wrong):
        code = command([str(argument) for argument in arguments])
    if code == 2:
        assert re.fullmatch(r"error: \S.*\n", wrong.getvalue()), wrong.getvalue()
    else:
        assert wrong.getvalue() == ""
    return code


def try_all(whole, name, change):
    """All that reads a run folder, on a copy with one file changed."""
    folder = whole.with_name("changed" + whole.name[-9:])
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    assert told_by(verify.main, folder) in (1, 2)  # 1: there are no checkpoints
    if name in DOCUMENTS:
        out = folder / "out"
        assert told_by(compare_command.main, whole, folder, f"--out={out}") in (0, 2)
        shutil.rmtree(out, ignore_errors=True)
        assert told_by(compare_command.main, folder, whole, f"--out={out}") in (0, 2)
        config = read_record(whole).config
        with contextlib.suppress(InputError), pytest.MonkeyPatch.context() as patch:
            patch.setattr(folders, "run_folder", lambda _: folder)
            experiment.run(config)  # finished
        facts = provenance.facts() | {"earlier_sessions": documents.sessions(folder)}
        announcements.announce_resumption(1, facts)


def test_the_whole_run_is_read(whole):
    assert told_by(verify.main, whole) == 1
    assert told_by(compare_command.main, whole, f"--out={whole / 'out'}") == 0
    shutil.rmtree(whole / "out")


@pytest.mark.parametrize("name", DOCUMENTS)
@few
@given(edits())
def test_changed_document(whole, name, change):
    try_all(whole, name, change)


@few
@given(st.sampled_from([*DOCUMENTS, "noise.json"]), DAMAGE)
def test_damaged_document(whole, name, change):
    try_all(whole, name, change)


@few
@given(edits())
def test_changed_noise_document(whole, change):
    try_all(whole, "noise.json", change)


@few
@given(st.sampled_from(["noise.npz", "history.npz", "samples.npz"]), edited_arrays() | DAMAGE)
def test_changed_arrays(whole, name, change):
    try_all(whole, name, change)


@few
@given(st.sampled_from(["metrics.jsonl", "scores.csv", "scores.txt", "suspects.csv"]), DAMAGE)
def test_damaged_text(whole, name, change):
    try_all(whole, name, change)
