"""jaxnoise's side of benchmarks/throughput.py: M members in the library's own trainer.

    python benchmarks/jax_members.py --net=lenet --members=5 --seconds=5

prints one JSON line with the keys of benchmarks/torch_baseline.py. A step is a *seed-step*: one
optimizer step of one member, batch 32 or for resnet18 128; a step of five members counts as five.
"""

import argparse
import json
import math
import resource
import sys

import jax
from throughput import BATCH
from workload import SHAPES, Workload

# Steps per epoch. Every epoch allocates its gigabytes of buffers again and touches them for the
# first time. A real epoch has a thousand steps to make up for that; these epochs need some too.
STEPS = {"lenet": 150, "allcnn": 20, "resnet18": 3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=tuple(SHAPES), default="lenet")
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--members_at_once", type=int, default=0)
    parser.add_argument("--precision", choices=("float32", "tf32", "bf16"), default="float32")
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    workload = Workload(
        args.net,
        args.members,
        STEPS[args.net],
        members_at_once=args.members_at_once,
        precision=args.precision,
    )
    seed_steps = args.members * STEPS[args.net]
    epochs = math.ceil(args.seconds * workload.rate(epochs=1) / seed_steps)
    rate = workload.rate(epochs)
    print(json.dumps({
        "net": args.net, "members": args.members, "batch": BATCH[args.net],
        "precision": args.precision, "steps": epochs * seed_steps,
        "steps_per_second": rate, "ms_per_step": 1e3 / rate,
        "compile_seconds": workload.compile_seconds, "peak_memory_mib": peak_memory() / 2**20,
    }))  # fmt: skip


def peak_memory() -> int:
    """Peak memory in bytes: of the device if it reports it, else of this process."""
    stats = jax.local_devices()[0].memory_stats() or {}
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    of_process = kibibytes if sys.platform == "darwin" else 1024 * kibibytes  # bytes on macOS
    return stats.get("peak_bytes_in_use", of_process)


if __name__ == "__main__":
    main()
