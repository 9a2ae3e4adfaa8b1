"""jaxnoise's side of benchmarks/throughput.py: M members in the library's own epoch program.

    python benchmarks/jax_members.py --net=lenet --members=5 --seconds=5

prints one JSON line with the keys of benchmarks/torch_baseline.py. A step is a *seed-step*: one
optimizer step, batch 32, of one member; a step of five members counts five.
"""

import argparse
import json
import time

from workload import BATCH, SHAPES, Workload

# Samples of an epoch. Every epoch takes its buffers, gigabytes, anew and touches them for the first
# time; real epochs have a thousand steps to make up for that, so these need some too.
SAMPLES = {"lenet": 150 * BATCH, "allcnn": 20 * BATCH}


def measure(net: str, members: int, seconds: float) -> tuple[int, float]:
    """Trains for at least `seconds` after compilation → (seed-steps, seconds really taken)."""
    workload = Workload(net, members, SAMPLES[net])
    workload.run()
    epochs, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        workload.run()
        epochs += 1
    return epochs * workload.seed_steps, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=tuple(SHAPES), default="lenet")
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    steps, seconds = measure(args.net, args.members, args.seconds)
    print(json.dumps({
        "net": args.net, "members": args.members, "batch": BATCH,
        "steps": steps, "seconds": seconds,
        "steps_per_second": steps / seconds, "ms_per_step": 1e3 * seconds / steps,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
