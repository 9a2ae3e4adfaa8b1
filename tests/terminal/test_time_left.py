"""Predictions of how long a training still takes."""

import pytest

from jaxnoise.terminal.time_left import EpochSeconds, TimeLeft


def after(times, *arguments, **known):
    left = TimeLeft(*arguments, **known)
    total = 0.0
    for seconds in times:
        total += seconds
        left.ended(total)
    return left


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ([], (None, False)),
        ([30], (None, False)),  # an epoch with a compilation predicts nothing
        ([30, 2], (16, True)),  # those with the Jacobian term take as long, or longer
        ([30, 2, 2, 2], (12, True)),
        ([30, 2, 2, 2, 60], (10, True)),
        ([30, 2, 2, 2, 60, 5], (20, False)),
        ([30, 2, 2, 2, 60, 5, 5, 5, 5, 5], (0, False)),
    ],
)
def test_two_kinds_of_epochs(times, told):
    assert after(times, 10, 0, 4).seconds == told


def test_what_earlier_runs_took_is_used_until_it_is_measured():
    known = EpochSeconds(3, 7)
    assert after([], 10, 0, 4, known=known).seconds == (4 * 3 + 6 * 7, False)
    assert after([30, 2], 10, 0, 4, known=known).seconds == (2 * 2 + 6 * 7, False)
    assert after([], 10, 0, None, known=EpochSeconds(3)).seconds == (30, False)
    assert after([], 10, 6, 4, known=EpochSeconds(None, 7)).seconds == (28, False)
    assert after([], 10, 0, 0, known=EpochSeconds(None, 7)).seconds == (70, False)


def test_what_was_measured_leaves_compilations_out():
    left = after([30, 2, 3, 60, 5], 10, 0, 3)
    assert left.measured == (2.5, 5) and left.compiling == 27.5 + 55
    assert after([30], 10, 0, 3).measured == (None, None)
    assert after([30], 10, 0, 3).compiling == 0
