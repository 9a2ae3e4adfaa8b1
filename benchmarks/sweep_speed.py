"""A sweep compared with the same runs by main.py, one after the other: time and scores.

    python benchmarks/sweep_speed.py --out=DIR [flags that all runs share]

There are 40 runs of two programs, with five repeats each unless a flag sets another number. DIR
keeps the results of both.
"""

import argparse
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GRID = {
    "noise_type": ("uniform_noise", "flip_noise"),
    "noise_rate": ("0", "0.1", "0.2", "0.3", "0.4"),
    "wd_coef": ("0", "1e-4"),
    "do_sn": ("false", "true"),
}


def timed(*command: str) -> float:
    started = time.time()
    subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.time() - started


def accuracies(folder: Path) -> dict[str, list[float]]:
    """All test accuracies, by run."""
    return {
        path.parent.name: json.loads(path.read_text())["selection"]
        for path in sorted(folder.glob("*/*/*/scores.json"))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    arguments, shared = parser.parse_known_args()
    out = arguments.out.resolve()
    lists = [f"--{flag}={','.join(values)}" for flag, values in GRID.items()]
    sweep = timed("-m", "jaxnoise.sweep", *shared, *lists, f"--results_dir={out / 'sweep'}")
    print(f"sweep, 40 runs: {sweep:.0f} s", flush=True)
    singly = []
    for values in itertools.product(*GRID.values()):
        flags = [f"--{flag}={value}" for flag, value in zip(GRID, values, strict=True)]
        singly.append(timed("main.py", *shared, *flags, f"--results_dir={out / 'main'}"))
    print(f"main.py, 40 times: {sum(singly):.0f} s, {min(singly):.1f} to {max(singly):.1f} s each")
    print(f"ratio {sweep / sum(singly):.3f}")
    one, other = accuracies(out / "sweep"), accuracies(out / "main")
    equal = sum(one[name] == other[name] for name in other)
    print(f"{equal} of {len(other)} runs have the same accuracies to the last digit")


if __name__ == "__main__":
    main()
