"""The noisy-sample score: how it is judged, and the list of suspects."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

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


def losses(samples=400, share=0.3, seed=0):
    """Losses in two groups that overlap, and which samples are of the higher one."""
    rng = np.random.default_rng(seed)
    changed = rng.random(samples) < share
    return np.where(changed, rng.normal(3, 0.8, samples), rng.gamma(2, 0.4, samples)), changed


def test_groups_far_apart_are_found_whole_and_give_the_rate():
    changed = np.arange(100) < 36
    loss = np.where(changed, 5.0, 0.1) + np.linspace(0, 0.01, 100)
    measured = detection.found(np.float32(loss), changed)
    assert list(measured) == list(detection.FOUND)
    assert measured == pytest.approx(
        {"f1_at_true_rate": 1, "mixture_precision": 1, "mixture_recall": 1, "mixture_f1": 1,
         "mixture_rate": 0.36, "mixture_rate_error": 0},
        abs=1e-9,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_calls_are_judged_as_scikit_learn_does(seed):
    loss, changed = losses(seed=seed)
    measured = detection.found(loss, changed)
    called = detection.mixture(loss) > 0.5
    expected = precision_recall_fscore_support(changed, called, average="binary")[:3]
    names = "mixture_precision", "mixture_recall", "mixture_f1"
    assert [measured[name] for name in names] == pytest.approx(expected, rel=1e-12)
    # As many as are changed: the three are one.
    first = loss >= np.sort(loss)[-changed.sum()]
    expected = precision_recall_fscore_support(changed, first, average="binary")[:3]
    assert [measured["f1_at_true_rate"]] * 3 == pytest.approx(expected, rel=1e-12)
    assert measured["mixture_rate_error"] == abs(measured["mixture_rate"] - changed.mean())


def test_the_mixture_finds_the_shares_of_two_gaussians():
    rng = np.random.default_rng(0)
    loss = np.concatenate([rng.normal(1, 0.2, 7000), rng.normal(4, 0.7, 3000)])
    posterior = detection.mixture(loss)
    assert ((posterior >= 0) & (posterior <= 1)).all()
    assert posterior.mean() == pytest.approx(0.3, abs=0.005)


def test_the_order_and_the_unit_of_losses_do_not_matter_to_the_mixture():
    loss, _ = losses()
    order = np.random.default_rng(1).permutation(len(loss))
    posterior = detection.mixture(loss)
    np.testing.assert_array_equal(detection.mixture(loss[order]), posterior[order])
    np.testing.assert_allclose(detection.mixture(8 * loss + 16), posterior, atol=1e-9)


@pytest.mark.parametrize("changed", [np.zeros(400, bool), np.ones(400, bool)])
def test_where_no_label_or_every_label_is_changed_there_is_a_rate_alone(changed):
    loss, _ = losses()
    measured = detection.found(loss, changed)
    known = {name for name, x in measured.items() if np.isfinite(x)}
    # Without a changed label no label is known to be right.
    assert known == {"mixture_rate"} | ({"mixture_rate_error"} if changed.all() else set())


@pytest.mark.parametrize("loss", [[1, 1, 1, 1, 1], [0, 1, np.nan, 2, 3], [0, 1, np.inf, 2, 3]])
def test_losses_that_are_no_numbers_or_equal_are_no_mixture(loss):
    measured = detection.found(np.float32(loss), CHANGED)
    assert np.isnan(list(measured.values())).all()


INDEX = np.array([40, 7, 19])
GIVEN = np.array([1, 2, 3], np.int32)
NAMES = ("ant", "bee, wild", 'cat "tom"', "dog\nfish", "elk")


def dataset(given, true=GIVEN, *, files=(), names=tuple("0123456789")):
    """What a list of suspects needs of a data set."""
    labels = [SimpleNamespace(noisy=np.int32(each), clean=np.int32(true)) for each in given]
    return SimpleNamespace(
        train_index=INDEX, noisy_labels=labels, train_files=files, class_names=names
    )


def samples(best, score):
    """With other predictions in the last epoch."""
    best = np.int32(best)
    return {"loss": np.float32(score), "predicted": (best + 1) % 5, "best_predicted": best}


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return header, rows


def suspects(path):
    header, rows = table(path)
    assert header == ["index", "given_label", "predicted_label", "score"]
    return [(*map(int, row[:3]), float(row[3])) for row in rows]


def test_repeats_with_the_same_labels_make_one_list(tmp_path):
    made = samples([[1, 5, 8], [1, 5, 9], [0, 2, 9]], [[1, 5, 2], [2, 5, 3], [3, 5, 1]])
    write_suspects(tmp_path, dataset([GIVEN] * 3), made, votes=np.full(3, True))
    assert [path.name for path in tmp_path.iterdir()] == ["suspects.csv"]
    # Sorted by the mean score; of 40 and 19, which are equal, the first in the data comes first.
    assert suspects(tmp_path / "suspects.csv") == [(7, 2, 5, 5), (40, 1, 1, 2), (19, 3, 9, 2)]


def test_repeats_with_labels_of_their_own_have_lists_of_their_own(tmp_path):
    made = samples([[1, 5, 8], [0, 6, 9]], [[1, 5, 2], [2, 1, 3]])
    given = dataset([GIVEN, [1, 2, 4]])
    write_suspects(tmp_path, given, made, votes=np.array([True, False]))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "suspects_repeat_1.csv", "suspects_repeat_2.csv",
    ]  # fmt: skip
    # 19 was given another label than its true one, 3, in the second repeat alone.
    header, first = table(tmp_path / "suspects_repeat_1.csv")
    assert header == ["index", "given_label", "predicted_label", "true_label", "score"]
    assert first == [[*"7252", "5"], ["19", *"3832"], ["40", *"1111"]]
    _, second = table(tmp_path / "suspects_repeat_2.csv")
    assert second == [["19", *"4933"], ["40", *"1012"], [*"72621"]]


@pytest.mark.parametrize("votes", [[True, False], [False, False]])
def test_a_diverged_repeat_has_no_vote_unless_all_have(votes, tmp_path):
    made = samples([[9, 9, 9], [0, 0, 0]], [[1, 5, 2], [9, 3, 4]])
    write_suspects(tmp_path, dataset([GIVEN] * 2), made, votes=np.array(votes))
    expected = {
        True: [(7, 2, 9, 5), (19, 3, 9, 2), (40, 1, 9, 1)],
        False: [(40, 1, 0, 5), (7, 2, 0, 4), (19, 3, 0, 3)],
    }
    assert suspects(tmp_path / "suspects.csv") == expected[votes[0]]


def test_repeats_that_diverged_at_once_predict_nothing(tmp_path):
    made = samples([[-1, -1, -1]] * 2, [[1, 5, 2]] * 2)
    write_suspects(tmp_path, dataset([GIVEN] * 2), made, votes=np.full(2, False))
    _, rows = table(tmp_path / "suspects.csv")
    assert [row[2] for row in rows] == ["", "", ""]


def test_labels_are_names_and_the_true_ones_are_there_if_some_label_is_wrong(tmp_path):
    made = samples([[2, 4, 3]], [[3, 2, 1]])
    noisy = dataset([[1, 2, 3]], [0, 2, 3], files=("a.png", "b,c.png", "d.png"), names=NAMES)
    write_suspects(tmp_path, noisy, made, votes=np.array([True]))
    header, rows = table(tmp_path / "suspects.csv")
    assert header == ["index", "file", "given_label", "predicted_label", "true_label", "score"]
    assert rows == [
        ["40", "a.png", "bee, wild", 'cat "tom"', "ant", "3"],
        ["7", "b,c.png", 'cat "tom"', "elk", 'cat "tom"', "2"],
        ["19", "d.png", "dog\nfish", "dog\nfish", "dog\nfish", "1"],
    ]


def test_list_of_an_older_run_is_as_it_was(tmp_path):
    """Predictions of the last epoch, numbers, and no true labels."""
    made = samples([[2, 4, 3], [2, 4, 3]], [[3, 2, 1]] * 2)
    del made["best_predicted"]
    made["predicted"][:, 2] = -1
    noisy = dataset([[1, 2, 3]] * 2, [0, 2, 3], names=NAMES)
    write_suspects(tmp_path, noisy, made, votes=np.array([False, False]))
    assert suspects(tmp_path / "suspects.csv") == [(40, 1, 3, 3), (7, 2, 0, 2), (19, 3, -1, 1)]
