"""What benchmarks/on_gpu.sh left in a folder, as one file: its measured.json.

    python benchmarks/gathered.py FOLDER

on_gpu.sh calls it at its end. It prints a line for each run.
"""

import datetime
import json
import re
import sys
from pathlib import Path
from typing import Any


def run(folder: Path) -> dict[str, Any]:
    """Times and accuracies of a run, which may have been stopped early.

    Returns:
      `epochs`, how many there are; `first_epoch_s`, from the start of training to the end of the
      first, compiling included; `epoch_s`, the mean of the others; and of a finished run
      `wall_s`, all that the command took, with means and standard deviations of `scores`.
    """
    config = json.loads((folder / "config.json").read_text())
    log = (folder / "log.txt").read_text()
    ends = [_time(line) for line in re.findall(r"^(.{19})  epoch ", log, re.M)]
    (begun,) = (_time(line) for line in re.findall(r"^(.{19})  Training ", log, re.M))
    found: dict[str, Any] = {
        "command": config["command"],
        "device": config["device"],
        "versions": config["versions"],
        "epochs": len(ends),
    }
    if ends:
        found["first_epoch_s"] = (ends[0] - begun).total_seconds()
    if len(ends) > 1:
        found["epoch_s"] = (ends[-1] - ends[0]).total_seconds() / (len(ends) - 1)
    if (folder / "scores.json").exists():
        scores = json.loads((folder / "scores.json").read_text())
        found |= {"wall_s": config["wall_seconds"], "mean": scores["mean"], "std": scores["std"]}
    return found


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S")


def main() -> None:
    folder = Path(sys.argv[1])
    document: dict[str, Any] = {"runs": {}, "throughput": None}
    for config in sorted(folder.glob("*/*/*/*/config.json")):
        document["runs"][config.relative_to(folder).parts[0]] = run(config.parent)
    if (folder / "throughput.json").exists():
        document["throughput"] = json.loads((folder / "throughput.json").read_text())
    (folder / "measured.json").write_text(json.dumps(document, indent=1) + "\n")
    for name, found in document["runs"].items():
        times = (
            f"{key} {found[key]:.1f}"
            for key in ("first_epoch_s", "epoch_s", "wall_s")
            if key in found
        )
        print(f"{name}: {found['epochs']} epochs", *times, sep=", ")
    print(f"Written: {folder / 'measured.json'}")


if __name__ == "__main__":
    main()
