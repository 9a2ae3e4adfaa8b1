"""The cost of the Jacobian penalty: a training step with it, as a multiple of a plain step.

    python benchmarks/jacobian.py --net=lenet --members=5

alternates between no penalty, the projection and the exact norm. For comparison it also measures
both norms computed by jax.jacrev, whose vmap over rows the library avoids.
"""

import argparse
import contextlib
from unittest import mock

import jax
import jax.numpy as jnp
from tabulate import tabulate
from workload import SHAPES, Workload, in_turn, spread

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
    return jnp.square(rows).sum(axis=(0, 2, 3, 4)).mean(), out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=tuple(SHAPES), default="lenet")
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--steps", type=int, default=30, help="steps of the timed epoch")
    parser.add_argument("--no_jacrev", action="store_true", help="measure the library only")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    sides = {
        "no penalty": (None, {}),
        "projection": ("projection", {}),
        "exact": ("exact", {}),
    }
    if not args.no_jacrev:
        sides |= {
            "projection, jax.jacrev": ("projection", {"projected_jacobian": jacrev_projected}),
            "exact, jax.jacrev": ("exact", {"mean_exact_jacobian": jacrev_exact}),
        }
    workloads = {}
    for name, (mode, replaced) in sides.items():
        with contextlib.ExitStack() as stack:
            for function, replacement in replaced.items():
                stack.enter_context(mock.patch.object(losses, function, replacement))
            workloads[name] = Workload(
                args.net, args.members, args.steps, classes=args.classes, jacob_mode=mode
            )
    times, factors = in_turn(workloads, args.rounds)
    rows = [
        [name, *spread(times[name]), *spread(factors[name]), workload.compile_seconds]
        for name, workload in workloads.items()
    ]
    device = jax.devices()[0].device_kind
    print(
        f"{args.net}, {args.members} members, {args.classes} classes, {args.rounds} rounds, "
        f"{device}, jax {jax.__version__}"
    )
    header = ["penalty", "ms/seed-step", "min", "max", "× plain", "min", "max", "compile (s)"]
    print(tabulate(rows, header, floatfmt=".3g"))


if __name__ == "__main__":
    main()
