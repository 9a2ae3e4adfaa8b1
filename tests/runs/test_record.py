"""What is read back of a run: settings with which its labels can be made again."""

import numpy as np
import pytest

from jaxnoise import data
from jaxnoise.config import Config
from jaxnoise.experiments import experiment
from jaxnoise.labels import noisy_dataset
from jaxnoise.runs import folders
from jaxnoise.runs.record import read_record


@pytest.mark.usefixtures("standard_dtype_promotion")
def test_labels_that_were_trusted_are_trusted_again(tmp_path):
    labels = np.random.default_rng(0).permutation(data.load("digits").train_labels)
    np.save(tmp_path / "labels.npy", labels)
    config = Config(
        dataset="digits", train_size=200, test_size=40, epochs_num=1, total_repeats=1,
        jacob_samples=1, noise_file=str(tmp_path / "labels.npy"), trust_noise_file=True,
        results_dir=str(tmp_path / "results"), resume=False,
    )  # fmt: skip
    experiment.run(config)
    recorded = read_record(folders.run_folder(config)).config
    assert recorded.trust_noise_file and recorded.resume  # which changes nothing, and is not kept
    again = noisy_dataset.load(recorded)
    np.testing.assert_array_equal(again.noisy_labels[0].noisy, labels[again.train_index])
