"""What a user reads while a run works."""

import contextlib
import io
import re
import sys
import types

import numpy as np
import pytest
import rich.console
from places import ROOT

import jaxnoise
from jaxnoise import activity
from jaxnoise.config import Config
from jaxnoise.terminal import announcements, console, display, progress, time_left


@pytest.fixture
def stdout(monkeypatch):
    """What the package's log, set up as main.py does, has sent to stdout."""
    log, stream = console.log, io.StringIO()
    before, level, propagate = log.handlers[:], log.level, log.propagate
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", stream)
        console.log_to_console()
    (handler,) = (handler for handler in log.handlers if handler not in before)
    yield stream
    log.removeHandler(handler)
    log.setLevel(level)
    log.propagate = propagate


@pytest.fixture
def clock(monkeypatch):
    """The time that the module sees, in a list of one."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "time", lambda: now[0])
    return now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def metrics(loss=2.0):
    return {
        "step_loss": np.array([loss - 0.5, loss + 0.5], np.float32),
        "train_noisy_accuracy": np.array([10.0, 20.0], np.float32),
        "train_accuracy": np.array([30.0, 40.0], np.float32),
        "valid_accuracy": np.array([50.0, 60.0], np.float32),
        "test_accuracy": np.array([70.0, 80.0], np.float32),
    }


def test_piped_run_prints_a_line_per_epoch_with_means_over_repeats(stdout, clock, capsys):
    with progress.EpochReport(12) as epochs:
        clock[0] += 10
        epochs.update(metrics())
        assert stdout.getvalue() == (
            "epoch  1/12  training loss 2.0000  accuracy (%): train/noisy 15.00, train 35.00, "
            "valid 55.00, test 75.00  [10 s]\n"
        )
        epochs.update(metrics())
    lines = stdout.getvalue().splitlines()
    assert len(lines) == 2 and lines[1].startswith("epoch  2/12")
    assert capsys.readouterr().err == ""  # no bar


def test_without_validation_a_line_does_not_name_it(stdout):
    without = {name: x for name, x in metrics().items() if name != "valid_accuracy"}
    with progress.EpochReport(2) as epochs:
        epochs.update(without)
    line = stdout.getvalue()
    assert "train/noisy 15.00, train 35.00, test 75.00  [" in line and "valid" not in line
    assert "valid" not in progress._in_words(without)[1]


def test_means_are_over_the_repeats_that_go_on(stdout):
    one, none = metrics(), metrics()
    for name in one:
        one[name][1] = none[name][:] = np.nan
    with progress.EpochReport(2) as epochs:
        epochs.update(one)
        epochs.update(none)
    first, second = stdout.getvalue().splitlines()
    assert "training loss 1.5000  accuracy (%): train/noisy 10.00" in first
    assert "test 70.00  (1 of 2 repeats)  [" in first
    assert second.startswith("epoch 2/2  all repeats have diverged  [")


def test_training_loss_is_of_those_that_early_stopping_has_not_stopped(stdout):
    one, all_of_them = metrics(), metrics()
    one["step_loss"][1] = all_of_them["step_loss"][:] = np.nan
    with progress.EpochReport(2) as epochs:
        epochs.update(one)
        epochs.update(all_of_them)
    first, second = stdout.getvalue().splitlines()
    assert "training loss 1.5000  accuracy (%): " in first and "repeats" not in first
    assert "training loss – (stopped)  accuracy (%): " in second and "nan" not in second


def test_divergence_is_told_in_its_epoch(stdout):
    diverged = np.array([0, 3, 2, 3])
    for epoch in (1, 2, 3, 4):
        progress.warn_of_divergence(diverged, epoch)
    said = "loss or state is no longer finite; frozen in the state before that epoch"
    assert stdout.getvalue().splitlines() == [
        f"Warning: repeat 3 diverged at epoch 2: {said}",
        f"Warning: repeats 2, 4 diverged at epoch 3: {said}",
    ]


def test_time_left_leaves_the_compilation_out(stdout, clock):
    with progress.EpochReport(5) as epochs:
        for seconds in (30, 2, 2, 2, 2):
            clock[0] += seconds
            epochs.update(metrics())
    assert "[30 s]" in stdout.getvalue()
    told = re.findall(r"\[(\d+) s, (\d+) s left\]", stdout.getvalue())
    assert [tuple(map(int, pair)) for pair in told] == [(32, 6), (34, 4), (36, 2), (38, 0)]


def test_time_left_is_of_epochs_with_the_jacobian_term_once_they_have_begun(stdout, clock):
    with progress.EpochReport(7, jacob_start_epoch=3) as epochs:
        for seconds in (30, 2, 2, 60, 5, 5, 5):
            clock[0] += seconds
            epochs.update(metrics())
    told = [re.search(r"\[\d+ s(.*)\]", line)[1] for line in stdout.getvalue().splitlines()]
    more = [f", more than {seconds} s left" for seconds in (10, 8, 6)]
    assert told == ["", *more, ", 10 s left", ", 5 s left", ", 0 s left"]


def test_a_resumed_run_that_has_the_jacobian_term_already_predicts_as_any_other(stdout, clock):
    with progress.EpochReport(7, 4, jacob_start_epoch=3) as epochs:
        for seconds in (30, 2):
            clock[0] += seconds
            epochs.update(metrics())
    assert "[32 s, 2 s left]" in stdout.getvalue()


@contextlib.contextmanager
def terminal(monkeypatch, stdout, columns=80):
    """Lets the log's stdout be a terminal of so many columns, with a live part."""
    monkeypatch.setattr(stdout, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdout", stdout)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    with display.live():
        yield


def shown(columns=80):
    """What the live part looks like, as lines."""
    paper = rich.console.Console(file=io.StringIO(), width=columns)
    paper.print(display._rendered())
    return paper.file.getvalue().splitlines()


def test_terminal_has_a_bar_and_the_log_file_the_lines(stdout, monkeypatch, tmp_path):
    with (
        terminal(monkeypatch, stdout),
        console.log_file(tmp_path / "log.txt"),
        progress.EpochReport(2) as epochs,
    ):
        epochs.update(metrics())
        console.log.info("something else")
        epochs.update(metrics())
        bar, numbers = shown()
    assert "something else\n" in stdout.getvalue() and "accuracy (%)" not in stdout.getvalue()
    assert bar.startswith("epoch 2/2 ━") and len(bar.rstrip()) <= 80
    assert numbers.rstrip() == (
        "test 75.0 %  valid 55.0 %  train 35.0 %  train/noisy 15.0 %  loss 2.0000"
    )
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [line.split("  ", 1)[1][:9] for line in lines] == ["epoch 1/2", "something", "epoch 2/2"]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in lines)


def test_the_last_activity_that_goes_on_is_shown_with_what_it_took_before(stdout, monkeypatch):
    now = [50.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    with terminal(monkeypatch, stdout), activity.doing("measuring"):
        with activity.doing("compiling a program", expected=25):
            now[0] += 12
            assert shown()[0].rstrip().endswith("compiling a program: 12 s of about 25 s")
        assert shown()[0].rstrip().endswith("measuring: 12 s")
    assert "…" not in stdout.getvalue()  # not a second time, as a line
    assert activity.now() is None and shown() == []


def test_activities_are_lines_where_no_terminal_shows_them(stdout):
    with activity.doing("compiling a program"), activity.doing("loading", logged=False):
        pass
    assert stdout.getvalue() == "Compiling a program …\n"


def test_a_bar_counts_down_within_an_epoch(clock):
    known = time_left.EpochSeconds(plain=60)
    with progress.EpochReport(3, known=known) as epochs:
        assert "0 s, about 3 min left" in shown()[0]
        clock[0] += 70
        epochs.update(metrics())
        clock[0] += 50
        assert "2 min, about 70 s left" in shown()[0]
    with progress.EpochReport(3, bar=False):
        assert shown() == []


def test_a_message_about_a_signal_is_in_the_live_part(stdout, monkeypatch):
    assert not display.notice("SIGINT: stopping")  # there is none: who says it must print it
    with terminal(monkeypatch, stdout):
        assert display.notice("SIGINT: stopping")
        assert shown()[0].rstrip() == "SIGINT: stopping"
        display.notice("several words " * 10)
        display._live.refresh()
        console.log.info("a line above")  # with which the live part is drawn anew
    *_, drawn = stdout.getvalue().partition("a line above\n")
    assert drawn.count("words") == 2 * 10  # below the line, and at the end


def test_lines_are_kept_where_the_bar_goes_elsewhere(stdout, monkeypatch):
    """As in `main.py > out.txt` from a terminal."""
    monkeypatch.setattr("sys.stderr", Terminal())
    with display.live(), progress.EpochReport(1) as epochs:
        epochs.update(metrics())
    assert stdout.getvalue().startswith("epoch 1/1  ")


def test_log_file_ends_with_its_block_even_on_an_error(stdout, tmp_path):
    handlers = console.log.handlers[:]
    with pytest.raises(ZeroDivisionError), console.log_file(tmp_path / "log.txt"):
        console.log.info("inside")
        raise ZeroDivisionError
    console.log.info("outside")
    assert (tmp_path / "log.txt").read_text().endswith("  inside\n")
    assert console.log.handlers == handlers


def test_other_settings_are_those_that_the_title_leaves_out():
    assert announcements.other_settings(Config(wd_coef=1e-4, loss="gce", dataset="digits")) == ""
    config = Config(
        noise_type="flip_noise", noise_rate=0.4, flip_map="pair", epochs_num=7, seed=3,
        data_dir="somewhere", resume=False,
    )  # fmt: skip
    assert announcements.other_settings(config) == "--flip_map=pair --epochs_num=7 --seed=3"
    config = Config(
        jacob_coef=0.1, jacob_mode="exact", jacob_start_epoch=0, loss="forward",
        forward_file="t.npy",
    )  # fmt: skip
    told = "--forward_file=t.npy --jacob_mode=exact --jacob_start_epoch=0"
    assert sorted(announcements.other_settings(config).split()) == told.split()


def test_title_says_what_sets_a_run_apart():
    config = Config(dataset="digits", noise_rate=0.25, wd_coef=1e-4)
    assert announcements.title(config, ", ") == "digits, lenet, uniform_noise 0.25, wd_0.0001"


@pytest.mark.parametrize(
    ("samples", "told"),
    [(176, "about 67 epochs, "), (1293, "about 10 epochs, "), (54000, "1 epoch, ")],
)
def test_averages_that_lag_are_told(samples, told, stdout):
    announcements._tell_of_running_averages(Config(), samples)
    announcements._tell_of_running_averages(Config(preset="paper"), samples)
    default, paper = stdout.getvalue().splitlines()
    assert told in default and "preset" not in default
    assert told in paper and paper.endswith("(--preset=paper evaluates with them)")


def test_cost_of_the_exact_jacobian_is_told_before_it_is_paid(stdout):
    for settings in ({"jacob_mode": "exact"}, {"jacob_coef": 0.1}):
        announcements._warn_of_exact_jacobian(Config(**settings), 100)
    assert stdout.getvalue() == ""
    announcements._warn_of_exact_jacobian(Config(jacob_coef=0.1, jacob_mode="exact"), 100)
    assert "from epoch 11 on, a step takes about 101 times as long" in stdout.getvalue()


def test_the_documented_handler_gets_every_epoch(stdout, monkeypatch):
    page = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    of = r"^```python\n(import logging, jaxnoise, wandb\n.*?)```$"
    (snippet,) = re.findall(of, page, re.M | re.S)
    sent, begun = [], []
    service = types.SimpleNamespace(
        log=lambda numbers, step: sent.append((step, numbers)), init=lambda **how: begun.append(how)
    )
    monkeypatch.setitem(sys.modules, "wandb", service)

    def run(config):
        with progress.EpochReport(config.epochs_num) as epochs:
            for loss in range(config.epochs_num):
                epochs.update(metrics(loss))

    monkeypatch.setattr(jaxnoise, "run", run)
    monkeypatch.setattr(jaxnoise, "show_progress", lambda: None)
    handlers = console.log.handlers[:]
    try:
        exec(snippet, {})
    finally:
        console.log.handlers[:] = handlers
    assert begun[0]["config"]["noise_rate"] == 0.4
    assert [step for step, numbers in sent if "step_loss/0" in numbers] == [1, 2, 3]
    assert (2, {"step_loss/0": 0.5, "step_loss/1": 1.5}) in sent
    assert (3, {"test_accuracy/0": 70.0, "test_accuracy/1": 80.0}) in sent
