"""Recipes: their files, which of their flags apply, and what is said of them."""

import dataclasses
import shlex

import pytest

from jaxnoise.config import FIELDS, NETWORKS, Config, InputError, recipes
from jaxnoise.scores.selection import SELECTIONS


def of(name, **given):
    """A run of a recipe, with what it needs beside."""
    if name == "cifar_n" and "dataset" not in given:
        given |= {"noise_type": "human_noise", "human_labels": "worse_label"}
    return Config(recipe=name, **given)


@pytest.mark.parametrize("name", recipes.NAMES)
def test_a_recipe_s_file_is_complete(name):
    recipe, config = recipes.read(name), of(name)
    assert {flag: getattr(config, flag) for flag in recipe.flags} == recipe.flags
    assert set(recipe.nets) <= NETWORKS.keys() and config.network in recipe.nets
    assert "https://" in recipe.source and recipe.about.endswith(".") and recipe.differences
    assert config.regularization.endswith(f"recipe_{name}")
    for row in recipe.rows:
        Config(recipe=name, **row.flags)
        assert row.name.startswith(f"{name}_") and row.source and row.why and row.tolerance > 0
        assert row.accuracy.keys() <= SELECTIONS.keys()
        assert all(0 < accuracy < 100 for accuracy in row.accuracy.values())


def test_what_is_given_wins_also_if_it_is_the_default():
    assert of("elr").batch_size == 128
    assert of("elr", batch_size=32).batch_size == 32
    assert of("elr", batch_size=32) == dataclasses.replace(of("elr"), batch_size=32)


def test_flags_that_go_with_another_one_leave_with_it():
    config = of("elr", schedule="constant")
    assert (config.lr_decay_epochs, config.lr_min, config.learning_rate) == (None, 0.0, 0.02)
    assert of("elr", schedule="cosine_restarts") == of("elr")
    assert of("elr", preprocess_mode="range_0_to_1").channel_mean is None
    assert of("elr", wd_coef=0.0).wd_on == "kernels" and of("elr", wd_coef=0.1).wd_on == "all"
    with pytest.raises(InputError, match="--optimizer=adam.*requires --learning_rate"):
        of("elr", optimizer="adam")


@pytest.mark.parametrize(
    "given",
    [{}, {"batch_size": 32}, {"schedule": "constant"}, {"nesterov": True}, {"augment": "crop"},
     {"schedule": "step", "lr_decay_epochs": 10}, {"preprocess_mode": "range_0_to_1"},
     {"optimizer": "adam", "learning_rate": 0.01}, {"method": "mixup"}, {"wd_coef": 0.0,
     "wd_on": "kernels"}],
)  # fmt: skip
@pytest.mark.parametrize("name", recipes.NAMES)
def test_the_command_of_a_run_gives_it_again(name, given):
    config = of(name, **given)
    assert Config(**config.given) == config
    assert config.given.keys() <= {"recipe", "noise_type", "human_labels", *given}
    assert f"--recipe={name}" in shlex.split(config.command)
    # As in a run's record, which holds every flag.
    every = {field: getattr(config, field) for field in FIELDS}
    assert Config(**every) == config and Config(**every).fingerprint == config.fingerprint


def test_a_recipe_is_another_name_for_its_flags_but_the_folder_names_it():
    spelled = {name: x for name, x in of("elr").result_settings.items() if name != "recipe"}
    assert Config(**spelled).fingerprint != of("elr").fingerprint
    assert Config(**spelled).training_settings == of("elr").training_settings


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("elr", {"net": "lenet"}, "--net=lenet with --recipe=elr: allowed are resnet18, .*"),
        ("elr", {"net": "allcnn"}, "--net=allcnn with --recipe=elr: allowed are .* made for"),
        (
            "elr_asym",
            {"epochs_num": 50},
            r"--lr_milestones=40,80 with --epochs_num=50: allowed are epochs from 1 to 49, or "
            r"another --schedule \(--lr_milestones=40,80, --schedule=milestones by "
            r"--recipe=elr_asym\)",
        ),
        ("elrr", {}, r"--recipe=elrr: allowed are .* \(did you mean elr\?\)"),
        ("elr", {"preset": "paper"}, "--recipe=elr with --preset=paper: allowed is one of them"),
    ],
)
def test_what_does_not_fit_is_refused(name, given, said):
    with pytest.raises(InputError, match=f"^{said}"):
        of(name, **given)
