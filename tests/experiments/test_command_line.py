"""The command line as a user meets it: help, and one line about whatever is wrong."""

import dataclasses
import importlib
import os
import re
import subprocess
import sys
import tomllib

import pytest
from main_program import assert_one_error_line, call, command
from places import MAIN

from jaxnoise.config import Config, help
from jaxnoise.experiments import experiment

FLAGS = [field.name for field in dataclasses.fields(Config)]


# Flags


def listed(text):
    return re.findall(r"^  --(?:\[no\])?(\w+):", text, re.M)


@pytest.mark.parametrize("option", ["--helpshort", "--help", "-h", "-?"])
def test_help_lists_every_flag_once_by_group_with_its_default(tmp_path, option):
    done = command(option, folder=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert sorted(listed(done.stdout)) == sorted(FLAGS)
    assert done.stdout.startswith("Trains networks on noisy labels")
    assert max(map(len, done.stdout.splitlines())) <= 100
    for name, default in (("epochs_num", "30"), ("dataset", "cifar10"), ("do_sn", "false")):
        found = re.search(rf"--(?:\[no\])?{name}: (?:(?!  --).)*\(default:\s+{default}\)",
                          done.stdout, re.S)  # fmt: skip
        assert found, name
    titles = re.findall(r"^([A-Z][\w ]+):$", done.stdout.partition("Most used:")[2], re.M)
    assert ["Most used", *titles] == list(help.GROUPS)
    assert listed(done.stdout.partition("\nData:\n")[0]) == list(help.GROUPS["Most used"])
    assert not list(tmp_path.iterdir())


def test_installed_commands_are_functions_that_tell_their_use(tmp_path):
    project = tomllib.loads((MAIN.parent / "pyproject.toml").read_text())["project"]
    for name, place in project["scripts"].items():
        module, function = place.split(":")
        assert callable(getattr(importlib.import_module(module), function)), name
    # As the script that pip writes does.
    (tmp_path / "jaxnoise").write_text(
        "from jaxnoise.experiments.command_line import program\nprogram()\n"
    )
    done = subprocess.run(
        [sys.executable, "jaxnoise", "--helpshort"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(MAIN.parent)}, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.stdout.startswith("Trains networks on noisy labels") and done.stderr == ""
    assert sorted(listed(done.stdout)) == sorted(FLAGS)


def test_flag_given_twice_is_told(monkeypatch, caplog):
    """The last one counts, as scripts expect that append to their own flags."""
    made = []
    monkeypatch.setattr(experiment, "run", lambda config, watch: made.append(config) or {})
    call("--noise_rate=0.2", "--do_sn", "--dataset=digits", "--nodo_sn", "--noise_rate=0.4")
    assert made[0].noise_rate == 0.4 and not made[0].do_sn
    assert caplog.messages == [
        "--noise_rate is given twice: 0.4 counts, the last one",
        "--do_sn is given twice: False counts, the last one",
    ]


def test_help_that_nobody_reads_to_its_end_ends_quietly():
    with subprocess.Popen(
        [sys.executable, MAIN, "--helpshort"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_flags_become_the_config(monkeypatch):
    configs = []
    monkeypatch.setattr(experiment, "run", lambda config, _: configs.append(config))
    for arguments in (
        "",
        # Published examples, in both ways of writing a flag.
        "--noise_rate 0.4 --noise_type flip_noise --dataset mnist --wd_coef 1e-4 --do_sn",
        "--noise_rate=0.7 --wd_coef=1e-5 --jacob_coef=1e-3 --GPU_num=3",
        "--nodo_sn --entropy_coef=1 --net=lenet --lr_decay_epochs=7 --overwrite --data_dir=d",
    ):
        assert call(*arguments.split()) == 0
    assert configs == [
        Config(),
        Config(
            noise_rate=0.4, noise_type="flip_noise", dataset="mnist", wd_coef=1e-4, do_sn=True
        ),
        Config(noise_rate=0.7, wd_coef=1e-5, jacob_coef=1e-3, GPU_num=3),
        Config(entropy_coef=1.0, net="lenet", lr_decay_epochs=7, overwrite=True, data_dir="d"),
    ]  # fmt: skip


def test_none_takes_a_flag_away_from_a_recipe(monkeypatch):
    """Of text and of a number; a default that is given wins as well."""
    configs = []
    monkeypatch.setattr(experiment, "run", lambda config, _: configs.append(config))
    for arguments in (
        "--recipe=elr --method=none --augment=None",
        "--recipe=sce --clip_norm=none --batch_size=32 --nonesterov",
    ):
        assert call(*arguments.split()) == 0
    assert configs == [
        Config(recipe="elr", method=None, augment=None),
        Config(recipe="sce", clip_norm=None, batch_size=32, nesterov=False),
    ]
    assert [config.batch_size for config in configs] == [128, 32]
    assert configs[0].method is configs[1].clip_norm is None


# Divergence


@pytest.mark.parametrize(
    ("flag", "diverged", "code"),
    [
        ("", [None, 2], 0),
        ("--fail_on_divergence", [None, None], 0),
        ("--fail_on_divergence", [None, 2], 3),
    ],
)
def test_divergence_is_a_failure_only_if_asked(flag, diverged, code, monkeypatch, capfd):
    monkeypatch.setattr(experiment, "run", lambda *_: {"diverged_at_epoch": diverged})
    assert call(*flag.split()) == code
    error = capfd.readouterr().err
    assert error == "" if code == 0 else "--fail_on_divergence: a repeat diverged" in error


# Bad input. Every case runs here; a few also as a command of its own, further down.

BAD_FLAGS = [
    ("--noise_type=salt", "--noise_type=salt"),
    ("--net=vgg", "--net=vgg"),
    ("--preprocess_mode=mean_subtract", "--preprocess_mode=mean_subtract"),
    ("--jacob_mode=both", "--jacob_mode=both"),
    ("--noise_rate=1.01", "--noise_rate=1.01"),
    ("--noise_rate=-0.1", "--noise_rate=-0.1"),
    ("--noise_rate=nan", "--noise_rate=nan"),
    ("--validation_ratio=-0.1", "--validation_ratio=-0.1"),
    (
        "--validation_ratio=0 --method=early_stopping",
        "--validation_ratio=0 with --method=early_stopping",
    ),
    ("--validation_ratio=0 --method=truncation", "--validation_ratio=0 with --method=truncation"),
    (
        "--validation_ratio=0 --validation_labels=noisy",
        "--validation_ratio=0 with --validation_labels=noisy",
    ),
    ("--validation_ratio=1", "--validation_ratio=1"),
    ("--validation_labels=both", "--validation_labels=both"),
    ("--wd_coef=-1e-4", "--wd_coef=-0.0001"),
    ("--jacob_coef=-1", "--jacob_coef=-1"),
    ("--entropy_coef=inf", "--entropy_coef=inf"),
    ("--learning_rate=0", "--learning_rate=0"),
    ("--epochs_num=0", "--epochs_num=0"),
    ("--total_repeats=0", "--total_repeats=0"),
    ("--batch_size=0", "--batch_size=0"),
    ("--GPU_num=-2", "--GPU_num=-2"),
    ("--process_id=1", "--process_id=1"),
    ("--num_processes=2", "--num_processes=2"),
    ("--dataset=", "--dataset="),
    ("--jacob_coef=1 --epochs_num=10", "--jacob_start_epoch=10"),
    # Refused by absl's parser.
    ("--noise_rate=forty", "--noise_rate=forty"),
    ("--epochs_num=2.5", "--epochs_num=2.5"),
    ("--do_sn=perhaps", "--do_sn=perhaps"),
    ("--noise_rate", "--noise_rate"),
    ("--nosuch_flag=1", "--nosuch_flag is not a flag"),
    ("--flagfile=missing.cfg", "missing.cfg"),
    ("digits", "'digits'"),
    ("--do_sn True", "'True'"),
    # Refused once the data set is known.
    ("--dataset=imagined", "--dataset=imagined"),
    ("--dataset=../../etc", "--dataset=../../etc"),
    ("--dataset=digits --train_size=99999", "--train_size=99999"),
    ("--dataset=digits --test_size=99999", "--test_size=99999"),
    ("--dataset=digits --validation_ratio=1e-6", "--validation_ratio=1e-06"),
    ("--dataset=mnist --manual_dir=missing --data_dir=none", "--manual_dir="),
    ("--dataset=svhn_cropped --noise_type=flip_noise --noise_rate=0.4", "--flip_map=paper"),
    ("--dataset=digits --noise_file=none.npy", "--noise_file=none.npy"),
    ("--dataset=digits --noise_file=file", "--noise_file=file"),
    ("--noise_type=matrix_noise --noise_matrix=file --noise_rate=1", "--noise_matrix=file"),
    ("--dataset=digits --noise_type=human_noise --human_labels=worse_label", "digits"),
    ("--dataset=digits --results_dir=file", "--results_dir"),
    ("--dataset=digits --results_dir=file/below", "--results_dir"),
]


@pytest.mark.parametrize(("arguments", "named"), BAD_FLAGS)
def test_bad_input_is_one_line_before_any_training(arguments, named, monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiment, "_run", lambda *_: pytest.fail("it trains"))
    (tmp_path / "file").touch()
    assert call(*arguments.split()) == 2
    error = capfd.readouterr().err
    assert_one_error_line(error)
    assert named in error
    assert not (tmp_path / "results").exists()


COMMANDS = [
    ("--noise_rate=1.5", "--noise_rate=1.5: allowed is [0, 1]"),
    ("--epochs_num=many", "--epochs_num=many"),
    ("--dataset=imagined", "--dataset=imagined is unknown; allowed are digits, mnist"),
    ("digits", "'digits' is not a flag"),
    ("--noise_rat=1", "--noise_rat is not a flag (did you mean --noise_rate?); --helpshort lists"),
    ("--net_type=x", "--net_type is not a flag; --helpshort lists all flags"),
    ("--lr=0.1", "--lr is not a flag (did you mean --learning_rate?)"),
    ("--weight_decay=1", "--weight_decay is not a flag (did you mean --wd_coef?)"),
    ("--gpu=1", "--gpu is not a flag (did you mean --GPU_num?)"),
    ("--nodo_sn=1", "--nodo_sn=1 does not take an argument"),
    ("--dataset=digits --coordinator_address=nonsense", "--coordinator_address=nonsense: allowed"),
    (f"--dataset=digits --results_dir={'n' * 300}", "--results_dir: nnn"),
]


@pytest.mark.parametrize(("arguments", "said"), COMMANDS)
def test_bad_command_exits_with_2_and_one_line(arguments, said, tmp_path):
    done = command(*arguments.split(), folder=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert_one_error_line(done.stderr)
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_command_without_a_gpu_says_so_and_goes_on(tmp_path):
    (tmp_path / "file").touch()
    done = command("--GPU_num=3", "--dataset=digits", "--results_dir=file", folder=tmp_path)
    assert done.stdout == "--GPU_num=3: JAX finds no GPU here; running on cpu\n"
    assert done.returncode == 2  # it went on, to a results folder that cannot be
    assert_one_error_line(done.stderr)
    assert f"--results_dir: {tmp_path / 'file'} is in the way of file/digits" in done.stderr


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--noise_rate=40%", "allowed are values of type float, a share: 0.4 for 40% ("),
        (
            "--noise_rate=0.1,0.2",
            "allowed are values of type float, one of them; python -m jaxnoise.",
        ),
        ("--epochs_num=ten", "allowed are values of type int ("),
        ("--do_sn=1e-3", "allowed are --do_sn, --nodo_sn, --do_sn=true and =false ("),
    ],
)
def test_a_value_of_another_type_is_refused_in_words(argument, said, capsys):
    assert call(argument) == 2
    assert capsys.readouterr().err.startswith(f"error: {argument}: {said}")
