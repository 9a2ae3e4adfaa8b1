"""Flags: names, types, defaults, what each of them allows, and the names made out of them."""

import dataclasses
import math
import re

import pytest

from jaxnoise.config import LOSSES, METHODS, Config, InputError, counted, flag_type, nearest
from jaxnoise.config.flags import flag
from jaxnoise.runs.folders import run_folder

FIELDS = {field.name: field for field in dataclasses.fields(Config)}
RESULT_FIELDS = [name for name, field in FIELDS.items() if not field.metadata["where_only"]]

# The flags of the original code, as its users know them.
ORIGINAL_FLAGS = {
    "dataset": (str, "cifar10"),
    "noise_type": (str, "uniform_noise"),
    "noise_rate": (float, 0.0),
    "validation_ratio": (float, 0.1),
    "preprocess_mode": (str, "range_0_to_1"),
    "do_sn": (bool, False),
    "wd_coef": (float, 0.0),
    "jacob_coef": (float, 0.0),
    "entropy_coef": (float, 0.0),
    "epochs_num": (int, 30),
    "total_repeats": (int, 5),
    "GPU_num": (int, 0),
}


@pytest.mark.parametrize("name", ORIGINAL_FLAGS)
def test_original_flag_has_its_type_and_default(name):
    kind, default = ORIGINAL_FLAGS[name]
    assert flag_type(FIELDS[name]) is kind
    assert FIELDS[name].default == default and type(FIELDS[name].default) is kind


@pytest.mark.parametrize("name", FIELDS)
def test_every_flag_has_help_and_a_default_of_its_type(name):
    field = FIELDS[name]
    assert flag_type(field) in (bool, int, float, str)
    assert field.default is None or type(field.default) is flag_type(field)
    assert field.metadata["help"].endswith(".")


def test_where_only_flags_are_these():
    # A flag that lands here by mistake would let two results share one folder.
    assert set(FIELDS) - set(RESULT_FIELDS) == {
        "results_dir", "data_dir", "manual_dir", "cache_dir", "members_at_once", "GPU_num",
        "coordinator_address", "num_processes", "process_id", "resume",
        "overwrite", "fail_on_divergence", "spectrum_every", "trust_noise_file", "resume_anyway",
        "noise_file_rate",
    }  # fmt: skip


def test_published_examples_are_valid():
    Config(noise_rate=0.4, noise_type="flip_noise", dataset="mnist", wd_coef=1e-4, do_sn=True)
    Config(noise_rate=0.3, wd_coef=1e-4, do_sn=True, entropy_coef=1.0, epochs_num=20, GPU_num=1)
    Config(noise_rate=0.5, noise_type="flip_noise", dataset="cifar100", wd_coef=1e-4, epochs_num=35)
    Config(noise_rate=0.7, wd_coef=1e-5, jacob_coef=1e-3, GPU_num=3)


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        ("Cifar10", "allowed is cifar10"),
        ("CIFAR-100", "allowed is cifar100"),
        ("MNIST", "allowed is mnist"),
        ("FashionMNIST", "allowed is fashion_mnist"),
        ("fashion-mnist", "allowed is fashion_mnist"),
        ("cifar10n", "allowed is cifar10_n"),
        (" mnist", "allowed is mnist"),
        ("Kmnist", "allowed are TFDS names, which are in lower case"),
    ],
)
def test_one_data_set_has_one_spelling(dataset, said):
    with pytest.raises(InputError, match=f"^--dataset={dataset}: {said}"):
        Config(dataset=dataset)


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().noise_rate = 0.5


# What is refused

NO_NUMBERS = [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")]
RATES = [(value, text, r"\[0, 1\]") for value, text in [(-0.1, "-0.1"), (1.1, "1.1"), *NO_NUMBERS]]
COEFFICIENTS = [
    (value, text, r"\[0, 3.4e\+38\]")
    for value, text in [(-1e-9, "-1e-09"), (1e300, "1e+300"), *NO_NUMBERS]
]
REFUSED = [
    *[("noise_rate", *case) for case in RATES],
    *[("validation_ratio", *case[:2], r"\[0, 1\)") for case in RATES],
    ("validation_ratio", 1.0, "1.0", r"\[0, 1\)"),
    *[(f"{name}_coef", *case) for name in ("wd", "jacob", "entropy") for case in COEFFICIENTS],
    ("learning_rate", 0.0, "0.0", r"\(0, 3.4e\+38\)"),
    ("learning_rate", math.nan, "nan", r"\(0, 3.4e\+38\)"),
    ("learning_rate", math.inf, "inf", r"\(0, 3.4e\+38\)"),
    *[
        (name, value, str(value), r"\[1, 2147483647\]")
        for name in (
            "epochs_num",
            "batch_size",
            "lr_decay_epochs",
            "noise_draws",
            "sn_iterations",
        )
        for value in (0, -1, 2**31)
    ],
    *[("total_repeats", value, str(value), r"\[1, 10000\]") for value in (0, -1, 10_001)],
    ("learning_rate", 1e39, "1e+39", r"\(0, 3.4e\+38\)"),
    ("results_dir", "a\0b", "a\0b", "without the character NUL"),
    *[
        (name, -1, "-1", r"\[0, 2147483647\]")
        for name in ("train_size", "test_size", "jacob_start_epoch", "jacob_samples")
    ],
    *[
        (name, value, str(value), r"\[0, 2147483647\]")
        for name in ("seed", "noise_seed", "split_seed")
        for value in (-1, 2**31)
    ],
    ("wave_frequency", 0.0, "0.0", r"\(0, 3.4e\+38\)"),
    ("noise_type", "salt", "salt", "uniform_noise, symmetric_noise, .*human_noise, .* declares"),
    ("flip_map", "salt", "salt", "paper, patrini, pair, superclass"),
    ("human_labels", "salt", "salt", "worse_label, .*, noise_label"),
    ("preprocess_mode", "mean_subtract", "mean_subtract", r".*\(did you mean mean_substract\?\)"),
    ("noise_rate", 40.0, "40.0", r"\[0, 1\], a share: 0.4 for 40 %"),
    ("net", "vgg", "vgg", "lenet, allcnn, .*wrn28_10, .* declares"),
    ("net", "resnet", "resnet", "lenet, allcnn, .*resnet18, .*"),
    ("net", "lenett", "lenett", r".*\(did you mean lenet\?\)"),
    ("net", "LeNet", "LeNet", r".*\(did you mean lenet\?\)"),
    ("net", "allcn", "allcn", r".*\(did you mean allcnn\?\)"),
    ("noise_type", "uniform", "uniform", r".*\(did you mean uniform_noise\?\)"),
    ("noise_type", "noise", "noise", "uniform_noise, symmetric_noise, .*human_noise, .* declares$"),
    ("loss", "focal", "focal", "ce, mae, .*forward, and what a --user_code declares$"),
    ("jacob_mode", "both", "both", "projection, exact"),
    ("sn_mode", "both", "both", "reshaped, exact"),
    ("wd_mode", "both", "both", "coupled, decoupled"),
    ("preset", "both", "both", "default, paper"),
    *[("sn_cap", value, text, r"\(0, 3.4e\+38\)") for value, text in [(0.0, "0.0"), *NO_NUMBERS]],
    # Of another type: bool is an int to Python, but not to a user.
    ("epochs_num", True, "True", "type int, not bool"),
    ("epochs_num", 2.0, "2.0", "type int, not float"),
    ("epochs_num", "2", "'2'", "type int, not str"),
    ("epochs_num", None, "None", "type int, not NoneType"),
    ("noise_rate", True, "True", "type float, not bool"),
    ("noise_rate", "0.4", "'0.4'", "type float, not str"),
    ("noise_rate", None, "None", "type float, not NoneType"),
    ("do_sn", 1, "1", "type bool, not int"),
    ("do_sn", None, "None", "type bool, not NoneType"),
    ("dataset", 5, "5", "type str, not int"),
    ("net", 5, "5", "type str, not int"),
    *[
        (name, "", "", "not empty")
        for name in ("dataset", "noise_type", "net", "results_dir", "data_dir", "cache_dir")
    ],
]


@pytest.mark.parametrize(("name", "value", "said", "allowed"), REFUSED)
def test_bad_value_is_refused_in_one_line(name, value, said, allowed):
    with pytest.raises(InputError) as refusal:
        Config(**{name: value})
    pattern = rf"--{name}={re.escape(said)}: allowed (is|are) .*{allowed}"
    assert re.fullmatch(pattern, str(refusal.value))  # . matches no line break


@pytest.mark.parametrize("name", FIELDS)
def test_no_flag_takes_just_anything(name):
    with pytest.raises(InputError, match=f"^--{name}="):
        Config(**{name: object()})


@pytest.mark.parametrize(
    "allowed",
    [
        {"noise_rate": 0.0},
        {"noise_rate": 1.0},
        {"noise_rate": 1},
        {"seed": 2**31 - 1},
        {"train_size": 0},
        {"jacob_coef": 1.0, "jacob_start_epoch": 0, "epochs_num": 1},
        {"jacob_coef": 0.0, "jacob_start_epoch": 30, "epochs_num": 30},
    ],
)
def test_ends_of_the_ranges_are_allowed(allowed):
    assert dataclasses.asdict(Config(**allowed)).items() >= allowed.items()


@pytest.mark.parametrize("start", [None, 3, 4])
def test_truncation_that_never_starts_is_refused(start):
    with pytest.raises(InputError) as refusal:
        Config(method="truncation", epochs_num=3, truncation_start_epoch=start)
    given = start or "39 (the default)"
    assert str(refusal.value) == (
        f"--truncation_start_epoch={given} with --epochs_num=3: --method=truncation would leave "
        "out no sample; allowed here: 1 to 2"
    )
    assert Config(method="truncation", epochs_num=3, truncation_start_epoch=2)


@pytest.mark.parametrize("start", [3, 4])
def test_jacobian_term_that_never_starts_is_refused(start):
    with pytest.raises(InputError) as refusal:
        Config(jacob_coef=0.1, epochs_num=3, jacob_start_epoch=start)
    assert str(refusal.value) == (
        f"--jacob_start_epoch={start} with --epochs_num=3: the Jacobian term (--jacob_coef=0.1) "
        "would never be switched on; allowed here: 0 to 2"
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"flip_map": "pair"},
            "--flip_map=pair with --noise_type=uniform_noise: allowed only with "
            "--noise_type=flip_noise",
        ),
        (
            {"noise_matrix": "m.csv"},
            "--noise_matrix=m.csv with --noise_type=uniform_noise: allowed only with "
            "--noise_type=matrix_noise",
        ),
        (
            {"human_labels": "aggre_label"},
            "--human_labels=aggre_label with --noise_type=uniform_noise: allowed only with "
            "--noise_type=human_noise",
        ),
        ({"noise_type": "human_noise"}, "--noise_type=human_noise: requires --human_labels"),
        ({"noise_type": "matrix_noise"}, "--noise_type=matrix_noise: requires --noise_matrix"),
        ({"noise_type": "wave_noise"}, "--noise_type=wave_noise: requires --wave_frequency"),
        (
            {"wave_frequency": 2.0},
            "--wave_frequency=2.0 with --noise_type=uniform_noise: allowed only with "
            "--noise_type=wave_noise",
        ),
        (
            {"noise_type": "matrix_noise", "noise_matrix": "m.csv"},
            "--noise_rate=0: allowed is (0, 1] with matrix_noise; 1 uses the matrix as it is",
        ),
        (
            {"noise_file": "x.npy", "noise_type": "flip_noise"},
            "--noise_file=x.npy with --noise_type=flip_noise: allowed is one of them, since "
            "the labels in the file are already noisy",
        ),
        (
            {"noise_file": "x.npy", "noise_rate": 0.4},
            "--noise_rate=0.4: allowed is 0 (the default) with noise_file, whose labels have a "
            "rate of their own",
        ),
        (
            {"noise_type": "human_noise", "human_labels": "worse_label", "noise_rate": 0.4},
            "--noise_rate=0.4: allowed is 0 (the default) with human_noise worse_label, whose "
            "labels have a rate of their own",
        ),
        (
            {"noise_type": "human_noise", "human_labels": "worse_label", "noise_draws": 5},
            "--noise_draws=5: allowed is 1 with human_noise, which is not drawn",
        ),
        ({"noise_draws": 2}, "--noise_draws=2: allowed are divisors of --total_repeats=5"),
        (
            {"noise_draws": 5, "noise_per_repeat": True},
            "--noise_draws=5 with --noise_per_repeat: allowed is one of them",
        ),
    ],
)
def test_flags_of_the_noise_that_do_not_go_together_are_refused(settings, said):
    with pytest.raises(InputError) as refusal:
        Config(**settings)
    assert str(refusal.value) == said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sn_mode": "exact"}, "--sn_mode=exact: requires --do_sn"),
        ({"sn_cap": 2.0}, "--sn_cap=2.0: requires --do_sn"),
        (
            {"gce_q": 0.5, "loss": "mae"},
            "--gce_q=0.5 with --loss=mae: allowed only with --loss=gce",
        ),
        (
            {"elr_beta": 0.5},
            "--elr_beta=0.5 with --method=None: allowed only with --method=elr",
        ),
        (
            {"forward_matrix": "estimated"},
            "--forward_matrix=estimated with --loss=ce: allowed only with --loss=forward",
        ),
        (
            {"loss": "forward", "forward_matrix": "estimated", "forward_file": "t.npy"},
            "--forward_file=t.npy with --forward_matrix=estimated: allowed is one of them",
        ),
        ({"sn_iterations": 2}, "--sn_iterations=2: requires --do_sn"),
        ({"wd_mode": "decoupled"}, "--wd_mode=decoupled: requires --wd_coef"),
        (
            {"preset": "paper", "do_sn": True, "sn_mode": "exact"},
            "--sn_mode=exact with --preset=paper: allowed is the paper's --sn_mode=reshaped",
        ),
        (
            {"preset": "paper", "jacob_mode": "exact", "batch_size": 64},
            "--jacob_mode=exact, --batch_size=64 with --preset=paper: allowed is the paper's "
            "--jacob_mode=projection, --batch_size=32",
        ),
    ],
)
def test_regularizers_flags_that_do_nothing_or_contradict_are_refused(settings, said):
    with pytest.raises(InputError) as refusal:
        Config(**settings)
    assert str(refusal.value) == said


# Names

NETS = {"mnist": "lenet", "fashion_mnist": "lenet", "digits": "lenet", "emnist/letters": "lenet",
        "cifar10": "allcnn", "cifar100": "allcnn", "cifar10_n": "allcnn",
        "svhn_cropped": "allcnn"}  # fmt: skip


@pytest.mark.parametrize("dataset", NETS)
def test_net_is_the_data_sets_unless_given(dataset):
    assert Config(dataset=dataset).network == NETS[dataset]
    for net in ("lenet", "allcnn"):
        assert Config(dataset=dataset, net=net).network == net


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "no_reg"),
        ({"do_sn": True}, "sn"),
        ({"wd_coef": 1e-4}, "wd_0.0001"),
        ({"wd_coef": 1e-5}, "wd_1e-05"),
        ({"jacob_coef": 1e-3}, "jacob_0.001"),
        ({"entropy_coef": 1.0}, "entropy_1"),
        (
            {"wd_coef": 1e-4, "jacob_coef": 0.25, "entropy_coef": 2.0, "do_sn": True},
            "wd_0.0001_jacob_0.25_entropy_2_sn",
        ),
        ({"wd_coef": 1e-4, "wd_mode": "decoupled"}, "wd_decoupled_0.0001"),
        ({"do_sn": True, "sn_mode": "exact"}, "sn_exact"),
        ({"do_sn": True, "sn_cap": 2.0}, "sn_cap_2"),
        ({"loss": "gce", "method": "elr", "elr_beta": 0.5, "do_sn": True}, "gce_elr_beta_0.5_sn"),
        ({"loss": "forward", "forward_matrix": "estimated"}, "forward_estimated"),
        (
            {"do_sn": True, "sn_mode": "exact", "sn_cap": 0.5, "sn_iterations": 3},
            "sn_exact_cap_0.5_iterations_3",
        ),
        ({"preset": "paper"}, "paper"),
        ({"preset": "paper", "do_sn": True, "wd_coef": 1e-4}, "wd_0.0001_sn_paper"),
    ],
)
def test_regularization_names_the_active_terms(settings, name):
    assert Config(**settings).regularization == name


# What else a flag needs, to be allowed a value that is not its default.
COMPANIONS = {
    "flip_map": {"noise_type": "flip_noise"},
    "sn_mode": {"do_sn": True},
    "sn_cap": {"do_sn": True},
    "sn_iterations": {"do_sn": True},
    "wd_mode": {"wd_coef": 1e-4},
    "wd_on": {"wd_coef": 1e-4},
    "cutout_size": {"augment": "cutout"},
    **dict.fromkeys(["momentum", "nesterov"], {"net": "lenet"}),
    "lr_milestones": {"schedule": "milestones", "lr_milestones": "3"},
    "lr_min": {"schedule": "cosine"},
    "channel_mean": {"preprocess_mode": "mean_std", "channel_mean": "0.5", "channel_std": "0.2"},
    "channel_std": {"preprocess_mode": "mean_std", "channel_mean": "0.5", "channel_std": "0.2"},
    "noise_matrix": {"noise_type": "matrix_noise", "noise_rate": 0.4},
    "human_labels": {"noise_type": "human_noise"},
    "wave_frequency": {"noise_type": "wave_noise"},
    "forward_matrix": {"loss": "forward"},
    "forward_file": {"loss": "forward"},
    **{f"{name}_{hyper}": {"loss": name} for name, hypers in LOSSES.items() for hyper in hypers},
    **{f"{name}_{hyper}": {"method": name} for name, hypers in METHODS.items() for hyper in hypers},
}
for name in METHODS["truncation"]:  # which starts late
    COMPANIONS[f"truncation_{name}"]["epochs_num"] = 100


def other_value(name):
    """An allowed value of the flag that is not its default, where there is one."""
    field = FIELDS[name]
    if name == "net":
        return "lenet"  # the default data set's is allcnn
    if name == "image_size":
        return 64
    if name == "noise_draws":
        return 5  # divides the default number of repeats
    if name.endswith("_log_zero"):
        return -2.0
    if name == "bi_tempered_t2":
        return 1.5
    if name == "lr_milestones":
        return "2,4"
    if name.startswith("channel_"):
        return "0.4"
    if name == "lr_min":
        return 1e-5
    if name == "optimizer":
        return "adam"
    if field.metadata["choices"]:
        return next(c for c in field.metadata["choices"] if c != field.default)
    if flag_type(field) is int:
        return (field.default or 0) + 1
    return {bool: True, float: 0.05, str: "other"}[flag_type(field)]


# Those of --user_code are in test_user_code.py.
OURS = [x for x in RESULT_FIELDS if x != "user_code" and not x.endswith("_options")]


@pytest.mark.parametrize("name", OURS)
def test_fingerprint_and_folder_change_with(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").write_text("labels")  # for flags that name a file
    companions = COMPANIONS.get(name, {})
    changed = Config(**companions | {name: other_value(name)})
    # Noise that needs a flag cannot do without it.
    same_but = (
        Config()
        if name in ("noise_matrix", "human_labels", "wave_frequency")
        else Config(**companions)
    )
    assert changed.fingerprint != same_but.fingerprint
    assert run_folder(changed) != run_folder(same_but)


def test_a_new_flag_leaves_earlier_fingerprints_alone():
    """Folders of runs are found again by versions with more flags, at their defaults."""
    settings = dict(do_sn=True, noise_rate=0.4, seed=3)
    before = Config(**settings).fingerprint
    newer = dataclasses.make_dataclass(
        "Newer",
        [("new_flag", int, flag(7, "What is new.", low=0))],
        bases=(Config,),
        frozen=True,
    )
    assert newer(**settings).result_settings["new_flag"] == 7
    assert newer(**settings).fingerprint == before
    assert newer(**settings, new_flag=8).fingerprint != before


@pytest.mark.parametrize("name", sorted(set(FIELDS) - set(RESULT_FIELDS)))
def test_fingerprint_does_not_change_with(name, tmp_path):
    of_three = {"coordinator_address": "host:1", "num_processes": 3}
    given = {}
    if name in ("trust_noise_file", "noise_file_rate"):
        (tmp_path / "labels.npy").write_text("labels")
        given = {"noise_file": str(tmp_path / "labels.npy")}
    changed = Config(**of_three | given | {name: other_value(name)})
    assert changed.fingerprint == Config(**given).fingerprint


@pytest.mark.parametrize("flag", ["noise_file", "noise_matrix"])
def test_fingerprint_depends_on_the_content_of_a_file_not_on_its_path(flag, tmp_path):
    def fingerprint(name, content):
        (tmp_path / name).write_text(content)
        settings = COMPANIONS.get(flag, {}) | {flag: str(tmp_path / name)}
        return Config(**settings).fingerprint

    assert fingerprint("a", "one") == fingerprint("b", "one") != fingerprint("a", "two")


def test_file_that_cannot_be_read_has_no_fingerprint(tmp_path):
    with pytest.raises(InputError) as refusal:
        run_folder(Config(noise_file=str(tmp_path / "none.npy")))
    assert str(refusal.value) == (
        f"--noise_file={tmp_path / 'none.npy'}: cannot be read: No such file or directory"
    )


def test_noise_per_repeat_is_as_many_draws_as_repeats():
    one, other = Config(noise_per_repeat=True), Config(noise_draws=5)
    assert one.draws == other.draws == 5 and one.fingerprint == other.fingerprint


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"noise_rate": 0.25}, "uniform_noise_0.25"),
        ({"noise_type": "flip_noise", "flip_map": "pair"}, "flip_noise_0"),
        ({"noise_type": "human_noise", "human_labels": "worse_label"}, "human_noise_worse_label"),
        (
            {"noise_type": "wave_noise", "wave_frequency": 2, "noise_rate": 0.3},
            "wave_noise_2_0.3",
        ),
        ({"noise_file": "labels.csv"}, "noise_file"),
    ],
)
def test_folder_names_the_noise(settings, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.csv").touch()
    assert run_folder(Config(**settings)).parent.name == name


def test_fingerprint_is_that_of_the_net_however_it_was_chosen():
    assert Config(net="allcnn").fingerprint == Config().fingerprint
    assert re.fullmatch("[0-9a-f]{8}", Config().fingerprint)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("wd_coef", 1e-4, 1e-5),
        ("noise_rate", 0.25, 0.15),
        # Equal where six digits are shown.
        ("noise_rate", 0.1234567, 0.12345678),
        ("wd_coef", 1.0000001e-4, 1.0000002e-4),
        ("dataset", "emnist/letters", "emnist_letters"),
    ],
)
def test_no_two_settings_share_a_folder(name, one, other):
    assert run_folder(Config(**{name: one})) != run_folder(Config(**{name: other}))


@pytest.mark.parametrize(
    ("number", "noun", "told"),
    [(1, "repeat", "1 repeat"), (0, "repeat", "0 repeats"), (2, "entry", "2 entries"),
     (1, "entry", "1 entry"), (3, "other run folder", "3 other run folders")],
)  # fmt: skip
def test_nouns_agree_with_their_numbers(number, noun, told):
    assert counted(number, noun) == told


@pytest.mark.parametrize(
    ("text", "near"),
    [("--noise_rat", "--noise_rate"), ("--epochs", "--epochs_num"), ("--gpu_num", "--GPU_num"),
     ("--lr", "--learning_rate"), ("--noise", None), ("--weight_decay", "--wd_coef"),
     ("--regularizer", None)],
)  # fmt: skip
def test_only_what_is_near_is_suggested(text, near):
    """A word that begins several names, or a short one, stands for none of them."""
    suggestion = f" (did you mean {near}?)" if near else ""
    assert nearest(text, [f"--{name}" for name in FIELDS]) == suggestion
