"""Training speed of jaxnoise compared with PyTorch eager, on the same machine at the same time.

    python benchmarks/throughput.py --nets=lenet,allcnn --rounds=3

The unit is the seed-step: one optimizer step of one repeat, batch 32 or for resnet18 128. The sides
alternate in every round, each in processes of its own, so that neither a slow minute of the machine
nor the thread pool of another side decides the result. PyTorch runs as one process with all cores
and as one process per core with one thread each (their sum); the ratio is to the faster of the two.
Everything runs on the CPU.
"""

import argparse
import contextlib
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from tabulate import tabulate

HERE = Path(__file__).resolve().parent
BATCH = {"lenet": 32, "allcnn": 32, "resnet18": 128}
MEMBERS = {"lenet": 5, "allcnn": 2, "resnet18": 2}
# (output pixels, fan-in, output channels) of each convolution and dense layer, ten classes.
LAYERS = {
    "lenet": [(24**2, 25, 6), (8**2, 25 * 6, 16), (1, 256, 120), (1, 120, 84), (1, 84, 10)],
    "allcnn": [
        (32**2, 9 * 3, 96), (32**2, 9 * 96, 96), (32**2, 9 * 96, 96),
        (16**2, 9 * 96, 192), (16**2, 9 * 192, 192), (16**2, 9 * 192, 192),
        (8**2, 9 * 192, 192), (8**2, 9 * 192, 192), (8**2, 192, 10),
    ],
    "resnet18": [
        (32**2, 9 * 3, 64), *[(32**2, 9 * 64, 64)] * 4,
        (16**2, 9 * 64, 128), (16**2, 64, 128), *[(16**2, 9 * 128, 128)] * 3,
        (8**2, 9 * 128, 256), (8**2, 128, 256), *[(8**2, 9 * 256, 256)] * 3,
        (4**2, 9 * 256, 512), (4**2, 256, 512), *[(4**2, 9 * 512, 512)] * 3, (1, 512, 10),
    ],
}  # fmt: skip


def flop_per_seed_step(net: str) -> float:
    """Matrix-product FLOP of one seed-step: forward, weight gradient, and input gradient.

    The first layer needs no gradient with respect to the pictures. Batch norm, pooling and the
    optimizer are not counted, as is usual, so the share of the peak shows how well the products
    run.
    """
    first, *rest = (pixels * fan_in * width for pixels, fan_in, width in LAYERS[net])
    return 2.0 * BATCH[net] * (2 * first + 3 * sum(rest))


def run_together(script: str, arguments: list[str], processes: int = 1, wait: bool = False):
    """Runs copies of a script at the same time and returns their JSON lines.

    With `wait` they start together, when all are warm. Every copy then runs for its full time, so
    the sum of their rates is the total over the common window. They stop up to a step apart; what
    the last one gains by running alone counts for PyTorch.
    """
    command = [sys.executable, str(HERE / script), *arguments, *(["--wait"] if wait else [])]
    pipe, env = subprocess.PIPE, os.environ | {"JAX_PLATFORMS": "cpu"}
    with contextlib.ExitStack() as stack:
        children = []
        for _ in range(processes):
            child = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)
            children.append(stack.enter_context(child))
            stack.callback(child.kill)
        if wait and any(child.stdout.readline().strip() != "ready" for child in children):
            raise SystemExit(f"failed before its first step: {' '.join(command)}")
        for child in children if wait else []:
            child.stdin.write("go\n")
            child.stdin.flush()
        outputs = [child.communicate()[0] for child in children]
        if any(child.returncode for child in children):
            raise SystemExit(f"failed: {' '.join(command)}")
    return [json.loads(output.strip().splitlines()[-1]) for output in outputs]


def sides(net: str, args: argparse.Namespace) -> dict[str, dict]:
    """Label → arguments of run_together, in the order in which the sides run in a round."""
    members, cores = args.members or MEMBERS[net], core_count()
    common = [f"--net={net}", f"--seconds={args.seconds}"]
    rows = {
        f"jaxnoise, {members} members": {
            "script": "jax_members.py", "arguments": [*common, f"--members={members}"],
        }
    }  # fmt: skip
    variants = {"eager": []} | ({"compile": ["--compile"]} if args.compile else {})
    for variant, extra in {} if args.no_torch else variants.items():
        for processes, threads in sorted({(1, cores), (cores, 1)}):
            rows[f"PyTorch {variant} (processes {processes}, threads {threads})"] = {
                "script": "torch_baseline.py",
                "arguments": [*common, *extra, f"--threads={threads}"],
                "processes": processes,
                "wait": True,
            }
    return rows


def core_count() -> int:
    """Number of cores that this process may use, if the system reports it; else of all cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def machine(args: argparse.Namespace) -> dict:
    """Facts about machine and settings that a reader needs to judge the numbers."""
    model = platform.processor()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line for line in lines if line.startswith("model name")).split(": ")[1]
    packages = ["jax", "jaxlib", "flax", "numpy"] + ([] if args.no_torch else ["torch"])
    return {
        "date": datetime.date.today().isoformat(), "cpu": model, "cores": core_count(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
        "rounds": args.rounds, "seconds": args.seconds,
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }  # fmt: skip


def summarize(net: str, rates: dict[str, list[float]], peak: float) -> list[dict]:
    """One row per side: medians, spread, ratio to the best PyTorch total, share of the peak."""
    torch_sides = [side for side in rates if side.startswith("PyTorch")]
    best = max(torch_sides, key=lambda side: statistics.median(rates[side]), default=None)
    rows = []
    for side, runs in rates.items():
        median = statistics.median(runs)
        # Of the same round, so that a drift of the whole machine cancels.
        ratios = [run / other for run, other in zip(runs, rates[best], strict=True)] if best else []
        rows.append({
            "net": net, "side": side, "seed_steps_per_second": median, "runs": runs,
            "min": min(runs), "max": max(runs), "ms_per_seed_step": 1e3 / median,
            "ratio": statistics.median(ratios) if ratios else None, "ratios": ratios,
            "share_of_peak": median * flop_per_seed_step(net) * 1e-9 / peak,
        })  # fmt: skip
    return rows


def table(rows: list[dict]) -> str:
    header = ["net", "side", "seed-steps/s", "min–max", "ms", "× best PyTorch", "of peak"]
    cells = [
        [
            row["net"], row["side"], f"{row['seed_steps_per_second']:.3g}",
            f"{row['min']:.3g}–{row['max']:.3g}", f"{row['ms_per_seed_step']:.3g}",
            f"{row['ratio']:.2f} ({min(row['ratios']):.2f}–{max(row['ratios']):.2f})"
            if row["ratios"] else "",
            f"{row['share_of_peak']:.1%}",
        ]
        for row in rows
    ]  # fmt: skip
    return tabulate(cells, header, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", default="lenet,allcnn")
    parser.add_argument("--members", type=int, help="default: lenet 5, others 2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="duration of each measurement")
    parser.add_argument("--compile", action="store_true", help="add torch.compile (needs g++)")
    parser.add_argument("--no_torch", action="store_true", help="measure jaxnoise only")
    parser.add_argument("--json", type=Path, help="write all measurements to this file")
    args = parser.parse_args()
    nets = args.nets.split(",")
    if unknown := set(nets) - set(LAYERS):
        parser.error(f"--nets={args.nets}: unknown {sorted(unknown)}; allowed are {sorted(LAYERS)}")
    if not args.no_torch and importlib.util.find_spec("torch") is None:
        sys.exit("PyTorch is missing: pip install torch==2.13.0 (or --no_torch for jaxnoise only)")

    about = machine(args)
    rates: dict[str, dict[str, list[float]]] = {net: {} for net in nets}
    peaks: dict[str, float] = {}
    for round_ in range(args.rounds):
        for library in ("jax", "numpy") if args.no_torch else ("jax", "numpy", "torch"):
            result = run_together("matmul_peak.py", [f"--library={library}"])[0]
            peaks[library] = max(result["gflops"], peaks.get(library, 0))
        for net in nets:
            for side, how in sides(net, args).items():
                rate = sum(result["steps_per_second"] for result in run_together(**how))
                rates[net].setdefault(side, []).append(rate)
                print(f"round {round_ + 1}, {net}, {side}: {rate:.4g}/s", file=sys.stderr)

    peak = max(peaks.values())
    rows = [row for net in nets for row in summarize(net, rates[net], peak)]
    print(table(rows))
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    reached = ", ".join(f"{library} {value:.0f}" for library, value in peaks.items())
    print(f"peak {peak:.0f} GFLOP/s: float32 product 2048³, best of {reached}")
    for net in nets:
        print(f"{net}: {flop_per_seed_step(net) * 1e-9:.3g} GFLOP per seed-step")
    if args.json:
        document = {"machine": about, "peaks_gflops": peaks, "rows": rows}
        args.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
