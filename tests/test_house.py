"""The house: what stands at the top, and that wings are entered by their doors.

The order of the wings is import-linter's: see pyproject.toml and .ci/run.
"""

import ast
import importlib
import json
import pathlib
import re
import subprocess
import sys

import pytest
from places import ROOT

PACKAGE = ROOT / "jaxnoise"
WINGS = {
    "config", "datasets", "experiments", "figures", "labels", "layers", "methods", "noise_files",
    "report", "runs", "scores", "spectrum", "sweep", "terminal", "training", "verify",
}  # fmt: skip
READ_FIRST = {"data.py", "losses.py", "nets.py", "train_step.py"}
# python -m jaxnoise.NAME; the others are wings with a __main__.py.
COMMANDS = {
    "compare.py", "export.py", "frequency_response.py", "noise.py", "reproduce.py",
    "tune.py", "wave_response.py",
}  # fmt: skip

OUTSIDE = [
    path for of in ("*.py", "benchmarks/*.py", "notebooks/*.ipynb") for path in ROOT.glob(of)
]


def entries(folder: pathlib.Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "__pycache__"}


def test_nothing_stands_at_the_top_that_is_not_meant_to():
    assert entries(PACKAGE) == WINGS | READ_FIRST | COMMANDS | {
        "__init__.py", "__main__.py", "activity.py", "extending.py", "py.typed",
    }  # fmt: skip
    helpers = {
        "bright_rows.py", "main_program.py", "nonsense_files.py", "own_pictures.py", "places.py",
        "run_folders.py", "synthetic.py",
    }  # fmt: skip
    assert entries(ROOT / "tests") == {
        *WINGS, *(f"test_{name}" for name in READ_FIRST), *helpers,
        "benchmarks", "conftest.py", "docs", "slurm_single_node.sh", "test_house.py",
    }  # fmt: skip


@pytest.mark.parametrize("wing", sorted(WINGS))
def test_a_wing_is_about_a_dozen_modules_and_says_what_it_does(wing):
    modules = {path.stem for path in (PACKAGE / wing).glob("*.py")} - {"__init__", "__main__"}
    assert len(modules) <= 13
    assert not modules & {"utils", "util", "common", "base", "misc", "core", "helpers", wing}
    assert not [name for name in modules if name.startswith(f"{wing.removesuffix('s')}_")]
    package = importlib.import_module(f"jaxnoise.{wing}")
    assert "\n\nMay import: " in package.__doc__
    assert all(name in modules or hasattr(package, name) for name in package.__all__)


def source(path: pathlib.Path) -> str:
    """Of a module, or of the cells of a notebook but for what a shell or IPython runs."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = [cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return re.sub(r"^[!%](.*\\\n)*.*$", "", "\n".join(map("".join, cells)), flags=re.M)


def imports(path: pathlib.Path) -> list[tuple[str, str]]:
    """Wings, and what is imported from them: a module, or a name of the wing itself."""
    found = []
    for node in ast.walk(ast.parse(source(path))):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("jaxnoise.") for alias in node.names), path
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxnoise."):
            _, wing, *module = node.module.split(".")
            found += [(wing, name) for name in module or [alias.name for alias in node.names]]
    return [(wing, name) for wing, name in found if wing in WINGS]


@pytest.mark.parametrize(
    "path", [*sorted(PACKAGE.glob("**/*.py")), *OUTSIDE], ids=lambda path: path.name
)
def test_others_import_only_what_a_wing_offers(path):
    for wing, name in imports(path):
        if path.parent.name != wing:
            offered = importlib.import_module(f"jaxnoise.{wing}").__all__
            assert name in offered, f"{path} imports {wing}.{name}; offered are {offered}"


@pytest.mark.parametrize("wing", sorted(WINGS))
def test_a_wing_offers_only_what_others_import(wing):
    used = {
        name
        for path in (*PACKAGE.glob("**/*.py"), *OUTSIDE)
        if path.parent.name != wing
        for of, name in imports(path)
        if of == wing
    }
    assert set(importlib.import_module(f"jaxnoise.{wing}").__all__) <= used


def test_colours_stand_in_one_place():
    for path in PACKAGE.glob("**/*.py"):
        if path.name != "colours.py":
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"[\"']#[0-9a-fA-F]{6}|color=\"", text), path


def test_python_m_jaxnoise_lists_every_command():
    done = subprocess.run(
        [sys.executable, "-m", "jaxnoise"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = {path.removesuffix(".py") for path in COMMANDS}
    names |= {path.parent.name for path in PACKAGE.glob("*/__main__.py")}
    assert set(re.findall(r"python -m jaxnoise\.(\w+)", done.stdout)) == names
    assert "jax" not in done.stderr
