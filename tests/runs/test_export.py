"""Nets as plain arrays: what docs/library.md rebuilds from them computes what the run's nets do."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
from places import ROOT

import jaxnoise
from jaxnoise import export

pytestmark = pytest.mark.usefixtures("standard_dtype_promotion")

LIBRARY = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=[False, True], ids=["", "do_sn"])
def finished(request, tmp_path_factory):
    base = tmp_path_factory.mktemp("export")
    config = jaxnoise.Config(
        dataset="digits", noise_rate=0.4, do_sn=request.param, epochs_num=2, total_repeats=2,
        train_size=200, test_size=50, jacob_samples=1, preprocess_mode="mean_std",
        results_dir=str(base), cache_dir=str(base / "cache"),
    )  # fmt: skip
    jaxnoise.run(config)
    return jaxnoise.load_run(jaxnoise.run_folder(config))


@pytest.fixture(scope="module")
def images(finished):
    return finished.dataset.images[finished.dataset.split == 2]


def rebuilt(first_import, file, images):
    """The logits by a block of docs/library.md."""
    blocks = re.findall(r"^```python\n(import json\n.*?)```$", LIBRARY, re.M | re.S)
    (block,) = [block for block in blocks if first_import in block]
    assert block.count('"lenet.npz"') == 1
    names = {}
    exec(block.replace('"lenet.npz"', repr(str(file))), names)
    return np.asarray(names["lenet"](images))


@pytest.mark.parametrize("net, repeat", [("best", 1), ("last", 0)])
def test_flax_rebuilds_lenet(finished, images, net, repeat, tmp_path):
    file = tmp_path / "net.npz"
    jaxnoise.export_net(finished, file, net=net, repeat=repeat)
    logits = getattr(finished, net).logits(images)[repeat]
    found = rebuilt("flax.linen", file, images)
    np.testing.assert_allclose(found, logits, rtol=1e-5, atol=1e-5)


def test_pytorch_rebuilds_lenet(finished, images, tmp_path):
    pytest.importorskip("torch")
    jaxnoise.export_net(finished, tmp_path / "net.npz")
    found = rebuilt("torch", tmp_path / "net.npz", images)
    np.testing.assert_allclose(found, finished.best.logits(images)[0], rtol=1e-5, atol=1e-5)


def test_the_file_says_what_the_net_is(finished, tmp_path):
    told = jaxnoise.export_net(finished.folder, tmp_path / "net.npz", repeat=1)
    with np.load(tmp_path / "net.npz", allow_pickle=False) as archive:
        about = json.loads(str(archive["about"]))
        assert about == told
        others = {"about", "preprocessing/mean", "preprocessing/scale"}
        assert set(archive) == others | about["arrays"].keys()
        for name in ("mean", "scale"):
            np.testing.assert_array_equal(
                archive[f"preprocessing/{name}"], getattr(finished.dataset.preprocessing, name)
            )
    assert (about["net"], about["which"], about["repeat"]) == ("lenet", "best", 1)
    assert about["epoch"] == finished.scores["best_epoch"][1]
    assert about["class_names"] == [str(i) for i in range(10)]
    assert about["dataset"] == {
        "name": "digits", "data_sha256": finished.dataset.data_sha256, "image_shape": [28, 28, 1],
    }  # fmt: skip
    assert about["run"]["fingerprint"] == finished.config.fingerprint
    assert about["jaxnoise"] == jaxnoise.__version__
    gammas = [path for path in about["arrays"] if path.endswith("bn/scale")]
    assert len(gammas) == (0 if finished.config.do_sn else 4)
    assert None not in [named["pytorch"] for named in about["arrays"].values()]


def test_the_command_writes_it_once(finished, tmp_path, capsys):
    where = [str(finished.folder), "--net=last", "--repeat=1", f"--out={tmp_path / 'net.npz'}"]
    assert export.main(where) == 0
    told = "net.npz: repeat 2 of scores.txt (--repeat=1) after epoch 2\n"
    assert capsys.readouterr().out.endswith(told)
    before = (tmp_path / "net.npz").read_bytes()
    assert export.main(where) == 2
    told = f"error: --out={tmp_path / 'net.npz'}: exists; allowed is a new file\n"
    assert capsys.readouterr().err == told
    assert (tmp_path / "net.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["net.npz"]


@pytest.mark.parametrize("how, error", [
    (dict(out="net.npy"), r"--out=.*net\.npy: allowed is a file whose name ends in \.npz"),
    (dict(out="none/net.npz"), "--out=.*: there is no folder .*none"),
    (dict(net="first"), "--net=first: allowed are best, last"),
    (dict(repeat=2), "--repeat=2: allowed is 0 to 1"),
    (dict(repeat=-1), "--repeat=-1: allowed is 0 to 1"),
    (dict(repeat=0.5), r"--repeat=0\.5: allowed is 0 to 1"),
])  # fmt: skip
def test_what_is_not_allowed_is_told(finished, tmp_path, how, error):
    out = tmp_path / how.get("out", "net.npz")
    with pytest.raises(jaxnoise.InputError, match=error):
        jaxnoise.export_net(finished, **how | {"out": out})
    assert not list(tmp_path.iterdir())


def test_a_repeat_that_diverged_is_refused(finished, tmp_path):
    accuracy = finished.history["test_accuracy"].copy()
    accuracy[1:, 1] = np.nan
    run = dataclasses.replace(finished, history=finished.history | {"test_accuracy": accuracy})
    with pytest.raises(jaxnoise.InputError, match="diverged at epoch 2; allowed are 0$"):
        jaxnoise.export_net(run, tmp_path / "net.npz", repeat=1)


def test_a_damaged_checkpoint_is_told(finished, tmp_path, capsys):
    copy = shutil.copytree(finished.folder, tmp_path / "copy")
    shutil.rmtree(copy / "checkpoints" / "best")
    assert export.main([str(copy), f"--out={tmp_path / 'net.npz'}"]) == 2
    assert "there is no such checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "net.npz").exists()
