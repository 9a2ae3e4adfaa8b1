"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the package."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

from places import ROOT

RECIPES = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(section: str) -> list[str]:
    """The Python of a section, block by block."""
    (text,) = re.findall(rf"^## {section}$(.*?)(?=^## |\\Z)", RECIPES, re.M | re.S)
    return re.findall(r"^```python\n(.*?)```$", text, re.M | re.S)


def edit(path: pathlib.Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, lambda _: replacement, path.read_text(encoding="utf-8"))
    assert count == 1, f"{path.name}: {pattern}"
    path.write_text(text, encoding="utf-8")


def test_noise_model_and_net_of_ones_own_take_what_contributing_says(tmp_path):
    package = shutil.copytree(ROOT / "jaxnoise", tmp_path / "jaxnoise")
    shutil.copy(ROOT / "main.py", tmp_path)

    function, model = blocks("A noise model")
    with open(package / "labels" / "by_class.py", "a", encoding="utf-8") as file:
        file.write("\n\n" + function)
    start = "MODELS: dict[str, Callable[[Config], Model]] = {\n"
    edit(package / "labels" / "noise.py", re.escape(start), start + model)
    last = '            "human_noise",\n        ),\n'
    edit(package / "config" / "data.py", re.escape(last), '            "first_noise",\n' + last)

    net, line = blocks("A net")
    start = "class WRN28x10("
    edit(package / "nets.py", re.escape(start), f"{net}\n\n{start}")
    start = "NETWORKS: dict[str, Network] = {\n"
    edit(package / "config" / "networks.py", re.escape(start), start + line)

    (command,) = re.findall(r"^```bash\npython (main\.py .*tiny_resnet.*)\n```$", RECIPES, re.M)
    settings = (
        f"{command} --train_size=300 --noise_type=first_noise --noise_rate=0.5 --jacob_samples=1"
    )
    subprocess.run(
        [sys.executable, *settings.split(), "--results_dir=results"],
        cwd=tmp_path,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        check=True,
    )
    (folder,) = (tmp_path / "results").glob("digits/first_noise_0.5/tiny_resnet_sn-*")
    assert json.loads((folder / "config.json").read_text())["flags"]["net"] == "tiny_resnet"
    (draw,) = json.loads((folder / "noise.json").read_text())["draws"]
    for label, row in enumerate(draw["transition_matrix"]["realized"]):
        assert all(share == 0 for other, share in enumerate(row) if other not in (0, label))
    assert draw["changed"] > 0
