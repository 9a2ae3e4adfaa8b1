"""What the Jacobian penalty costs: a training step with it, as a multiple of a plain step.

    python benchmarks/jacobian.py --net=lenet --members=5

measures in turn: no penalty, the projection, the exact norm, and for comparison both by jax.jacrev,
whose vmap over rows is what the library avoids.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
from tabulate import tabulate
from workload import BATCH, SHAPES, Workload

from jaxnoise import losses


def jacrev_projected(forward, images, *, projection):
    def projected(x):
        logits, more = forward(x)
        return jnp.sum(projection * logits), (logits, more)

    gradient, out = jax.jacrev(projected, has_aux=True)(images)
    return jnp.sum(jnp.square(gradient), axis=(1, 2, 3)), out


def jacrev_exact(forward, images):
    def summed(x):
        logits, more = forward(x)
        return logits.sum(axis=0), (logits, more)

    rows, out = jax.jacrev(summed, has_aux=True)(images)
    return jnp.sum(jnp.square(rows), axis=(0, 2, 3, 4)), out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=tuple(SHAPES), default="lenet")
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    sides = {
        "no penalty": (None, {}),
        "projection": ("projection", {}),
        "exact": ("exact", {}),
        "projection, jax.jacrev": ("projection", {"projected_jacobian": jacrev_projected}),
        "exact, jax.jacrev": ("exact", {"exact_jacobian": jacrev_exact}),
    }
    workloads = {}
    for name, (mode, replaced) in sides.items():
        ours = {function: getattr(losses, function) for function in replaced}
        for function, replacement in replaced.items():
            setattr(losses, function, replacement)
        workloads[name] = Workload(args.net, args.members, args.steps * BATCH, mode)
        workloads[name].run()  # compiles
        for function, original in ours.items():
            setattr(losses, function, original)
    times = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name, workload in workloads.items():
            started = time.perf_counter()
            workload.run()
            times[name].append(1e3 * (time.perf_counter() - started) / workload.seed_steps)
    plain = statistics.median(times["no penalty"])
    rows = [
        [name, statistics.median(row), min(row), max(row), statistics.median(row) / plain]
        for name, row in times.items()
    ]
    device = jax.devices()[0].device_kind
    print(f"{args.net}, {args.members} members, {device}, jax {jax.__version__}")
    header = ["penalty", "ms per seed-step", "min", "max", "× plain step"]
    print(tabulate(rows, header, floatfmt=".2f"))


if __name__ == "__main__":
    main()
