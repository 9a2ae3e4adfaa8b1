"""Every loss and method under one noise, side by side, as in README's table of methods.

    python benchmarks/method_table.py --dataset=digits --noise_type=flip_noise --noise_rate=0.4

All flags go to main.py, once for each line of SETTINGS; then `jaxnoise.compare` compares the runs
with the first. Runs that are finished are not made again, an interrupted one goes on.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = [
    "",
    "--wd_coef=1e-4 --do_sn",
    "--jacob_coef=1e-3",
    "--entropy_coef=1",
    "--loss=mae",
    "--loss=gce",
    "--loss=sce",
    "--loss=nce_rce",
    "--loss=bi_tempered",
    "--loss=label_smoothing",
    "--loss=forward",
    "--loss=forward --forward_matrix=estimated",
    "--method=mixup",
    "--method=elr",
    "--method=sam",
    "--method=early_stopping --validation_labels=noisy",
]


def main() -> None:
    folders, started = [], time.time()
    for setting in SETTINGS:
        command = [sys.executable, "main.py", *sys.argv[1:], *setting.split()]
        print("$", *command[1:], flush=True)
        run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        folders.append(re.findall(r"(?:Results|Already done .*?): (.*)", run.stdout)[-1])
        print("  in", folders[-1], flush=True)
    print(f"All runs took {time.time() - started:.0f} s")
    subprocess.run([sys.executable, "-m", "jaxnoise.compare", *folders], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
