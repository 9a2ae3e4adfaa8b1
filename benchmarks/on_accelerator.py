"""Training speed on the accelerator that JAX finds: one command, one table, one JSON file.

    python benchmarks/on_accelerator.py --json=FILE --seconds=540

first measures the peaks of the device, then trains random pictures with each net, number of
members, precision and Jacobian penalty, the most important rows first. It starts no row after
--seconds, so that a borrowed device can be given back in time. Each row compiles a program, which
takes 10 to 20 seconds.
"""

import argparse
import datetime
import functools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from accelerators import Row
from tabulate import tabulate
from throughput import flop_per_seed_step
from workload import Workload

STEPS = {"lenet": 200, "allcnn": 40, "resnet18": 20}  # of a timed epoch

ROWS = (
    *(Row("lenet", members, "float32") for members in (5, 64, 1, 256)),
    *(Row("allcnn", 5, precision) for precision in ("bf16", "tf32", "float32")),
    *(Row(net, 5, "bf16", "projection") for net in ("allcnn", "lenet")),
    Row("lenet", 5, "float32", "projection"),
    Row("lenet", 5, "float32", "exact"),
    Row("lenet", 5, "bf16"),
    Row("lenet", 64, "bf16"),
    Row("lenet", 64, "tf32"),
    *(Row("resnet18", members, "bf16") for members in (5, 1)),
    Row("allcnn", 1, "bf16"),
    Row("allcnn", 20, "bf16"),
)


def seconds_of(call: Callable[[], jax.Array], repeats: int = 10) -> float:
    """Seconds of a call, the best of three means, after a first call that compiles it."""
    call().block_until_ready()
    means = []
    for _ in range(3):
        started = time.perf_counter()
        for _ in range(repeats):
            result = call()
        result.block_until_ready()
        means.append((time.perf_counter() - started) / repeats)
    return min(means)


def peaks(size: int) -> dict[str, float]:
    """TFLOP/s of a product of two size×size matrices by precision, and TB/s of a copy."""
    reached = {}
    product = jax.jit(jnp.matmul, static_argnames="precision")
    names = {"bf16": "default", "tf32": "tensorfloat32", "float32": "highest"}
    for precision, name in names.items():
        dtype = jnp.bfloat16 if precision == "bf16" else jnp.float32
        a, b = (jax.random.normal(jax.random.key(i), (size, size), dtype) for i in range(2))
        seconds = seconds_of(functools.partial(product, a, b, precision=name))
        reached[precision] = 2 * size**3 / seconds * 1e-12
    vector = jnp.ones(4 * size * size, jnp.float32)
    add = jax.jit(lambda x: x + 1)
    reached["copy"] = 2 * vector.nbytes / seconds_of(lambda: add(vector)) * 1e-12
    return reached


def measure(row: Row, epochs: int = 2, rounds: int = 3) -> dict[str, float | list[float]]:
    workload = Workload(
        row.net, row.members, STEPS[row.net], jacob_mode=row.jacobian, precision=row.precision
    )
    rates = [workload.rate(epochs) for _ in range(rounds)]
    return {
        "seed_steps_per_second": statistics.median(rates),
        "runs": rates,
        "compile_seconds": workload.compile_seconds,
        # The trainer tells that of the program without the penalty.
        "memory_mib": None if row.jacobian else workload.memory / 2**20,
    }


def table(rows: list[dict], peak: dict[str, float]) -> str:
    cells = []
    for row in rows:
        rate = row["seed_steps_per_second"]
        tflops = rate * flop_per_seed_step(row["net"]) * 1e-12
        cells.append([
            row["net"], row["members"], row["precision"], row["jacobian"] or "",
            f"{rate:.4g}", f"{min(row['runs']):.4g}–{max(row['runs']):.4g}",
            f"{tflops / peak[row['precision']]:.1%}" if not row["jacobian"] else "",
            f"{row['compile_seconds']:.0f}",
            "" if row["memory_mib"] is None else f"{row['memory_mib']:.0f}",
        ])  # fmt: skip
    header = ["net", "members", "precision", "Jacobian", "seed-steps/s", "min–max", "of peak",
              "first epoch (s)", "memory (MiB)"]  # fmt: skip
    return tabulate(cells, header, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="file that gets all measurements")
    parser.add_argument("--seconds", type=float, default=540, help="no row starts after these")
    parser.add_argument("--first", type=int, default=0, help="number of the row to start with")
    parser.add_argument("--count", type=int, default=len(ROWS), help="number of rows")
    parser.add_argument("--matrix_size", type=int, default=8192, help="of the peaks")
    args = parser.parse_args()
    started = time.perf_counter()
    document = {
        "date": datetime.date.today().isoformat(),
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "peaks": peaks(args.matrix_size),
        "rows": [],
    }
    for row in ROWS[args.first : args.first + args.count]:
        if time.perf_counter() - started > args.seconds:
            break
        document["rows"].append(row._asdict() | measure(row))
        args.json.write_text(json.dumps(document, indent=1) + "\n")
        print(table(document["rows"][-1:], document["peaks"]).splitlines()[-1], flush=True)
    print(table(document["rows"], document["peaks"]))
    print(f"{document['device']}, jax {document['jax']}, {document['date']}; peaks: " + ", ".join(
        f"{name} {value:.3g} {'TB/s' if name == 'copy' else 'TFLOP/s'}"
        for name, value in document["peaks"].items()
    ))  # fmt: skip


if __name__ == "__main__":
    main()
