"""What the library's programs would do on accelerators, compiled on a machine without any.

    python benchmarks/accelerators.py --targets=h100,v5e --json=FILE

compiles an epoch of training for each target, net, number of members, precision and Jacobian
penalty, and counts what the compiler made of one training step: kernels by kind, FLOP, bytes moved.
From these follows a *roofline*: the time that the step takes at least, if each kernel reaches the
published peak of the products or of the memory, whichever is slower. For GPUs, there is the same
*with launches*, as each kernel takes some time at least; for TPUs, the sum of the cycles that the
compiler *expects* each kernel to take. The compiler also says how much memory the whole program
takes. Nothing is run. benchmarks/targets.py says which packages are needed.
"""

import argparse
import collections
import datetime
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate
from targets import TARGETS, Target
from throughput import BATCH

SAMPLES, IMAGES = 45_000, 60_000  # of a training part, and of all three parts
SHAPES = {"lenet": (28, 28, 1)}  # of the others, those of CIFAR-10
BATCH_OF_OTHERS = BATCH["resnet18"]  # those of the literature
# Seconds that a kernel of a GPU takes at least. On an H100, a step of five members of LeNet took
# 258 µs (see benchmarks/README.md), and has next to nothing to compute; with products by Triton it
# has 77 kernels.
SHORTEST = 3.3e-6


class Row(NamedTuple):
    net: str
    members: int
    precision: str
    jacobian: str | None = None


ROWS = (
    *(Row("lenet", members, "float32") for members in (1, 5, 64)),
    Row("lenet", 5, "bf16"),
    Row("lenet", 5, "float32", "projection"),
    Row("lenet", 5, "float32", "exact"),
    *(Row("allcnn", members, "bf16") for members in (1, 5, 64)),
    *(Row("allcnn", 5, precision) for precision in ("tf32", "float32")),
    Row("allcnn", 5, "bf16", "projection"),
    *(Row("resnet18", members, "bf16") for members in (1, 5)),
    Row("resnet18", 5, "float32"),
    Row("resnet34", 3, "bf16"),
)


def program(row: Row, devices: list[Any]) -> tuple[Any, int]:
    """The compiled epoch of a row's members on devices that need not be there, and its memory.

    The memory is in bytes, of one device, arguments and results included.
    """
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout
    import jax
    import jax.numpy as jnp

    from jaxnoise import nets, train_step
    from jaxnoise.config import Config
    from jaxnoise.training import assembly, loop
    from jaxnoise.training.trainer import Trainer

    batch = BATCH.get(row.net, BATCH_OF_OTHERS)
    made = train_step.Program(
        nets.NETS[row.net](10, None, nets.DTYPES[row.precision]),
        assembly.optimizer(Config(net=row.net), steps_per_epoch=-(-SAMPLES // batch)),
        row.jacobian or "projection",
        row.precision,
    )
    trainer = Trainer(
        made,
        batch,
        stages=(row.jacobian is not None,),
        members_at_once=row.members,
        memory_bytes=10**15,  # what it takes is the question
        devices=devices,
    )
    of, shape = jax.ShapeDtypeStruct, SHAPES.get(row.net, (32, 32, 3))
    labels = of((IMAGES,), jnp.int32)
    pictures = loop.Pictures(
        of((IMAGES, *shape), jnp.uint8), labels, labels, of(shape, jnp.float32), of((), jnp.float32)
    )
    number = of((), jnp.float32)
    member = loop.Member(
        jax.eval_shape(lambda: loop.member_key(0, 0)),
        of((SAMPLES,), jnp.int32),
        of((IMAGES - SAMPLES - 10_000,), jnp.int32),
        train_step.Coefficients(number, number, number),
    )
    members = [member] * row.members
    return trainer.epoch_program(members, pictures), trainer.memory(members, pictures)


def counted(row: Row, target: Target, compiled: Any) -> dict[str, Any]:
    """What a step of all members does, and its roofline."""
    from hlo_cost import Program

    kernels = list(Program(compiled.as_text()).kernels())
    steps = SAMPLES // BATCH.get(row.net, BATCH_OF_OTHERS)
    peak, bandwidth = 1e12 * target.peaks[row.precision], 1e12 * target.bandwidth
    by_kind: dict[str, int] = collections.Counter()
    flops = moved = roofline = with_launches = 0.0
    cycles = 0
    for kernel in kernels:
        if kernel.loops[:1] != (steps,):
            continue
        times = kernel.times // steps
        seconds = max(kernel.flops / peak, kernel.bytes / bandwidth)
        by_kind[kernel.kind] += times
        flops += times * kernel.flops
        moved += times * kernel.bytes
        roofline += times * seconds
        with_launches += times * max(seconds, SHORTEST)
        cycles += times * kernel.cycles
    on_tpu = target.platform == "tpu"
    return {
        "kernels": dict(by_kind),
        # In the whole program: members on several devices do not wait for each other.
        "collectives": sum(kernel.kind == "collectives" for kernel in kernels),
        "gflop": flops * 1e-9,
        "megabytes": moved * 1e-6,
        "products_ms": 1e3 * flops / peak,
        "roofline_ms": 1e3 * roofline,
        "with_launches_ms": None if on_tpu else 1e3 * with_launches,
        "expected_megacycles": 1e-6 * cycles if on_tpu else None,
        "temporary_mib": compiled.memory_analysis().temp_size_in_bytes / 2**20,
    }


def compile_one(row: Row, target: Target, number: int) -> dict[str, Any]:
    started = time.perf_counter()
    compiled, memory = program(row, target.devices(number))
    facts = {"compile_seconds": time.perf_counter() - started, "memory_mib": memory / 2**20}
    return row._asdict() | facts | counted(row, target, compiled)


def cells(row: dict[str, Any]) -> list[str]:
    first = [row["net"], row["members"], row["precision"], row["jacobian"] or ""]
    if "error" in row:
        return [*first, row["error"]]
    times = ("products_ms", "roofline_ms", "with_launches_ms", "expected_megacycles")
    return [
        *first,
        *(row["kernels"].get(kind, 0) for kind in ("products", "convolutions", "fusions")),
        sum(n for kind, n in row["kernels"].items() if kind in ("copies", "others")),
        row["collectives"], f"{row['gflop']:.3g}", f"{row['megabytes']:.3g}",
        *("" if row[time] is None else f"{row[time]:.2g}" for time in times),
        f"{row['memory_mib']:.0f}", f"{row['compile_seconds']:.0f}",
    ]  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    header = ["net", "members", "precision", "Jacobian", "products", "convolutions", "fusions",
              "other", "collectives", "GFLOP", "MB", "products (ms)", "roofline (ms)",
              "with launches (ms)", "expected (10⁶ cycles)", "memory (MiB)",
              "compiled in (s)"]  # fmt: skip
    return tabulate(map(cells, rows), header, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", default=",".join(TARGETS), help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--json", type=Path, help="file that gets all numbers")
    parser.add_argument("--first", type=int, default=0, help="number of the row to start with")
    parser.add_argument("--count", type=int, default=len(ROWS), help="number of rows")
    parser.add_argument(
        "--devices", type=int, default=1,
        help="number of devices that the members are spread over; numbers are those of one device",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=600, help="a row may take to compile")
    parser.add_argument("--one", nargs=2, metavar=("TARGET", "NUMBER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(compile_one(ROWS[int(args.one[1])], TARGETS[args.one[0]], args.devices)))
        return
    document: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "jax": importlib.metadata.version("jax"),
        "targets": {},
    }
    for name in args.targets.split(","):
        target, rows = TARGETS[name], []
        document["targets"][name] = rows
        for number in range(args.first, min(len(ROWS), args.first + args.count)):
            # Each in a process of its own: libtpu takes one at a time, and memory is given back.
            one = ["--one", name, str(number), f"--devices={args.devices}"]
            command = [sys.executable, __file__, *one]
            env = os.environ | target.environment
            try:
                done = subprocess.run(
                    command, env=env, capture_output=True, text=True, timeout=args.seconds
                )
                if done.returncode:
                    raise RuntimeError(done.stderr.strip().splitlines()[-1][:200])
                rows.append(json.loads(done.stdout.splitlines()[-1]))
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                rows.append(ROWS[number]._asdict() | {"error": str(error)})
            print(name, table(rows[-1:]).splitlines()[-1], flush=True)
            if args.json:
                args.json.write_text(json.dumps(document, indent=1) + "\n")
    for name, rows in document["targets"].items():
        print(f"\n{name}: {TARGETS[name].source}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
