"""Which epoch each of the four test accuracies is taken at."""

import numpy as np
import pytest

from jaxnoise.scores import selection

# (epochs, repeats); the first repeat has equals, of which the earlier counts.
HISTORY = {
    "test_accuracy": np.float32([[50, 10], [70, 20], [90, 80], [60, 40]]),
    "valid_accuracy": np.float32([[60, 10], [60, 90], [50, 20], [40, 30]]),
    "valid_noisy_accuracy": np.float32([[10, 40], [20, 30], [10, 20], [20, 10]]),
}


def test_each_is_taken_at_its_own_epoch():
    assert {
        name: (accuracy.tolist(), epoch.tolist())
        for name, (accuracy, epoch) in selection.select(HISTORY).items()
    } == {
        "last": ([60, 40], [4, 4]),
        "best_noisy_valid": ([70, 10], [2, 1]),
        "best_clean_valid": ([50, 20], [1, 2]),
        "oracle_test": ([90, 80], [3, 3]),
    }


def test_a_repeat_that_diverged_has_none():
    history = {name: values.copy() for name, values in HISTORY.items()}
    for values in history.values():
        values[2:, 1] = np.nan
    for name, (accuracy, epoch) in selection.select(history).items():
        assert np.isnan(accuracy[1]) and epoch[1] == 0
        expected = selection.select(HISTORY)[name]
        assert accuracy[0] == expected.accuracy[0] and epoch[0] == expected.epoch[0]


def test_no_selection_beats_the_oracle():
    rng = np.random.default_rng(0)
    history = {name: rng.uniform(0, 100, (30, 50)).astype(np.float32) for name in HISTORY}
    chosen = selection.select(history)
    assert all((x.accuracy <= chosen["oracle_test"].accuracy).all() for x in chosen.values())


@pytest.mark.parametrize("labels", ["clean", "noisy"])
def test_headline_is_chosen_by_the_validation_labels(labels):
    assert selection.headline(labels) == selection.SELECTIONS[f"best_{labels}_valid"]
    assert labels in selection.headline(labels).words
