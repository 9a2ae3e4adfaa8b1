"""Runs of a sweep: values from lists and files, crossed, and grouped by program."""

import dataclasses
import shlex

import numpy as np
import pytest
from places import ROOT

import main
from jaxnoise.config import Config, InputError
from jaxnoise.labels import noisy_dataset
from jaxnoise.sweep import grid
from jaxnoise.training import assembly


def written(tmp_path, text):
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    return path


def test_values_have_the_types_of_their_flags():
    assert grid.listed("noise_rate", "0, 0.2,1e-1") == [0.0, 0.2, 0.1]
    assert grid.listed("do_sn", "false,True") == [False, True]
    assert grid.listed("noise_type", "flip_noise") == ["flip_noise"]
    assert grid.listed("epochs_num", "3") == [3]
    assert grid.listed("method", "none,mixup") == [None, "mixup"]
    assert grid.listed("lr_milestones", "40,80") == ["40,80"]  # a list itself


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("noise_rate", "0,x", "--noise_rate=x: allowed are values of type float"),
        ("do_sn", "maybe", "--do_sn=maybe: allowed are true and false"),
        ("epochs_num", "2.5", "--epochs_num=2.5: allowed are values of type int"),
        ("epochs_num", "none", "--epochs_num=none"),
    ],
)
def test_values_that_there_are_not(name, text, allowed):
    with pytest.raises(InputError, match=f"^{allowed}"):
        grid.listed(name, text)


def test_every_combination_is_a_run_and_the_last_flag_varies_fastest():
    given = {"wd_coef": [0.0, 1e-4], "noise_rate": [0.0, 0.2, 0.4]}
    planned = grid.planned_runs({None: {}}, given)
    assert [(x.config.noise_rate, x.config.wd_coef) for x in planned] == [
        (0.0, 0.0), (0.0, 1e-4), (0.2, 0.0), (0.2, 1e-4), (0.4, 0.0), (0.4, 1e-4),
    ]  # fmt: skip
    assert {x.name for x in planned} == {None}
    assert len({x.folder for x in planned}) == 6


def test_file_says_the_same_as_the_command_line(tmp_path):
    path = written(tmp_path, "noise_rate: [0, 0.2]\nwd_coef: [0, 1e-4]\ndo_sn: true\n")
    given = {name: grid.listed(name, x) for name, x in
             [("noise_rate", "0,0.2"), ("wd_coef", "0,1e-4"), ("do_sn", "true")]}  # fmt: skip
    assert grid.planned_runs(grid.read_rows(path), {}) == grid.planned_runs({None: {}}, given)


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("noise_rate: 0.2, 0.4", "noise_rate", [0.2, 0.4]),
        ("wd_coef: 1e-4", "wd_coef", [1e-4]),
        ("seed: 010", "seed", [10]),
        ("seed: [1, 2, 3]", "seed", [1, 2, 3]),
        ("net: ~", "net", [None]),
        ("net:", "net", [None]),
        ("noise_type: 'flip_noise'", "noise_type", ["flip_noise"]),
    ],
)
def test_values_mean_what_the_file_says(text, name, values, tmp_path):
    assert grid.read_rows(written(tmp_path, text)) == {None: {name: values}}


def test_names_of_rows_are_their_text(tmp_path):
    rows = grid.read_rows(written(tmp_path, "rows: {no: {seed: 1}, on: {seed: 2}, 1e3: {seed: 3}}"))
    assert list(rows) == ["no", "on", "1e3"]


def test_rows_have_names_and_share_what_stands_above(tmp_path):
    path = written(
        tmp_path,
        """
        dataset: digits
        noise_rate: [0.2, 0.4]
        rows:
          plain:
          smooth: {wd_coef: [1e-4, 1e-3], do_sn: true}
          strong: {dataset: mnist}
        """,
    )
    planned = grid.planned_runs(grid.read_rows(path), {"noise_rate": [0.6]})
    assert [(x.name, x.config.dataset, x.config.wd_coef) for x in planned] == [
        ("plain", "digits", 0.0),
        ("smooth wd_coef=0.0001", "digits", 1e-4),
        ("smooth wd_coef=0.001", "digits", 1e-3),
        ("strong", "mnist", 0.0),
    ]
    assert {x.config.noise_rate for x in planned} == {0.6}  # the command line counts


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "cannot be read as YAML"),
        ("3", "allowed is a map of flags to values"),
        ("weight_decay: 3", "weight_decay is not a flag of main.py"),
        ("noise_rate: []", "noise_rate: allowed is at least one value"),
        ("noise_rate: [a]", "--noise_rate=a: allowed are values of type float"),
        ("rows: [1]", "rows: allowed is a map of names"),
        ("rows: {a: 3}", "rows: a: allowed is a map of flags"),
        ("seed: 1\nseed: 2", "seed is there twice"),
        ("rows:\n  a: {seed: 1}\n  a: {seed: 2}", "a is there twice"),
        ("rows:\n  a: {seed: 1, seed: 2}", "seed is there twice"),
        ("rows:\n  a: {seed: 1}\n  b: {seed: 01}", "the rows a and b are one run, python main.py"),
        ("seed: 1:30", "--seed=1:30: allowed are values of type int"),
        ("do_sn: yes", "--do_sn=yes: allowed are true and false"),
        ("seed: {a: 1}", "seed: allowed is a value or a list of values"),
    ],
)
def test_files_that_say_no_grid(text, told, tmp_path):
    with pytest.raises(InputError, match=told) as refusal:
        grid.planned_runs(grid.read_rows(written(tmp_path, text)), {})
    assert "\n" not in str(refusal.value)


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        grid.read_rows(tmp_path / "none.yaml")


def test_grids_of_the_documentation_can_be_run():
    found = {}
    for path in (ROOT / "docs").glob("*.yaml"):
        planned = grid.planned_runs(grid.read_rows(path), {"noise_rate": [0.2, 0.6]})
        assert len({run.folder for run in planned}) == len(planned)
        found[path.name] = len(planned) // 2
    assert found == {"gallery.yaml": 5, "methods.yaml": 17}


def test_run_that_is_not_allowed_is_named():
    with pytest.raises(InputError, match="sn_cap.*--do_sn.*in the run with .*--do_sn=False"):
        grid.planned_runs({None: {}}, {"do_sn": [True, False], "sn_cap": [2.0]})


@pytest.mark.parametrize(
    ("flag", "values"), [("results_dir", ["a", "b"]), ("num_processes", [2]), ("resume", [0, 1])]
)
def test_flags_that_say_where_are_the_same_for_all(flag, values):
    with pytest.raises(InputError, match=f"^--{flag}"):
        grid.planned_runs({None: {}}, {flag: values})


def test_command_makes_the_same_settings_again():
    config = Config(
        dataset="digits", noise_rate=0.30000000000000004, wd_coef=1e-4, do_sn=True, resume=False,
        results_dir="some where", jacob_coef=3e-3, loss="gce",
    )  # fmt: skip
    program, file, *flags = shlex.split(config.command)
    assert (program, file) == ("python", "main.py")
    given = dict(flag.removeprefix("--").split("=") for flag in flags if "=" in flag)
    switches = {flag.removeprefix("--") for flag in flags if "=" not in flag}
    assert switches == {"do_sn", "noresume"}
    parsed = {name: grid.parse(name, text) for name, text in given.items()}
    assert Config(**parsed, do_sn=True, resume=False) == config
    assert main.__doc__ and Config().command == "python main.py"


# Another value than the default's for flags whose runs can share a program.
OTHERS = {
    "noise_type": "symmetric_noise", "noise_rate": 0.2, "noise_seed": 3, "noise_per_repeat": True,
    "noise_draws": 5, "wd_coef": 1e-3, "entropy_coef": 0.1, "seed": 4, "total_repeats": 10,
    "jacob_samples": 7,
}  # fmt: skip
# And for some that cannot.
STATIC = {
    "dataset": "mnist", "do_sn": True, "net": "allcnn", "epochs_num": 3, "batch_size": 16,
    "learning_rate": 0.1, "jacob_coef": 1e-3, "loss": "mae", "method": "sam", "train_size": 100,
    "validation_ratio": 0.2, "split_seed": 1, "preprocess_mode": "mean_substract",
    "validation_labels": "noisy", "image_size": 32,
}  # fmt: skip


@pytest.fixture(scope="module")
def base():
    return Config(dataset="digits")


@pytest.fixture(scope="module")
def splits(base):
    return noisy_dataset.load_splits(base)


@pytest.mark.parametrize("flag", OTHERS)
def test_settings_of_one_group_have_one_program(flag, base, splits):
    other = dataclasses.replace(base, **{flag: OTHERS[flag]})
    assert assembly.by_program([base, other]) == [[base, other]]

    def program(config):
        made = assembly.program(config, splits)
        optimizer = dataclasses.replace(made.optimizer, schedule=None)
        return dataclasses.replace(made, optimizer=optimizer)

    assert program(base) == program(other)
    again = noisy_dataset.load_splits(other)
    for name in ("images", "labels", "split", "train_index", "valid_index"):
        assert np.array_equal(getattr(splits, name), getattr(again, name))


def test_waves_of_all_frequencies_have_one_program():
    listed = {"noise_type": ["wave_noise"], "wave_frequency": [0.5, 16.0]}
    assert len(assembly.by_program(x.config for x in grid.planned_runs({None: {}}, listed))) == 1


@pytest.mark.parametrize("flag", STATIC)
def test_other_settings_have_programs_of_their_own(flag, base):
    other = dataclasses.replace(base, **{flag: STATIC[flag]})
    assert assembly.by_program([base, other, base]) == [[base, base], [other]]


def test_every_flag_that_changes_a_result_is_traced_or_static():
    """A new flag is static unless it is listed, so that runs never share a wrong program."""
    key = assembly.program_key(Config())
    names = {name for name, _ in key[:-1]} | set(assembly._TRACED)
    assert names == set(Config().result_settings)


def test_a_yaml_list_of_milestones_is_not_taken_for_runs(tmp_path):
    file = tmp_path / "grid.yaml"
    file.write_text("lr_milestones: ['40,80', '60']")
    assert grid.read_rows(file) == {None: {"lr_milestones": ["40,80", "60"]}}
    file.write_text("lr_milestones: [40, 80]")
    with pytest.raises(InputError, match=r'\[40, 80\]: allowed for one value is "40,80"; runs'):
        grid.read_rows(file)
