"""What README and docs/ promise: flag table, published examples, snippets, links."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import synthetic
from places import ROOT

from jaxnoise.config import FIELDS, Config, flag_type, help
from jaxnoise.experiments import experiment
from jaxnoise.runs import folders

pytestmark = pytest.mark.usefixtures("standard_dtype_promotion")

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
EXAMPLES = re.findall(r"^python main.py (--noise_rate .*)$", README, re.M)


def parsed(flags: str) -> dict:
    """`--name value`, `--name=value` and `--switch` to fields of Config."""
    kinds = {field.name: flag_type(field) for field in dataclasses.fields(Config)}
    words, settings = shlex.split(flags.replace("=", " ")), {}
    while words:
        name = words.pop(0).removeprefix("--")
        settings[name] = True if kinds[name] is bool else kinds[name](words.pop(0))
    return settings


def anchors(page: pathlib.Path) -> set[str]:
    """Those of a page's headings, as on GitHub."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    if page == ROOT / "docs" / "README.md":  # the index
        there = {other.name for other in page.parent.glob("*.md")} - {page.name}
        assert there <= {link.split("#")[0] for link in links}
    for link in links:
        if not link.startswith("http"):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("flags", EXAMPLES)
def test_published_example_runs(flags, tmp_path, monkeypatch):
    """With its own flags, on a small data set in the archives' true format, for one epoch.

    Of those that train AllCNN, one does here: the tests' unoptimized code takes long for it.
    """
    settings = parsed(flags)
    if settings["dataset"] != "mnist" and "entropy_coef" not in settings:
        settings["net"] = "lenet"
    # A hundred classes of two samples each; half of them are trained on, in one step.
    train = 200 if settings["dataset"] == "cifar100" else 60
    monkeypatch.setattr(synthetic, "SIZES", {"train": train, "test": 20})
    if settings["dataset"] == "mnist":
        synthetic.write_mnist(tmp_path / "raw")
    else:
        synthetic.write_cifar(tmp_path / "raw", settings["dataset"])
    config = Config(
        **settings
        | dict(epochs_num=1, jacob_start_epoch=0, total_repeats=1, jacob_samples=1)
        | dict(validation_ratio=0.5, batch_size=train // 2),
        **{f"{name}_dir": str(tmp_path / name) for name in ("results", "data", "cache")},
        manual_dir=str(tmp_path / "raw"),
    )
    scores = experiment.run(config)
    # Among so few samples a class flip noise may change no label, so none need be detected.
    found = [value for name, value in scores["mean"].items() if not name.startswith("noise_")]
    assert np.isfinite(found).all()
    metrics = folders.run_folder(config) / "metrics.jsonl"
    assert ('"step_jacobian": [0.0]' in metrics.read_text()) == ("jacob_coef" not in settings)


def test_pages_are_made_from_the_docstrings_and_flags():
    spec = importlib.util.spec_from_file_location("make_api", ROOT / "docs" / "make_api.py")
    make_api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_api)
    for name, text in (
        ("api", make_api.text()),
        ("flags", help.markdown(FIELDS)),
        ("recipes", make_api.recipes_page()),
    ):
        page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        assert page == text, f"docs/{name}.md: python docs/make_api.py writes it anew"


def test_there_are_four_published_examples():
    assert len(EXAMPLES) == 4


def test_checkpoint_snippet_reproduces_the_score(tmp_path, capsys):
    config = Config(
        dataset="digits", do_sn=True, epochs_num=1, total_repeats=2, train_size=300,
        jacob_samples=1, results_dir=str(tmp_path),
    )  # fmt: skip
    scores = experiment.run(config)
    (snippet,) = re.findall(r"^```python\n(import jax, orbax.*?)```$", README, re.M | re.S)
    exec(snippet.replace("RUN_FOLDER", str(folders.run_folder(config))), {})
    printed = float(capsys.readouterr().out.split("test accuracy")[-1])
    assert printed == pytest.approx(scores["repeats"][0]["test_accuracy"], abs=1e-3)


def test_loss_of_ones_own_takes_a_function_and_a_line(tmp_path):
    shutil.copytree(ROOT / "jaxnoise", tmp_path / "jaxnoise")
    shutil.copy(ROOT / "main.py", tmp_path)
    (function,) = re.findall(r"^```python\n(def .*?)```$", README, re.M | re.S)
    (line,) = re.findall(r"^```python\n( +\".*?)```$", README, re.M | re.S)
    with open(tmp_path / "jaxnoise" / "methods" / "robust_losses.py", "a") as file:
        file.write(function)
    table = tmp_path / "jaxnoise" / "config" / "methods.py"
    start = "LOSSES: dict[str, Defaults] = {\n"
    before, after = table.read_text().split(start)
    table.write_text(before + start + line + after)
    name = re.match(r"def (\w+)", function)[1]
    settings = (
        "--dataset=digits --train_size=300 --epochs_num=1 --total_repeats=1 --jacob_samples=1"
    )
    subprocess.run(
        [sys.executable, "main.py", *settings.split(), f"--loss={name}", "--results_dir=results"],
        cwd=tmp_path,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        check=True,
    )
    (folder,) = (tmp_path / "results").glob(f"digits/*/{name}-*")
    (epoch,) = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    assert 0 < epoch["step_label_loss"][0] < epoch["step_cross_entropy"][0]
