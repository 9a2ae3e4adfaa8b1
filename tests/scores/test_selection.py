"""Which epoch each of the test accuracies is taken at, and which of them a run has."""

import numpy as np
import pytest

from jaxnoise.scores import selection

# (epochs, repeats); the first repeat has equals, of which the earlier counts.
HISTORY = {
    "test_accuracy": np.float32([[50, 10], [70, 20], [90, 80], [60, 40]]),
    "valid_accuracy": np.float32([[60, 10], [60, 90], [50, 20], [40, 30]]),
    "valid_noisy_accuracy": np.float32([[10, 40], [20, 30], [10, 20], [20, 10]]),
}
NAMES = ["last", "last_ten", "best_noisy_valid", "best_clean_valid", "oracle_test"]


def of_test(values):
    """A history in which every accuracy is that on the test set, (epochs, repeats)."""
    return dict.fromkeys(HISTORY, np.float32(values))


def test_each_is_taken_at_its_own_epoch():
    assert {
        name: chosen and (chosen.accuracy.tolist(), chosen.epoch.tolist())
        for name, chosen in selection.select(HISTORY).items()
    } == {
        "last": ([60, 40], [4, 4]),
        "last_ten": None,
        "best_noisy_valid": ([70, 10], [2, 1]),
        "best_clean_valid": ([50, 20], [1, 2]),
        "oracle_test": ([90, 80], [3, 3]),
    }


def test_the_mean_of_ten_epochs_is_that_of_the_last_ten_and_has_no_epoch():
    # 1 + 2 + … + 10 = 55; of a linear course, the mean is that of its ends.
    ramp = np.float32([[epoch, 2 * epoch, 7] for epoch in range(1, 31)])
    chosen = selection.select(of_test(ramp))["last_ten"]
    assert chosen.accuracy.tolist() == [25.5, 51, 7] and chosen.epoch.tolist() == [0, 0, 0]
    assert selection.select(of_test(ramp[:10]))["last_ten"].accuracy.tolist() == [5.5, 11, 7]
    np.testing.assert_array_equal(
        selection.select(of_test(ramp[20:]))["last_ten"].accuracy, chosen.accuracy
    )


@pytest.mark.parametrize("repeats", [1, 5])
def test_the_mean_of_ten_epochs_does_not_depend_on_the_order_of_a_sum(repeats):
    # As `verify` compares it to the last digit. Shares of 70 000 pictures, as a device has them.
    rng = np.random.default_rng(0)
    test = np.float32(100) * (rng.integers(0, 70_001, (30, repeats)) / np.float32(70_000))
    test = test.astype(np.float32)
    chosen = selection.select(of_test(test))["last_ten"]
    backwards = selection.select(of_test(np.concatenate([test[:20], test[:19:-1]])))["last_ten"]
    assert chosen.accuracy.dtype == np.float32
    np.testing.assert_array_equal(chosen.accuracy, backwards.accuracy)


def test_fewer_than_ten_epochs_have_no_mean_of_ten():
    assert selection.select(of_test(np.ones((9, 2))))["last_ten"] is None
    assert selection.select(of_test(np.ones((10, 2))))["last_ten"] is not None


def test_without_validation_there_is_no_best_validation_epoch():
    chosen = selection.select({"test_accuracy": np.float32(np.ones((12, 2)))})
    assert list(chosen) == NAMES
    assert [name for name in NAMES if chosen[name] is None] == [
        "best_noisy_valid", "best_clean_valid",
    ]  # fmt: skip


@pytest.mark.parametrize("epochs", [1, 9, 10, 30])
@pytest.mark.parametrize("validated", [True, False])
def test_what_exists_is_what_a_history_gives(validated, epochs):
    history = of_test(np.ones((epochs, 2)))
    if not validated:
        history = {"test_accuracy": history["test_accuracy"]}
    there = selection.existing(validated=validated, epochs=epochs, ema=False)
    assert there == [name for name, x in selection.select(history).items() if x is not None]


def test_an_average_of_the_weights_is_named_only_where_there_is_one():
    average = {"ema_test_accuracy": np.float32([[1, 2], [3, 4], [5, 6], [7, 8]])}
    chosen, without = selection.select(HISTORY | average), selection.select(HISTORY)
    accuracy, epoch = chosen.pop("ema_last")
    assert (accuracy.tolist(), epoch.tolist()) == ([7, 8], [4, 4])
    np.testing.assert_equal(chosen, without)
    assert list(selection.SELECTIONS) == selection.named(ema=True)
    assert selection.named(ema=False) == list(without) == NAMES
    there = selection.existing(validated=True, epochs=4, ema=True)
    assert [name for name in there if name not in NAMES] == ["ema_last"]
    assert "ema" not in selection.absent_words(NAMES)
    assert selection.absent_words(["ema_last"]).endswith("requires --ema_decay")


def test_the_average_of_a_repeat_that_diverged_has_no_accuracy():
    test = np.float32([[50, 10], [70, np.nan]])
    history = of_test(test) | {"ema_test_accuracy": test + 1}
    accuracy, epoch = selection.select(history)["ema_last"]
    assert accuracy[0] == 71 and np.isnan(accuracy[1]) and epoch.tolist() == [2, 0]


def test_a_repeat_that_diverged_has_none():
    history = {name: np.concatenate([values] * 3) for name, values in HISTORY.items()}
    whole = selection.select(history)
    for values in history.values():
        values[2:, 1] = np.nan
    for name, (accuracy, epoch) in selection.select(history).items():
        assert np.isnan(accuracy[1]) and epoch[1] == 0
        assert accuracy[0] == whole[name].accuracy[0] and epoch[0] == whole[name].epoch[0]


def test_no_selection_beats_the_oracle():
    rng = np.random.default_rng(0)
    history = {name: rng.uniform(0, 100, (30, 50)).astype(np.float32) for name in HISTORY}
    chosen = selection.select(history)
    assert all((x.accuracy <= chosen["oracle_test"].accuracy).all() for x in chosen.values())


@pytest.mark.parametrize("labels", ["clean", "noisy"])
def test_headline_is_chosen_by_the_validation_labels(labels):
    assert selection.headline(labels) == selection.SELECTIONS[f"best_{labels}_valid"]
    assert labels in selection.headline(labels).words


def test_headline_without_validation_is_the_last_epoch():
    assert selection.headline(None) == selection.SELECTIONS["last"]
