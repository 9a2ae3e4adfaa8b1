"""Test accuracy by the averages that batch norm evaluates with, on the same trained nets.

    python benchmarks/batch_norm_averages.py --dataset=digits --noise_rate=0.4

takes the flags of main.py. Averages do not change what is trained, so all rows are about the same
nets: averages with momentum m from 0 and 1, as in TensorFlow 1; divided by 1 − m^steps, as Adam's
are; and taken anew after each epoch, from at most N samples of the training part. Those from all of
them are what the others estimate.
"""

import dataclasses
import functools
import sys
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from tabulate import tabulate

import main
from jaxnoise.labels import noisy_dataset
from jaxnoise.training import assembly, evaluation, loop

SAMPLES = (512, 2048, 6400)


def anew(state, member, pictures, *, program, samples):
    """The state with averages of `samples` of the training part."""
    with mock.patch.object(evaluation, "AVERAGED", samples):
        return evaluation.renewed(state, pictures, len(member.noisy_labels), program=program)


def corrected(state, momentum):
    """The state with averages divided by 1 − m^steps; the variances start at 1."""
    left = jnp.float32(momentum) ** state.step
    averages = jax.tree.map(
        lambda of: {"mean": of["mean"] / (1 - left), "var": (of["var"] - left) / (1 - left)},
        state.variables["batch_stats"], is_leaf=lambda tree: "mean" in tree,
    )  # fmt: skip
    return state.replace(variables=state.variables | {"batch_stats": averages})


def accuracies(config, dataset, momentum):
    """Test accuracy of each member after each epoch: for each name float (epochs, members)."""
    program = assembly.program(dataclasses.replace(config, bn_momentum=momentum), dataset)
    program = dataclasses.replace(program, renew_averages=True)
    members = assembly.members(config, dataset)
    pictures = assembly.pictures(dataset)
    total = len(dataset.train_index)

    def epoch(state, member, number, with_jacobian):
        state, _ = loop.train_epoch(
            state, member, pictures, number,
            program=program, batch_size=config.batch_size, with_jacobian=with_jacobian,
        )  # fmt: skip
        states = {
            f"m = {momentum}": state,
            f"m = {momentum}, corrected": corrected(state, momentum),
        }
        if momentum == 0.99:
            sizes = {str(n): n for n in SAMPLES if n < total} | {"all": total}
            states |= {
                f"anew, {name}": anew(state, member, pictures, program=program, samples=n)
                for name, n in sizes.items()
            }
        measured = {
            name: evaluation.evaluate(
                each, pictures, member.noisy_labels, member.noisy_valid_labels, program=program
            )[0]["test_accuracy"]
            for name, each in states.items()
        }
        return state, measured

    found = []
    start = jax.jit(functools.partial(loop.start, program=program))
    advance = jax.jit(epoch, static_argnames="with_jacobian")
    for member in members:
        state, of_member = start(member, pictures).state, []
        for number in range(config.epochs_num):
            on = config.jacob_coef > 0 and number >= config.jacob_start_epoch
            state, measured = advance(state, member, jnp.int32(number), with_jacobian=on)
            of_member.append(measured)
        found.append(of_member)
    return {
        name: np.array([[float(each[name]) for each in of_member] for of_member in found]).T
        for name in found[0][0]
    }


def report(argv):
    main.define_flags()
    flags.FLAGS(argv)
    config = main.config_of_flags()
    dataset = noisy_dataset.load(config)
    by_name = {}
    for momentum in (0.99, 0.9):
        by_name |= accuracies(config, dataset, momentum)
    truth, rows = by_name["anew, all"], []
    for name, values in by_name.items():
        off = np.abs(values - truth)
        third = max(1, len(values) // 3)
        rows.append(
            [name, f"{values[-1].mean():.2f} ± {values[-1].std():.2f}",
             off[:third].mean(), off[third:].mean(), off[-1].mean(), off.max()]
        )  # fmt: skip
    print(f"{len(dataset.train_index)} training samples, batch {config.batch_size}")
    header = ["averages", "last epoch (%)", "off: first third", "later", "last", "worst"]
    print(tabulate(rows, header, floatfmt=".2f"))


if __name__ == "__main__":
    report(sys.argv)
