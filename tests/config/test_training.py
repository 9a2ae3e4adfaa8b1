"""Flags of network, optimizer and schedule: their defaults, and which go together."""

import pytest

from jaxnoise.config import NETWORKS, Config, InputError

RESNET = {"net": "resnet18"}


def test_defaults_depend_on_the_net():
    sgd = {"optimizer": "sgd", "momentum": 0.9, "nesterov": False}
    step = {"schedule": "step", "lr_gamma": 0.1}
    assert Config(net="lenet").training_settings == {
        **sgd, **step, "learning_rate": 0.01, "lr_decay_epochs": 15
    }  # fmt: skip
    assert Config(net="allcnn").training_settings == {
        "optimizer": "adam", **step, "learning_rate": 0.001, "lr_decay_epochs": 10
    }  # fmt: skip
    assert Config(**RESNET).training_settings == {
        **sgd, "schedule": "cosine", "learning_rate": 0.02, "lr_min": 0.0
    }  # fmt: skip
    for name in NETWORKS:
        Config(net=name)


@pytest.mark.parametrize("decay", [0, 1, -0.5, 1.5, float("nan"), float("inf")])
def test_the_decay_of_an_average_is_between_0_and_1(decay):
    with pytest.raises(InputError, match=rf"^--ema_decay={decay}: allowed is \(0, 1\)$"):
        Config(ema_decay=decay)
    with pytest.raises(InputError, match="^--ema_decay='long': allowed is a value of type float"):
        Config(ema_decay="long")
    assert Config().ema_decay is None and Config(ema_decay=0.999).ema_decay == 0.999


def test_milestones_are_whole_rising_epochs_of_the_run():
    settings = {"schedule": "milestones", "epochs_num": 20}
    config = Config(**settings, lr_milestones="5, 10,19")
    assert config.training_settings["lr_milestones"] == [5, 10, 19]
    given = "^--lr_milestones={} with --epochs_num=20: allowed are "
    for wrong in ("10,5", "5,5"):
        with pytest.raises(InputError, match=given.format(wrong) + "rising epochs$"):
            Config(**settings, lr_milestones=wrong)
    for wrong in ("0", "20", "5,21", "-1"):
        allowed = "epochs from 1 to 19, or another --schedule$"
        with pytest.raises(InputError, match=given.format(wrong) + allowed):
            Config(**settings, lr_milestones=wrong)
    with pytest.raises(InputError, match="allowed is none in a single epoch, or another --sched"):
        Config(schedule="milestones", epochs_num=1, lr_milestones="60")
    for wrong in ("5;10", "a", "5,", "2.5"):
        with pytest.raises(InputError, match=f"^--lr_milestones={wrong}: allowed are whole number"):
            Config(**settings, lr_milestones=wrong)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"schedule": "milestones"}, "--schedule=milestones: requires --lr_milestones"),
        ({**RESNET, "schedule": "step"}, "--schedule=step: requires --lr_decay_epochs"),
        ({"schedule": "cosine_restarts"}, "--schedule=cosine_restarts: requires --lr_decay_epochs"),
        (
            {**RESNET, "lr_decay_epochs": 5},
            "--lr_decay_epochs=5 with --schedule=cosine: allowed only with --schedule=step, "
            "cosine_restarts",
        ),
        (
            {"lr_milestones": "5"},
            "--lr_milestones=5 with --schedule=step: allowed only with --schedule=milestones",
        ),
        ({"lr_min": 1e-4}, "--lr_min=0.0001 with --schedule=step: allowed only with --sch"),
        ({**RESNET, "lr_gamma": 0.5}, "--lr_gamma=0.5 with --schedule=cosine: allowed only with"),
        (
            {**RESNET, "lr_min": 0.02},
            "--lr_min=0.02: allowed is less than the initial learning rate, 0.02",
        ),
        ({"warmup_epochs": 30}, "--warmup_epochs=30 with --epochs_num=30: allowed here: 0 to 29"),
        ({"momentum": 0.5}, "--momentum=0.5 with --optimizer=adam: allowed only with"),
        ({"nesterov": True}, "--nesterov=True with --optimizer=adam: allowed only with"),
        ({**RESNET, "nesterov": True, "momentum": 0.0}, "--nesterov with --momentum=0: "),
        (
            {"optimizer": "sgd"},
            "--optimizer=sgd with --net=allcnn: requires --learning_rate, whose default 0.001 is "
            "made for adam",
        ),
        ({"optimizer": "adamw"}, "--optimizer=adamw: requires --wd_coef"),
        (
            {"optimizer": "adamw", "wd_coef": 0.1, "wd_mode": "coupled", "learning_rate": 0.1},
            "--wd_mode=coupled with --optimizer=adamw",
        ),
        ({"wd_on": "all"}, "--wd_on=all: requires --wd_coef"),
        ({"cutout_size": 8}, "--cutout_size=8: requires --augment=cutout or crop_flip_cutout"),
        ({"cutout_size": 8, "augment": "crop_flip"}, "--cutout_size=8: requires --augment=cutout"),
        ({"channel_mean": "0.5"}, "--channel_mean=0.5 with --preprocess_mode=range_0_to_1: "),
        (
            {"preprocess_mode": "mean_std", "channel_mean": "0.5"},
            "--channel_mean=0.5: requires --channel_std",
        ),
        (
            {"preprocess_mode": "mean_std", "channel_mean": "125", "channel_std": "0.2"},
            "--channel_mean=125: allowed are shares of 255",
        ),
        (
            {"preprocess_mode": "mean_std", "channel_mean": "0.5", "channel_std": "0"},
            "--channel_std=0: allowed are shares of 255",
        ),
    ],
)
def test_flags_that_would_do_nothing_are_refused(settings, said):
    with pytest.raises(InputError) as error:
        Config(**settings)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    "settings",
    [{"optimizer": "sgd", "learning_rate": 0.1}, {"optimizer": "adamw", "wd_coef": 0.01},
     {"augment": "crop"}, {"warmup_epochs": 2}, {"clip_norm": 5.0}, {"bn_momentum": 0.9}],
)  # fmt: skip
def test_the_paper_s_preset_fixes_them(settings):
    with pytest.raises(InputError, match=f"^.*--{next(iter(settings))}=.* with --preset=paper"):
        Config(preset="paper", **settings)


def test_decoupled_decay_is_named_however_it_is_asked_for():
    assert Config(wd_coef=0.1, optimizer="adamw").regularizers == "wd_decoupled_0.1"
    assert Config(wd_coef=0.1, wd_on="all").regularizers == "wd_all_0.1"
