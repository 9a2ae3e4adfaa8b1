"""The noisy-sample score: how it is judged, and the list of suspects."""

import csv

import numpy as np
import pytest

from jaxnoise.runs.samples import write_suspects
from jaxnoise.scores import detection

CHANGED = np.array([1, 0, 1, 0, 0], bool)


def test_areas_by_hand():
    # Pairs (changed, unchanged) in order: 3 and 2 of 3. Precision at each changed: 1/1 and 2/3.
    measured = detection.measure(np.array([5.0, 4.0, 3.0, 2.0, 1.0]), CHANGED)
    assert measured == pytest.approx(
        {"noise_auroc": 5 / 6, "noise_aupr": (1 + 2 / 3) / 2}, rel=1e-12
    )


@pytest.mark.parametrize(
    ("score", "auroc", "aupr"), [(CHANGED, 1, 1), (~CHANGED, 0, 0.4), (np.ones(5), 0.5, 0.4)]
)
def test_perfect_worst_and_ignorant_scores(score, auroc, aupr):
    measured = detection.measure(np.float32(score), CHANGED)
    assert measured == pytest.approx({"noise_auroc": auroc, "noise_aupr": aupr}, rel=1e-12)


@pytest.mark.parametrize(
    ("score", "changed"),
    [(np.arange(5.0), np.zeros(5, bool)), (np.arange(5.0), np.ones(5, bool)),
     (np.array([0, 1, np.nan, 2, 3]), CHANGED), (np.array([0, 1, np.inf, 2, 3]), CHANGED)],
)  # fmt: skip
def test_nothing_to_tell_apart_is_not_a_number(score, changed):
    assert np.isnan(list(detection.measure(score, changed).values())).all()


INDEX = np.array([40, 7, 19])
GIVEN = np.array([1, 2, 3], np.int32)


def suspects(path):
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["index", "given_label", "predicted_label", "score"]
    return [(*map(int, row[:3]), float(row[3])) for row in rows]


def test_repeats_with_the_same_labels_make_one_list(tmp_path):
    write_suspects(
        tmp_path,
        index=INDEX,
        given=np.stack([GIVEN] * 3),
        predicted=np.array([[1, 5, 8], [1, 5, 9], [0, 2, 9]], np.int32),
        score=np.array([[1, 5, 2], [2, 5, 3], [3, 5, 1]], np.float32),
        votes=np.full(3, True),
    )
    assert [path.name for path in tmp_path.iterdir()] == ["suspects.csv"]
    # Sorted by the mean score; of 40 and 19, which are equal, the first in the data comes first.
    assert suspects(tmp_path / "suspects.csv") == [(7, 2, 5, 5), (40, 1, 1, 2), (19, 3, 9, 2)]


def test_repeats_with_labels_of_their_own_have_lists_of_their_own(tmp_path):
    given = np.stack([GIVEN, [1, 2, 4]])
    predicted = np.array([[1, 5, 8], [0, 6, 9]], np.int32)
    score = np.array([[1, 5, 2], [2, 1, 3]], np.float32)
    write_suspects(
        tmp_path,
        index=INDEX,
        given=given,
        predicted=predicted,
        score=score,
        votes=np.array([True, False]),
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "suspects_repeat_1.csv", "suspects_repeat_2.csv",
    ]  # fmt: skip
    assert suspects(tmp_path / "suspects_repeat_1.csv") == [(7, 2, 5, 5), (19, 3, 8, 2),
                                                            (40, 1, 1, 1)]  # fmt: skip
    assert suspects(tmp_path / "suspects_repeat_2.csv") == [(19, 4, 9, 3), (40, 1, 0, 2),
                                                            (7, 2, 6, 1)]  # fmt: skip


@pytest.mark.parametrize("votes", [[True, False], [False, False]])
def test_a_diverged_repeat_has_no_vote_unless_all_have(votes, tmp_path):
    write_suspects(
        tmp_path,
        index=INDEX,
        given=np.stack([GIVEN] * 2),
        predicted=np.array([[9, 9, 9], [0, 0, 0]], np.int32),
        score=np.array([[1, 5, 2], [9, 3, 4]], np.float32),
        votes=np.array(votes),
    )
    expected = {
        True: [(7, 2, 9, 5), (19, 3, 9, 2), (40, 1, 9, 1)],
        False: [(40, 1, 0, 5), (7, 2, 0, 4), (19, 3, 0, 3)],
    }
    assert suspects(tmp_path / "suspects.csv") == expected[votes[0]]
