"""A setting that does not reach the net is an error, before anything is trained."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from jaxnoise import nets
from jaxnoise.config import Config, InputError
from jaxnoise.experiments import experiment
from jaxnoise.labels import noisy_dataset
from jaxnoise.runs import folders
from jaxnoise.training import assembly, loop, reach

TINY = {"dataset": "digits", "train_size": 60, "total_repeats": 1, "epochs_num": 1}


class Plain(nn.Module):
    """Layers of Flax, which know nothing of spectral normalization."""

    num_classes: int
    spectral: object
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.relu(nn.Conv(4, (3, 3), name="first")(images))
        return nn.Dense(self.num_classes, name="second")(x.reshape(len(x), -1))


class Renamed(Plain):
    """A weight that is no kernel."""

    @nn.compact
    def __call__(self, images, *, train):
        x = images.reshape(len(images), -1)
        weight = self.param("w", nn.initializers.ones, (x.shape[1], self.num_classes), jnp.float32)
        return x @ weight


class HalfNormalized(Plain):
    """One layer of the package, one of Flax."""

    @nn.compact
    def __call__(self, images, *, train):
        x = images.reshape(len(images), -1).T
        x = nets.DenseBlock(8, self.spectral, name="first")(x, train=train).T
        return nn.Dense(self.num_classes, name="second")(x)


def check(**settings):
    config = Config(**TINY, **settings)
    dataset = noisy_dataset.load(config)
    engine = assembly.engine(config, dataset)
    member = assembly.members(config, dataset)[0]
    state = jax.eval_shape(
        lambda member, pictures: loop.start(member, pictures, program=engine.program).state,
        member, engine.pictures,
    )  # fmt: skip
    reach.check(config, engine, state)


@pytest.mark.parametrize("net", ["lenet", "allcnn"])
def test_all_settings_reach_our_nets(net):
    check(net=net, wd_coef=1e-4, precision="bf16")
    check(net=net, wd_coef=1e-4, do_sn=True)
    check(net=net, do_sn=True, sn_mode="exact")


@pytest.mark.parametrize(
    ("net", "settings", "said"),
    [
        (Plain, {"do_sn": True}, "--do_sn: does not reach first/kernel, second/kernel of"),
        (HalfNormalized, {"do_sn": True}, "--do_sn: does not reach second/kernel of"),
        (Renamed, {"wd_coef": 1e-4}, "--wd_coef=0.0001: does not reach w of --net=lenet: weight"),
        (Plain, {"precision": "bf16"}, "--precision=bf16: no product of --net=lenet is computed"),
    ],
)  # fmt: skip
def test_setting_that_does_not_reach_a_net_is_an_error(monkeypatch, net, settings, said):
    monkeypatch.setitem(nets.NETS, "lenet", net)
    with pytest.raises(InputError, match=said):
        check(**settings)


@pytest.mark.parametrize("net", [Plain, HalfNormalized])
def test_setting_that_reaches_a_net_of_ones_own_is_none(monkeypatch, net):
    monkeypatch.setitem(nets.NETS, "lenet", net)
    check(wd_coef=1e-4)
    check(jacob_coef=0.1, jacob_start_epoch=0)


def test_run_is_refused_before_anything_is_trained(monkeypatch, tmp_path):
    monkeypatch.setitem(nets.NETS, "lenet", Plain)
    config = Config(**TINY, do_sn=True, results_dir=str(tmp_path))
    with pytest.raises(InputError, match="--do_sn: does not reach"):
        experiment.run(config)
    assert not (folders.run_folder(config) / "metrics.jsonl").exists()
