"""What spectral normalization costs: a training step with it, as a multiple of a plain step.

    python benchmarks/spectral_norm.py --net=lenet --members=4

measures in turn: none, the norm of the reshaped kernels, that of the convolutions themselves, and
the paper's gradient through the power iteration.
"""

import argparse

import jax
from tabulate import tabulate
from workload import SHAPES, Workload, in_turn, spread

from jaxnoise.spectral_norm import SpectralNorm

SIDES = {
    "off": None,
    "reshaped": SpectralNorm(),
    "exact": SpectralNorm("exact"),
    "paper": SpectralNorm(stop_gradient=False, in_evaluation=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=tuple(SHAPES), default="lenet")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--steps", type=int, default=100, help="per epoch, one of which is timed")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    workloads = {
        name: Workload(args.net, args.members, args.steps, spectral=norm)
        for name, norm in SIDES.items()
    }
    times, factors = in_turn(workloads, args.rounds)
    rows = [[name, *spread(times[name]), *spread(factors[name])] for name in SIDES]
    device = jax.devices()[0].device_kind
    print(
        f"{args.net}, {args.members} members, {args.rounds} rounds, {device}, jax {jax.__version__}"
    )
    header = ["spectral norm", "ms/seed-step", "min", "max", "× off", "min", "max"]
    print(tabulate(rows, header, floatfmt=".3g"))


if __name__ == "__main__":
    main()
