"""Throughput and memory as functions of the number of members.

    python benchmarks/scaling.py --net=lenet --members=1,2,4,8,16,32,64,128,256

runs benchmarks/jax_members.py for each number in every round, on the device that JAX finds.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from tabulate import tabulate

SCRIPT = Path(__file__).resolve().parent / "jax_members.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", default="1,2,4,8,16,32,64,128,256")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all measurements to this file")
    args, others = parser.parse_known_args()  # jax_members.py checks the others
    numbers = [int(number) for number in args.members.split(",")]
    runs = {number: [] for number in numbers}
    for _ in range(args.rounds):
        for number in numbers:
            command = [sys.executable, str(SCRIPT), f"--members={number}", *others]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            runs[number].append(json.loads(done.stdout.splitlines()[-1]))
    rows = [
        [number, *(statistics.median(run[name] for run in of_number) for name in COLUMNS)]
        for number, of_number in runs.items()
    ]
    print(tabulate(rows, ["members", *COLUMNS.values()], tablefmt="github", floatfmt=".3g"))
    if args.json:
        args.json.write_text(json.dumps(runs, indent=1) + "\n")


COLUMNS = {
    "steps_per_second": "seed-steps/s",
    "ms_per_step": "ms per seed-step",
    "compile_seconds": "first epoch, including compilation (s)",
    "peak_memory_mib": "peak memory (MiB)",
}


if __name__ == "__main__":
    main()
