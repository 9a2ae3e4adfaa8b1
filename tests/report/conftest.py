"""Finished runs to report on, and a browser to look at their page."""

import logging
import shutil

import numpy as np
import pytest

from jaxnoise.config import Config
from jaxnoise.runs import documents, folders
from jaxnoise.runs.history import write_history
from jaxnoise.scores import scoring, selection

EPOCHS = 4


@pytest.fixture
def make(tmp_path):
    """Writes a finished run as an experiment does, as far as a report reads it."""

    def make(accuracy, facts=None, labels="0" * 16, detection=None, **settings):
        config = Config(
            **{"dataset": "digits", "total_repeats": len(accuracy)} | settings,
            results_dir=str(tmp_path),
        )
        folder = folders.run_folder(config)
        folder.mkdir(parents=True)
        documents.write_config(folder, config, {"data_sha256": "same"} | (facts or {}))
        accuracy = np.float32(accuracy)
        ema = config.ema_decay is not None
        there = selection.existing(
            validated=config.best_by is not None, epochs=config.epochs_num, ema=ema
        )
        selected = {
            name: selection.Selected(accuracy - i, np.ones(len(accuracy), int))
            if name in there
            else None
            for i, name in enumerate(selection.named(ema=ema))
        }
        diverged = np.isnan(accuracy).astype(int)
        scores = {name: np.zeros(len(accuracy)) for name in scoring.SCORES}
        draw = {"seed": 0, "picked": 40, "changed": 36, "true_rate": 0.36, "sha256": labels}
        noise = {"noise": config.noise, "true_rate": 0.3, "draws": [draw]}
        if detection is not None:
            detection = dict.fromkeys(scoring.DETECTION, np.zeros(len(accuracy))) | {
                name: np.array(values) for name, values in detection.items()
            }
        documents.write_scores(
            folder, scoring.Report(scores, selected, diverged, noise, config.best_by, detection)
        )
        splits = ["train_noisy", "train", *["valid"] * (config.best_by is not None), "test"]
        names = [f"{split}_accuracy" for split in splits]
        names += ["unchanged_right", "changed_as_true", "changed_as_noisy", "changed_as_neither"]
        names += ["step_loss", "test_loss"]
        ramp = np.linspace(20, 60, EPOCHS)[:, None] + np.zeros(len(accuracy))
        ramp[:, diverged > 0] = np.nan
        write_history(folder, dict.fromkeys(names, np.float32(ramp)))
        return folder

    return make


@pytest.fixture
def browser():
    """Chromium without a window."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no browser here (Debian's packages chromium and chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for argument in (
        "headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-sync",
        "disable-background-networking", "disable-component-update",
        # With it, some versions of the driver wait for ever for a page.
        "disable-features=BackForwardCache",
    ):  # fmt: skip
        options.add_argument(f"--{argument}")
    service = webdriver.ChromeService(driver)
    running = webdriver.Chrome(options=options, service=service)
    yield running
    running.quit()
    logging.getLogger("selenium").handlers.clear()
