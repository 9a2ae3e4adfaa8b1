"""Time from the start of a command to the end of a short first epoch, by part.

    python benchmarks/startup.py --dataset=fashion_mnist --train_size=2000 --test_size=500

takes the flags of main.py, does the same work in new processes up to the end of the first epoch,
and prints seconds. The first process only fills the cache of the data; it is not counted.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tabulate import tabulate

ROUNDS = 5
CHILD = "--in_this_process"
COMPILATION = {
    "/jax/core/compile/jaxpr_trace_duration": "tracing",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lowering",
    "/jax/core/compile/backend_compile_duration": "compilation",
}


def measure(argv: list[str]) -> dict[str, float]:
    """Measures the seconds of each part in this process, which has done nothing else."""
    started = time.perf_counter()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import jax
    from absl import flags

    import main
    from jaxnoise.labels import noisy_dataset
    from jaxnoise.training import assembly

    parts = {"imports": time.perf_counter() - started}
    main.define_flags()
    flags.FLAGS(argv)
    config = main.config_of_flags()
    loading = time.perf_counter()
    dataset = noisy_dataset.load(config)
    parts |= {"data": time.perf_counter() - loading} | dict.fromkeys(COMPILATION.values(), 0.0)

    def count(event: str, seconds: float, **_: str) -> None:
        if event in COMPILATION:
            parts[COMPILATION[event]] += seconds

    jax.monitoring.register_event_duration_secs_listener(count)
    engine, members = assembly.engine(config, dataset), assembly.members(config, dataset)
    next(engine.trainer.epochs(members, engine.pictures, epochs=1, jacob_start_epoch=1))
    total = time.perf_counter() - started
    return parts | {"the rest": total - sum(parts.values()), "total": total}


def report(argv: list[str]) -> None:
    runs = []
    for _ in range(1 + ROUNDS):
        command = [sys.executable, __file__, CHILD, *argv]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        runs.append(json.loads(output.splitlines()[-1]))
    rows = []
    for part in runs[0]:
        seconds = [run[part] for run in runs[1:]]
        rows.append([part, statistics.median(seconds), min(seconds), max(seconds)])
    print(tabulate(rows, ["part", "seconds", "min", "max"], floatfmt=".2f"))


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        print(json.dumps(measure([sys.argv[0], *sys.argv[2:]])))
    else:
        report(sys.argv[1:])
