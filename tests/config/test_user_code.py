"""Definitions of one's own: what a file declares, without running it, and its settings."""

import dataclasses
import inspect
import pickle
import re

import pytest

from jaxnoise import extending
from jaxnoise.config import Config, InputError

MINE = """
import jaxnoise
import flax.linen as nn

raise RuntimeError("settings do not run the file")

@jaxnoise.net(optimizer="adam", learning_rate=1e-3)
class Wide(nn.Module):
    num_classes: int
    dtype: object = nn.relu
    width: int = 8
    slope: float = -0.5
    deep: bool = False
    kind: str = "plain"
    shape: tuple = (1, 2)

@jaxnoise.loss
def mine(*, logits, labels, q=0.5, k=3): ...

@jaxnoise.noise_model
def shifted(samples, rng, *, rate, by=1): ...

quick = jaxnoise.recipe(net="Wide", loss="mine", epochs_num=3)
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return str(path)


def test_flags_take_what_a_file_declares(mine):
    config = Config(user_code=mine, net="Wide", loss="mine", noise_type="shifted", noise_rate=0.2)
    assert config.options("net") == {"width": 8, "slope": -0.5, "deep": False, "kind": "plain"}
    assert config.loss_settings == config.options("loss") == {"q": 0.5, "k": 3}
    assert config.hyperparameters["shifted_by"] == 1
    training = config.training_settings
    assert (training["optimizer"], training["learning_rate"]) == ("adam", 1e-3)
    assert training["schedule"] == "cosine"


def test_a_net_of_ones_own_is_trained_as_its_mark_says_by_default(tmp_path):
    (tmp_path / "mine.py").write_text("import jaxnoise\n@jaxnoise.net\nclass Mine: ...\n")
    training = Config(user_code=str(tmp_path / "mine.py"), net="Mine").training_settings
    given = inspect.signature(extending.net).parameters
    for name in ("optimizer", "learning_rate", "schedule"):
        assert training[name] == given[name].default


@pytest.mark.parametrize(
    ("head", "mark"),
    [
        ("import jaxnoise as jn", "jn.loss"),
        ("from jaxnoise import loss", "loss"),
        ("from jaxnoise import loss as a_loss", "a_loss()"),
    ],
)
def test_marks_are_found_by_any_spelling(tmp_path, head, mark):
    path = tmp_path / "mine.py"
    path.write_text(f"{head}\n\n@{mark}\ndef mine(*, logits, labels): ...\n")
    assert Config(user_code=str(path), loss="mine").loss == "mine"


def test_options_are_typed_and_have_one_spelling(mine):
    first = Config(user_code=mine, loss="mine", loss_options="k=4  q=1")
    assert first.loss_settings == {"q": 1.0, "k": 4}
    assert first == Config(user_code=mine, loss="mine", loss_options="q=1.0 k=4")
    assert first.regularization == "mine_q_1.0_k_4"
    assert Config(user_code=mine, loss="mine", loss_options=" ") == Config(
        user_code=mine, loss="mine"
    )
    net = Config(user_code=mine, net="Wide", net_options="deep=true kind=a.b slope=1e-3")
    assert net.options("net") == {"width": 8, "slope": 1e-3, "deep": True, "kind": "a.b"}
    noise = Config(user_code=mine, noise_type="shifted", noise_rate=0.2, noise_options="by=2")
    assert noise.noise == "shifted_by_2 0.2"


def test_the_source_is_part_of_the_fingerprint_and_the_path_is_not(mine, tmp_path):
    def fingerprint(path, **settings):
        return Config(user_code=path and str(path), **settings).fingerprint

    before = fingerprint(mine, loss="mine")
    other = tmp_path / "other.py"
    other.write_text(MINE)
    assert fingerprint(other, loss="mine") == before
    other.write_text(MINE.replace("...", "pass"))
    assert fingerprint(other, loss="mine") != before
    assert fingerprint(mine, loss="mine", loss_options="q=0.7") != before
    for settings in ({"net": "Wide"}, {"noise_type": "shifted", "noise_rate": 0.5}):
        flag = "net_options" if "net" in settings else "noise_options"
        value = "width=9" if "net" in settings else "by=2"
        assert fingerprint(mine, **settings) != fingerprint(mine, **settings, **{flag: value})


def test_a_file_that_a_run_uses_nothing_of_does_not_count(mine):
    assert Config(user_code=mine, loss="gce") == Config(loss="gce")


def test_settings_keep_the_source_that_they_were_made_with(mine, tmp_path):
    config = Config(user_code=mine, loss="mine")
    fingerprint = config.fingerprint
    (tmp_path / "mine.py").write_text("import jaxnoise\n")
    again = pickle.loads(pickle.dumps(config))
    assert again == config and again.user.source == MINE
    assert again.fingerprint == config.fingerprint == fingerprint
    assert dataclasses.replace(config, seed=1).user.source == MINE
    assert Config(**vars(config)).user == config.user
    with pytest.raises(InputError, match="--loss=mine: allowed are"):
        Config(user_code=mine, loss="mine")


def test_recipe_of_a_file_sets_flags_and_given_ones_win(mine):
    config = Config(user_code=mine, recipe="quick", epochs_num=5)
    assert (config.net, config.loss, config.epochs_num) == ("Wide", "mine", 5)
    assert Config(**config.given) == config
    assert set(config.given) == {"user_code", "recipe", "epochs_num"}
    assert config.regularization == "mine_recipe_quick"


def test_unknown_flags_of_a_recipe_are_refused(tmp_path):
    path = tmp_path / "mine.py"
    for flag in ("epochs=3", "results_dir='x'", "recipe='elr'", "user_code='x'"):
        path.write_text(f"import jaxnoise\nquick = jaxnoise.recipe({flag})\n")
        with pytest.raises(InputError, match=f"--recipe=quick: {flag.partition('=')[0]} is not"):
            Config(user_code=str(path), recipe="quick")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("q", "q: allowed are NAME=VALUE, separated by spaces, each name once; those of mine"),
        ("q=1 q=2", "q=2: allowed are NAME=VALUE"),
        ("alpha=1", "alpha=1: allowed are NAME=VALUE"),
        ("k=1,q=2", "k=1,q=2: allowed are values of type int; spaces, not commas"),
        ("k=1.5", "k=1.5: allowed are values of type int"),
        ("q=nan", "q=nan: allowed are values of type float"),
    ],
)
def test_options_that_cannot_be_used(mine, options, message):
    with pytest.raises(InputError, match=re.escape(f"--loss_options={options}: {message}")):
        Config(user_code=mine, loss="mine", loss_options=options)


def test_options_without_a_definition_of_ones_own_would_do_nothing(mine):
    for flag, value in (("loss", "q=1"), ("net", "width=3"), ("noise", "by=1")):
        with pytest.raises(InputError, match="allowed only with one of --user_code"):
            Config(user_code=mine, **{f"{flag}_options": value})


LOSS = "import jaxnoise\n@jaxnoise.loss\ndef mine(*, logits, labels{}): ...\n"
NET = "import jaxnoise\n@jaxnoise.net({})\nclass Wide: ...\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def (", "is not Python: line 1: "),
        ("import jaxnoise\nfrom . import beside", "imports ., whose source would not be recorded"),
        ("def late():\n    import beside", "imports beside, whose source"),
        (LOSS.format("").replace("mine", "gce"), "gce: is a name of jaxnoise"),
        (LOSS.format("") + LOSS.format(""), "line 6: mine: is declared twice"),
        (LOSS.format(", q"), "line 3: mine: q: requires a default"),
        (LOSS.format(", q=[1]"), "mine: q: requires a default"),
        (LOSS.format(", q=1/3"), "mine: q=1 / 3: allowed are literal values"),
        (LOSS.format("").replace("*, ", ""), "mine: allowed are the arguments (*, logits, labels)"),
        (LOSS.format("").replace("loss", "noise_model"), "allowed are the arguments (samples, rng"),
        (LOSS.format("").replace("loss", "net"), "mine: allowed is a class"),
        (NET.format("").replace("net", "loss"), "Wide: allowed is a function"),
        (NET.format("0.1"), "Wide: allowed are arguments with names"),
        (NET.format("learning_rate=1/3"), "Wide: learning_rate=1 / 3: allowed are literal"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, source, message):
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(InputError, match=re.escape(message)) as error:
        Config(user_code=str(path))
    assert str(error.value).startswith(f"--user_code={path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("momentum=0.5", "Wide: momentum: allowed are optimizer, learning_rate, schedule"),
        ("optimizer='sdg'", "Wide: optimizer=sdg: allowed are sgd, adam, adamw"),
        ("learning_rate=0.0", "Wide: learning_rate=0.0: allowed is"),
        ("schedule='step'", "--schedule=step: requires --lr_decay_epochs"),
    ],
)
def test_training_of_a_net_that_cannot_be_used(tmp_path, arguments, message):
    path = tmp_path / "mine.py"
    path.write_text(NET.format(arguments))
    with pytest.raises(InputError, match=re.escape(message)):
        Config(user_code=str(path), net="Wide")


@pytest.mark.parametrize("flag", ["net", "loss", "noise_type", "recipe"])
def test_a_forgotten_file_is_thought_of(flag):
    with pytest.raises(InputError, match=f"--{flag}=mine: allowed .*, and what a --user_code decl"):
        Config(**{flag: "mine"})


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="--user_code=none.py: cannot be read.*looked for at"):
        Config(user_code="none.py")
