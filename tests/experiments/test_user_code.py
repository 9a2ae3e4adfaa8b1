"""Runs with definitions of one's own: they are what ours are, and are measured from a copy."""

import json
import re
import shutil

import numpy as np
import pytest
from main_program import call
from places import ROOT

import jaxnoise
from jaxnoise.config import Config, InputError
from jaxnoise.experiments import batch, experiment
from jaxnoise.runs import folders
from jaxnoise.terminal import interruption
from jaxnoise.verify.__main__ import main as verify

pytestmark = pytest.mark.usefixtures("standard_dtype_promotion")

SMALL = dict(
    dataset="digits", epochs_num=1, total_repeats=2, train_size=300, test_size=60, jacob_samples=1
)
# The same as ours, under other names.
SAME = """
import jaxnoise
from jaxnoise import losses, nets
from jaxnoise.labels import by_class

@jaxnoise.net(optimizer="sgd", learning_rate=0.01, schedule="step", lr_decay_epochs=15)
class Copy(nets.LeNet):
    size: int = 3

@jaxnoise.loss
def copied(*, logits, labels, scale=1.0):
    return scale * losses.cross_entropy(logits=logits, labels=labels)

@jaxnoise.noise_model
def copied_noise(samples, rng, *, rate, share=1.0):
    return by_class.uniform_noise(samples, rng, rate=share * rate)

@jaxnoise.noise_model
def labels_alone(samples, rng, *, rate):
    noisy = by_class.uniform_noise(samples, rng, rate=rate).noisy
    samples.labels[:] = 0  # a copy
    return noisy

same = jaxnoise.recipe(net="Copy", loss="copied", noise_type="copied_noise")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a recipe of one's own, whose file is then lost."""
    root = tmp_path_factory.mktemp("own")
    (root / "mine.py").write_text(SAME)
    config = Config(
        **SMALL, noise_rate=0.4, do_sn=True, results_dir=str(root), recipe="same",
        user_code=str(root / "mine.py"),
    )  # fmt: skip
    experiment.run(config)
    folder = folders.run_folder(config)
    (root / "mine.py").unlink()
    return folder


def test_definitions_equal_to_ours_train_to_equal_bits(trained, tmp_path):
    ours = Config(**SMALL, noise_rate=0.4, do_sn=True, results_dir=str(tmp_path), net="lenet")
    experiment.run(ours)
    for name in ("scores.csv", "suspects.csv", "metrics.jsonl"):
        assert (trained / name).read_bytes() == (folders.run_folder(ours) / name).read_bytes()
    mine, theirs = (np.load(folder / "noise.npz") for folder in (trained, folders.run_folder(ours)))
    for name in ("noisy", "picked", "valid_noisy"):
        np.testing.assert_array_equal(mine[name], theirs[name])


def test_a_run_records_and_keeps_its_code(trained):
    recorded = json.loads((trained / "config.json").read_text())
    assert recorded["hyperparameters"] == {
        "copied_scale": 1.0, "Copy_size": 3, "copied_noise_share": 1.0,
    }  # fmt: skip
    assert (trained / "user_code.py").read_text() == SAME
    assert trained.name.startswith("Copy_copied_sn_recipe_same-")


def test_a_run_is_measured_from_its_copy(trained, capsys):
    assert verify([str(trained)]) == 0
    assert "bit for bit" in capsys.readouterr().out
    finished = jaxnoise.load_run(trained)
    assert finished.best.logits(finished.dataset.images[:3]).shape == (2, 3, 10)
    assert folders.done(finished.config)


def test_a_changed_or_lost_copy_is_refused(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "run")
    (folder / "user_code.py").write_text(SAME.replace("scale *", "2 * scale *"))
    with pytest.raises(InputError, match="user_code.py is not the code that the run was made with"):
        jaxnoise.load_run(folder)
    (folder / "user_code.py").unlink()
    with pytest.raises(InputError, match="user_code.py: cannot be read"):
        jaxnoise.load_run(folder)


def test_losses_of_ones_own_train_beside_ours(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SAME)
    configs = [
        Config(**SMALL, user_code=str(path), results_dir=str(tmp_path), net="lenet", **settings)
        for settings in ({"loss": "copied"}, {"noise_type": "labels_alone", "noise_rate": 0.4})
    ]
    for config in configs:
        (outcome,) = batch.BatchRunner(interruption.Watch()).run([config])
        assert outcome.error is None
    noise = np.load(folders.run_folder(configs[1]) / "noise.npz")
    np.testing.assert_array_equal(noise["picked"], noise["changed"])
    assert 0.3 < noise["changed"].mean() < 0.4


BAD = {
    "import jaxnoise\n1 / 0\n@jaxnoise.loss\ndef bad(*, logits, labels): ...": (
        {"loss": "bad"}, "cannot be run: ZeroDivisionError: division by zero",
    ),
    "import jaxnoise\nif True:\n  @jaxnoise.loss\n  def hidden(*, logits, labels): ...\n"
    "@jaxnoise.loss\ndef bad(*, logits, labels): ...": (
        {"loss": "bad"}, "hidden: allowed for a loss is a definition at the top",
    ),
    "import jaxnoise\n@jaxnoise.loss\ndef bad(*, logits, labels): return logits.mean()": (
        {"loss": "bad"}, "--loss=bad: returns float32[]; allowed is a loss for each sample",
    ),
    "import jaxnoise\n@jaxnoise.noise_model\ndef bad(samples, rng, *, rate):\n"
    "  return samples.labels + 1": (
        {"noise_type": "bad", "noise_rate": 0.1}, "returns labels from 1 to 10; allowed are 0 to 9",
    ),
    "import jaxnoise\n@jaxnoise.noise_model\ndef bad(samples, rng, *, rate):\n"
    "  return samples.labels / 2": (
        {"noise_type": "bad", "noise_rate": 0.1}, "--noise_type=bad: returns labels float64",
    ),
    "import jaxnoise\nimport numpy as np\n@jaxnoise.noise_model\ndef bad(samples, rng, *, rate):\n"
    "  return np.random.permutation(samples.labels)": (
        {"noise_type": "bad", "noise_rate": 0.1}, "draws other labels from the same rng",
    ),
    "import jaxnoise\nimport flax.linen as nn\n@jaxnoise.net\nclass Bad(nn.Module):\n"
    "  num_classes: int\n  def __call__(self, images): ...": (
        {"net": "Bad"}, "--net=Bad: its __call__ requires the keyword train",
    ),
    "import jaxnoise\nimport flax.linen as nn\n@jaxnoise.net\nclass Bad(nn.Module):\n"
    "  def __call__(self, images, *, train): ...": (
        {"net": "Bad"}, "--net=Bad: requires a field num_classes",
    ),
    "import jaxnoise\nimport flax.linen as nn\n@jaxnoise.net\nclass Bad(nn.Module):\n"
    "  num_classes: int\n  @nn.compact\n  def __call__(self, images, *, train):\n"
    "    return nn.Dense(3)(images.reshape(len(images), -1))": (
        {"net": "Bad"}, "--net=Bad: returns [2, 3] for 2 images; allowed are logits [2, 10]",
    ),
    "import jaxnoise\nimport flax.linen as nn\n@jaxnoise.net\nclass Bad(nn.Module):\n"
    "  num_classes: int\n  @nn.compact\n  def __call__(self, images, *, train):\n"
    "    return nn.Dense(self.num_classes)(images.reshape(len(images), -1))": (
        {"net": "Bad", "do_sn": True}, "--do_sn: does not reach --net=Bad, which has no field",
    ),
}  # fmt: skip


@pytest.mark.parametrize("source", BAD)
def test_what_cannot_be_used_is_named(source, tmp_path):
    settings, message = BAD[source]
    (tmp_path / "mine.py").write_text(source)
    config = Config(
        **SMALL, **settings, user_code=str(tmp_path / "mine.py"), results_dir=str(tmp_path)
    )
    with pytest.raises(InputError, match=re.escape(message)):
        experiment.run(config)


def test_the_example_of_the_docs_runs(tmp_path):
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"^```python\n(\"\"\"mine.py.*?)```$", page, re.M | re.S)
    (tmp_path / "mine.py").write_text(source)
    code = dict(user_code=str(tmp_path / "mine.py"), results_dir=str(tmp_path))
    quick = Config(**SMALL | code, recipe="quick", noise_type="to_one", noise_rate=0.3, do_sn=True)
    scores = experiment.run(quick)
    assert scores["noise"]["draws"][0]["picked"] > 0
    finished = jaxnoise.load_run(folders.run_folder(quick))
    noisy, changed = (finished.noise[name][0] for name in ("noisy", "changed"))
    assert (noisy[changed] == 0).all()
    experiment.run(Config(**SMALL | code, net="Perceptron", net_options="hidden=16"))


def test_main_refuses_a_file_that_it_would_not_use(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(SAME)
    assert call("--dataset=digits", f"--user_code={tmp_path / 'mine.py'}", "--loss=gce") == 2
    told = capsys.readouterr().err
    assert "the run uses nothing of it; allowed is one of its definitions, --net=Copy" in told
