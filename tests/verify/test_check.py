"""Verdicts: what is equal, what is near enough, and what the checks come to."""

import numpy as np
import pytest

from jaxnoise.verify.check import (
    CLOSE,
    DIFFERENT,
    EQUAL,
    EXACT,
    REFUSED,
    UNCHECKED,
    Check,
    Tolerance,
    compare,
    sentence,
    table,
    tolerance,
    worst,
)


@pytest.mark.parametrize(
    ("recorded", "recomputed", "allowed", "verdict", "difference"),
    [
        ([1.0, 2.0], [1.0, 2.0], EXACT, EQUAL, "0"),
        ([1.0, 2.0], [1.0, 2.5], EXACT, DIFFERENT, "0.5"),
        ([1.0, 2.0], [1.0, 2.5], Tolerance(absolute=0.5), CLOSE, "0.5"),
        ([1.0, 2.0], [1.0, 2.5], Tolerance(absolute=0.4), DIFFERENT, "0.5"),
        ([10.0, 20.0], [10.0, 20.5], Tolerance(relative=0.03), CLOSE, "0.5"),
        ([20.0, 10.0], [20.0, 10.5], Tolerance(relative=0.03), DIFFERENT, "0.5"),
        ([np.nan, 1.0], [np.nan, 1.0], EXACT, EQUAL, "0"),  # null in JSON
        ([np.nan, np.nan], [np.nan, np.nan], EXACT, EQUAL, "–"),
        ([np.nan, 1.0], [0.0, 1.0], Tolerance(absolute=9), DIFFERENT, "0"),
        ([0.0, 1.0], [np.nan, 1.0], Tolerance(absolute=9), DIFFERENT, "0"),
        ([np.inf, 1.0], [np.inf, 1.0], EXACT, EQUAL, "0"),
        ([np.inf, 1.0], [2.0, 1.0], Tolerance(absolute=9), DIFFERENT, "0"),
    ],
)
def test_verdict_on_numbers(recorded, recomputed, allowed, verdict, difference):
    check = compare("score", np.array(recorded), np.array(recomputed), allowed)
    assert (check.verdict, check.difference) == (verdict, difference)


def test_a_float32_is_equal_to_what_json_has_of_it():
    value = np.float32([0.1, 71.32101])
    assert compare("score", np.array(value.tolist()), value).verdict == EQUAL


def test_tolerance_is_one_picture_for_accuracies():
    for metric in ("test_accuracy", "last_test_accuracy", "changed_as_noisy"):
        one, two = np.float32([40.0, 41.0]), np.float32([40.0, 42.0])
        assert compare("", one[:1], one[1:], tolerance(metric, 100)).verdict == CLOSE
        assert compare("", two[:1], two[1:], tolerance(metric, 100)).verdict == DIFFERENT


def test_epochs_have_no_tolerance_and_measures_of_logits_a_small_one():
    assert tolerance("best_epoch", 100) == EXACT
    for metric in ("entropy", "test_nll", "test_brier", "train_noisy_loss", "test_jacob"):
        allowed = tolerance(metric, 10)
        assert allowed.absolute == 0 and 0 < allowed.relative <= 5e-3


def test_worst_tells_the_first_of_the_worst():
    equal, close, other = (Check(str(i), x) for i, x in enumerate((EQUAL, CLOSE, DIFFERENT)))
    assert worst("all", [equal, equal]) == Check("all", EQUAL)
    assert worst("all", [equal, close]) == Check("all", CLOSE)
    assert worst("all", [equal, other, close]) == Check(
        "all", DIFFERENT, note="2 is the first that differs"
    )


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ((EQUAL, EQUAL, EQUAL), "All 2 scores of 3 repeats match, bit for bit, and so does"),
        ((EQUAL, CLOSE, EQUAL), "match, 1 bit for bit and 1 within float tolerance, and so"),
        ((EQUAL, DIFFERENT, EQUAL), "1 of 2 scores of 3 repeats match; failed checks: b."),
        ((EQUAL, CLOSE, REFUSED), "2 of 2 scores of 3 repeats match; failed checks: file."),
        ((UNCHECKED, EQUAL, REFUSED), "1 of 2 scores of 3 repeats match; failed checks: file."),
    ],
)
def test_sentence(verdicts, said):
    checks = [Check(what, x) for what, x in zip(("a", "b", "file"), verdicts, strict=True)]
    assert said in sentence(checks, ("a", "b"), 3)


def test_table_has_a_row_for_each_check():
    lines = table([Check("a", EQUAL, "1", "2", "0.5"), Check("b", UNCHECKED)]).splitlines()
    assert lines[-2].split() == ["a", "1", "2", "0.5", "equal"]
    assert lines[-1].split() == ["b", "not", "checked"]
