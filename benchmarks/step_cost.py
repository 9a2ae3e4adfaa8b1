"""Cost of a training step with each loss, method or spectral norm, as a multiple of a plain step.

    python benchmarks/step_cost.py --of=loss

alternates between a plain step, with cross-entropy alone, and a step with each loss (or each method
or spectral norm, as --of says) with default hyper-parameters. For the cost of the Jacobian penalty
see jacobian.py.
"""

import argparse

import jax
import numpy as np
from tabulate import tabulate
from workload import SHAPES, Workload, in_turn, spread

from jaxnoise.config import LOSSES, METHODS, Config
from jaxnoise.layers.spectral_norm import SpectralNorm
from jaxnoise.methods.robust_losses import Loss
from jaxnoise.methods.robust_training import METHODS as METHODS_BY_NAME


def of_loss(name: str) -> dict:
    settings = Config(dataset="fashion_mnist", loss=name).loss_settings
    matrix = np.eye(10, dtype=np.float32) if name == "forward" else None
    return {"loss": Loss(name, tuple(settings.items())), "transition_matrix": matrix}


def of_method(name: str) -> dict:
    settings = Config(dataset="fashion_mnist", method=name).method_settings
    return {"method": METHODS_BY_NAME[name](**settings)}


SIDES = {
    "loss": {name: of_loss(name) for name in LOSSES if name != "ce"},
    "method": {name: of_method(name) for name in METHODS},
    "spectral_norm": {
        "reshaped": {"spectral": SpectralNorm()},
        "exact": {"spectral": SpectralNorm("exact")},
        "paper": {"spectral": SpectralNorm(stop_gradient=False, in_evaluation=True)},
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--of", choices=tuple(SIDES), required=True)
    parser.add_argument("--net", choices=tuple(SHAPES), default="lenet")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--steps", type=int, default=100, help="steps of the timed epoch")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    workloads = {
        name: Workload(args.net, args.members, args.steps, **settings)
        for name, settings in ({"plain": {}} | SIDES[args.of]).items()
    }
    times, factors = in_turn(workloads, args.rounds)
    rows = [[name, *spread(times[name]), *spread(factors[name])] for name in workloads]
    device = jax.devices()[0].device_kind
    print(
        f"{args.net}, {args.members} members, {args.rounds} rounds, {device}, jax {jax.__version__}"
    )
    header = [args.of, "ms/seed-step", "min", "max", "× plain", "min", "max"]
    print(tabulate(rows, header, floatfmt=".3g"))


if __name__ == "__main__":
    main()
