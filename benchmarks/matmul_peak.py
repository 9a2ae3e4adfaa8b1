"""The measured peak of float32 matrix products on this machine with one library, in GFLOP/s.

    python benchmarks/matmul_peak.py --library=torch --seconds=3

prints one JSON line. benchmarks/throughput.py counts the best of all libraries as 100 %.
"""

import argparse
import json
import time

SIZE = 2048


def make_product(library: str):
    """A function that computes one float32 product of SIZE×SIZE matrices and waits for it."""
    if library == "torch":
        import torch

        a = torch.rand(SIZE, SIZE)
        return lambda: a @ a
    if library == "jax":
        import jax

        a = jax.random.uniform(jax.random.key(0), (SIZE, SIZE))
        multiply = jax.jit(lambda x: jax.numpy.dot(x, x, precision="highest"))
        return lambda: multiply(a).block_until_ready()
    import numpy as np

    a = np.random.default_rng(0).random((SIZE, SIZE), dtype=np.float32)
    return lambda: a @ a


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", choices=("numpy", "torch", "jax"), default="numpy")
    parser.add_argument("--seconds", type=float, default=3)
    args = parser.parse_args()
    product = make_product(args.library)
    product()
    best, end = float("inf"), time.perf_counter() + args.seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        product()
        # The fastest, not the mean, because a peak is the speed of an undisturbed machine.
        best = min(best, time.perf_counter() - start)
    print(json.dumps({"library": args.library, "size": SIZE, "gflops": 2e-9 * SIZE**3 / best}))


if __name__ == "__main__":
    main()
