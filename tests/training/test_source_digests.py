"""Which changes of code count, and which do not: on copies of the package's own modules."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

from jaxnoise import nets
from jaxnoise.config import Config
from jaxnoise.training import source_digests, source_trees

CONFIG = Config(dataset="digits")


@pytest.fixture
def edit(monkeypatch, tmp_path):
    """A function that replaces text in a module's source, as `source_digests` reads it."""
    plain = source_trees.path_of
    edited = {}

    def replace(module, old, new):
        path = edited.get(module) or plain(module)
        text = path.read_text(encoding="utf-8")
        assert old in text
        edited[module] = tmp_path / f"{module}.py"
        edited[module].write_text(text.replace(old, new, 1), encoding="utf-8")
        forget()

    def forget():
        source_trees.of_module.cache_clear()
        source_digests._definition.cache_clear()

    monkeypatch.setattr(source_trees, "path_of", lambda name: edited.get(name) or plain(name))
    yield replace
    forget()


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("jaxnoise.nets", "(6, 16)", "(7, 16)"),
        ("jaxnoise.losses", "def cross_entropy(", "def cross_entropy(scale=1, "),
        ("jaxnoise.methods.optim", "decay=self.momentum", "decay=0.8"),
        ("jaxnoise.layers.conventions", "momentum=0.99", "momentum=0.9"),
        ("jaxnoise.labels.by_class", "def uniform_noise(", "@staticmethod\ndef uniform_noise("),
        ("jaxnoise.datasets.splits", "RandomState(seed)", "RandomState(seed + 1)"),
        ("jaxnoise.training.loop", "range(6)", "range(1, 7)"),
    ],
)
def test_change_of_what_is_trained_counts_and_names_its_module(edit, module, old, new):
    before = source_digests.of_run(CONFIG)
    edit(module, old, new)
    assert source_digests.changed(before, source_digests.of_run(CONFIG)) == [module]


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("jaxnoise.nets", "class LeNet(", "# LeCun\n\nclass LeNet("),
        ("jaxnoise.nets", "LeNet with batch norm", "The net of LeCun"),
        ("jaxnoise.nets", "[(96, 3)]", "[(95, 3)]"),
        ("jaxnoise.nets", "class AllCNN(", "class Mine:\n    pass\n\n\nclass AllCNN("),
        ("jaxnoise.methods.robust_losses", "log_zero * jnp", "2 * log_zero * jnp"),
        ("jaxnoise.labels.by_class", "def pair_noise(", "@staticmethod\ndef pair_noise("),
        ("jaxnoise.labels.noise", '"pair_noise": ', '"mine": None, "pair_noise": '),
    ],
    ids=["comment", "docstring", "other net", "new net", "other loss", "other noise", "new noise"],
)  # fmt: skip
def test_change_of_words_or_of_what_the_run_does_not_use_does_not_count(edit, module, old, new):
    before = source_digests.of_run(CONFIG)
    edit(module, old, new)
    assert source_digests.of_run(CONFIG) == before


def test_runs_of_one_code_agree_whatever_their_settings():
    others = [
        Config(dataset="cifar10", do_sn=True, loss="gce", method="mixup", noise_type="pair_noise"),
        Config(dataset="digits", net="allcnn", loss="forward", noise_type="instance_noise"),
    ]
    for other in others:
        assert source_digests.changed(
            source_digests.of_run(CONFIG), source_digests.of_run(other)
        ) == []  # fmt: skip


def test_what_is_reached_is_what_is_trained():
    """Not settings, reports, files or downloads; but all of the step."""
    modules = source_digests.of_run(CONFIG)
    assert {"jaxnoise.nets", "jaxnoise.train_step", "jaxnoise.losses", "jaxnoise.layers.conv",
            "jaxnoise.methods.optim", "jaxnoise.training.loop"} <= modules.keys()  # fmt: skip
    wings = {module.split(".")[1] for module in modules}
    assert not wings & {"config", "runs", "terminal", "figures", "report", "experiments", "data"}


OWN = """
import flax.linen as nn
import {helper}
from jaxnoise.nets import DenseBlock

WIDTH = 8

def features(x):
    return {helper}.doubled(x) * WIDTH

class Own(nn.Module):
    def __call__(self, x):
        return features(x)

def unused():
    return 1
"""


def test_net_of_ones_own_counts_with_its_helpers(monkeypatch, tmp_path, edit):
    name, helper = "own_net_of_a_test", "helper_of_a_test"
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{name}.py").write_text(OWN.format(helper=helper))
    (tmp_path / f"{helper}.py").write_text("def doubled(x):\n    return 2 * x\n")
    own = importlib.import_module(name)
    try:
        monkeypatch.setitem(nets.NETS, "lenet", own.Own)
        before = source_digests.of_run(CONFIG)
        assert {name, helper} <= before.keys()
        edit(name, "return 1", "return 2")
        assert source_digests.of_run(CONFIG) == before
        edit(name, "WIDTH = 8", "WIDTH = 9")
        assert source_digests.changed(before, source_digests.of_run(CONFIG)) == [name]
        edit(helper, "2 * x", "3 * x")
        assert source_digests.changed(before, source_digests.of_run(CONFIG)) == [helper, name]
    finally:
        del sys.modules[name], sys.modules[helper]
        source_digests._counts.cache_clear()


def test_what_a_file_of_ones_own_reaches_counts_also_through_a_module(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import jaxnoise\nfrom jaxnoise import nets\n"
        "from jaxnoise.methods.robust_losses import mae\n"
        "@jaxnoise.net\nclass Mine(nets.CNN8): ...\n"
        "@jaxnoise.loss\ndef mine(*, logits, labels): return mae(logits=logits, labels=labels)\n"
    )
    config = Config(dataset="digits", user_code=str(tmp_path / "mine.py"), net="Mine", loss="mine")
    code = source_digests.of_run(config)
    assert "CNN8=" in code["jaxnoise.nets"] and "LeNet=" not in code["jaxnoise.nets"]
    assert "mae=" in code["jaxnoise.methods.robust_losses"]
    assert "DenseBlock=" in code["jaxnoise.layers.blocks"]


def test_a_long_chain_of_definitions_is_followed_to_its_end(monkeypatch, tmp_path, edit):
    """Longer than Python's stack is deep."""
    name = "chain_of_a_test"
    lines = ["w0 = 1"] + [f"w{i} = w{i - 1}" for i in range(1, 2 * sys.getrecursionlimit())]
    lines += ["class Own:", f"    w = w{len(lines) - 1}"]
    (tmp_path / f"{name}.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module(name)
    try:
        monkeypatch.setitem(nets.NETS, "lenet", own.Own)
        before = source_digests.of_run(CONFIG)
        edit(name, "w0 = 1", "w0 = 2")
        assert source_digests.changed(before, source_digests.of_run(CONFIG)) == [name]
    finally:
        del sys.modules[name]
        source_digests._counts.cache_clear()


def test_package_that_pip_installed_into_a_folder_does_not_count(monkeypatch, tmp_path):
    """pip install --target, as on clusters, with the folder on PYTHONPATH."""
    (tmp_path / "library_of_a_test").mkdir()
    (tmp_path / "library_of_a_test" / "__init__.py").write_text("from . import part")
    (tmp_path / "library_of_a_test" / "part.py").write_text("")
    (tmp_path / "own_of_a_test.py").write_text("import library_of_a_test.part")
    monkeypatch.syspath_prepend(tmp_path)
    names = ("library_of_a_test", "library_of_a_test.part", "own_of_a_test")
    try:
        assert all(source_digests._counts(name) for name in names)
        source_digests._counts.cache_clear()
        (tmp_path / "library_of_a_test-1.0.dist-info").mkdir()
        assert not any(source_digests._counts(name) for name in names[:2])
    finally:
        source_digests._counts.cache_clear()
        sys.modules.pop(names[0], None)


def test_installed_packages_do_not_count():
    assert not any(source_digests._counts(name) for name in ("jax", "flax.linen", "json", "math"))
    assert not source_digests._counts("there_is_no_such_module")


def test_a_module_s_source_is_found_without_importing_it():
    assert source_trees.path_of("jaxnoise.report.page") == Path(
        importlib.util.find_spec("jaxnoise.report.page").origin
    )
