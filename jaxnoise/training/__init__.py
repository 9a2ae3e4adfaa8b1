"""Training: epochs of a member, evaluation, and members spread over the hardware.

A *member* is one training, with its own key, noisy labels and coefficients. `loop` and `evaluation`
are written for one member; `trainer` maps them over members, and spreads the members over devices
or cores. `assembly` builds all of it from settings. `surroundings` pins or records what else
numbers depend on.

May import: train_step, nets, scores, methods, labels, layers, data, config.
"""

__all__ = [
    "assembly",
    "devices",
    "eval_step",
    "evaluation",
    "loop",
    "measurement",
    "program_cache",
    "reach",
    "surroundings",
    "trainer",
]
