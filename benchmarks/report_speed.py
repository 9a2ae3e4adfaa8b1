"""A report over many runs: CPU time, time and the size of the page, in turn with other checkouts.

    python benchmarks/report_speed.py [--runs=400] [--rounds=3] [--against=CHECKOUT] [--keep=DIR]

One small run is trained, and copied under other settings: with curves, scores and configuration of
its own, as far as a report reads them. Every report is a process of its own. DIR keeps the runs,
and the report of each checkout; a later start with the same DIR trains and copies nothing.
"""

import argparse
import dataclasses
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # runs from a checkout, not installed

from jaxnoise.config import Config  # noqa: E402
from jaxnoise.runs import documents, folders  # noqa: E402
from jaxnoise.runs.files import read_arrays, read_json  # noqa: E402
from jaxnoise.runs.history import write_history  # noqa: E402

TRAINED = ("--dataset=digits", "--train_size=300", "--epochs_num=5", "--total_repeats=2")
# Ten columns of a table; its rows, weight decays with and without spectral normalization, follow
# from the number of runs.
NOISE = {
    "noise_type": ("uniform_noise", "flip_noise"),
    "noise_rate": (0.0, 0.1, 0.2, 0.3, 0.4),
}
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, see getrusage(2)


def make_runs(results: Path, count: int) -> None:
    """Writes finished runs: the trained one's documents with other settings and other numbers."""
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "main.py", *TRAINED, f"--results_dir={temporary}"]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        (scores,) = Path(temporary).glob("*/*/*/scores.json")
        facts, report = read_json(scores.with_name("config.json")), read_json(scores)
        history = read_arrays(scores.with_name("history.npz"))
    flags = facts.pop("flags")
    facts.pop("hyperparameters")
    trained = Config(**flags | {"results_dir": str(results)})
    rng = np.random.default_rng(0)
    rows = itertools.product(range(-(-count // 20)), (False, True))
    cells = itertools.product(rows, itertools.product(*NOISE.values()))
    for (coefficient, do_sn), noise in itertools.islice(cells, count):
        config = dataclasses.replace(
            trained, **dict(zip(NOISE, noise, strict=True)), do_sn=do_sn,
            wd_coef=round(1e-4 * coefficient, 6),
        )  # fmt: skip
        folder = folders.run_folder(config)
        folder.mkdir(parents=True)
        documents.write_config(folder, config, facts)
        moved = {name: np.float32(x + rng.normal(size=x.shape)) for name, x in history.items()}
        write_history(folder, moved)
        for selected in report["selection"].values():
            selected["accuracy"] = [float(x) for x in rng.normal(80, 2, config.total_repeats)]
        (folder / "scores.json").write_text(json.dumps(report, indent=2))


def measure(checkout: Path, results: Path, out: Path) -> dict[str, float]:
    """One report in a process of its own."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "jaxnoise.report", str(results), f"--out={out}"]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=checkout, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the report of {checkout} failed")
    return {
        "CPU (s)": used.ru_utime + used.ru_stime,
        "time (s)": time.perf_counter() - started,
        "peak memory (MiB)": used.ru_maxrss * MAXRSS_UNIT / 2**20,
        "page (MB)": (out / "report.html").stat().st_size / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout, measured in turn")
    parser.add_argument("--keep", type=Path, help="where runs and reports are kept")
    arguments = parser.parse_args()
    checkouts = {"this": ROOT, "other": arguments.against}
    checkouts = {name: path.resolve() for name, path in checkouts.items() if path}
    with tempfile.TemporaryDirectory() as temporary:
        keep = (arguments.keep or Path(temporary)).resolve()
        results = keep / f"runs_{arguments.runs}"
        if not results.exists():
            make_runs(results, arguments.runs)
        measured: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
        for _ in range(arguments.rounds):
            for name, path in checkouts.items():
                measured[name].append(measure(path, results, keep / f"report_{name}"))
                print(name, measured[name][-1], file=sys.stderr, flush=True)
    rows = []
    for name, found in measured.items():
        for quantity in found[0]:
            values = [each[quantity] for each in found]
            rows.append([name, quantity, statistics.median(values), min(values), max(values)])
    header = ["checkout", f"{arguments.runs} runs", "median", "min", "max"]
    print(tabulate(rows, header, floatfmt=".2f"))


if __name__ == "__main__":
    main()
