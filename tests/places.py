"""Where things are that tests need besides the package."""

import pathlib

ROOT = pathlib.Path(__file__).parents[1]
MAIN = ROOT / "main.py"
# True pictures, on machines that have some; not part of the repository.
REAL = ROOT.parent / "shared" / "tfds"
