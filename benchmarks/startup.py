"""Time from the start of a command to the end of its first epoch, by part: cold and warm.

    python benchmarks/startup.py --dataset=fashion_mnist --train_size=2000 --test_size=500

takes the flags of main.py, does the same work in new processes up to the end of the first epoch,
and prints seconds. A cold start finds no compiled program, a warm one those of the start before;
they alternate. The first process only fills the cache of the data; it is not counted.

    python benchmarks/startup.py --whole --dataset=digits --noise_rate=0.4

makes whole runs, and also shows what follows the first epoch. Loading matplotlib counts as part of
the first epoch there, since its functions are timed. `--sweep` does the same for the flags of
`python -m jaxnoise.sweep`. Both also show what the command takes if all its runs are finished.
"""

import json
import runpy
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

from tabulate import tabulate

ROUNDS = 5
CHILD, WHOLE, SWEEP = "--in_this_process", "--whole", "--sweep"
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


def measure_whole(argv: list[str], *, of_sweep: bool) -> dict[str, float]:
    """Measures the seconds of each part of a command, up to its end."""
    started = time.perf_counter()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from absl import flags

    import main
    from jaxnoise.experiments import experiment
    from jaxnoise.figures import training_curves
    from jaxnoise.runs import resume
    from jaxnoise.terminal.progress import EpochReport
    from jaxnoise.training import measurement

    seconds = dict.fromkeys(("save", "of_nets", "draw"), 0.0)
    epochs = []

    def timed(module, name):
        function = getattr(module, name)

        def call(*args, **kwargs):
            begun = time.perf_counter()
            result = function(*args, **kwargs)
            seconds[name] += time.perf_counter() - begun
            return result

        return mock.patch.object(module, name, call)

    def update(report, metrics):
        epochs.append(time.perf_counter())

    with (
        timed(resume, "save"),
        timed(measurement, "of_nets"),
        timed(training_curves, "draw"),
        mock.patch.object(EpochReport, "update", update),
    ):
        if of_sweep:
            _run_sweep(argv)
        else:
            main.define_flags()
            flags.FLAGS(argv)
            experiment.run(main.config_of_flags())
    total = time.perf_counter() - started
    if not epochs:  # all runs are finished
        return {"total": total}
    parts = {"up to the end of the first epoch": epochs[0] - started}
    if of_sweep:  # whose runs are measured between the epochs of others
        return parts | {"the rest": total - epochs[0] + started, "total": total}
    parts |= {
        "the other epochs": epochs[-1] - epochs[0] - seconds["save"],
        "their checkpoints": seconds["save"],
        "measuring the nets": seconds["of_nets"],
        "figures": seconds["draw"],
    }
    return parts | {"the rest": total - sum(parts.values()), "total": total}


def _run_sweep(argv: list[str]) -> None:
    sys.argv = argv
    try:
        runpy.run_module("jaxnoise.sweep", run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise


def report(argv: list[str]) -> None:
    whole = [each for each in argv if each in (WHOLE, SWEEP)]
    argv = [each for each in argv if each not in whole]
    runs: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, __file__, CHILD, *whole, *argv, f"--cache_dir={cache}"]
        command += [f"--results_dir={cache}/results"]
        starts = ["cold", "warm", *["finished"] * bool(whole)] * ROUNDS
        for start in ["first", *starts]:
            if start == "cold":
                shutil.rmtree(Path(cache, "programs"), ignore_errors=True)
            again = [] if start == "finished" else ["--overwrite"]
            output = subprocess.run(
                [*command, *again], check=True, stdout=subprocess.PIPE, text=True
            ).stdout
            runs.setdefault(start, []).append(json.loads(output.splitlines()[-1]))
    rows, shown = [], [start for start in runs if start != "first"]
    for part in runs["cold"][0]:
        row = [part]
        for start in shown:
            seconds = [run[part] for run in runs[start] if part in run]
            row += [statistics.median(seconds), min(seconds), max(seconds)] if seconds else [""] * 3
        rows.append(row)
    header = ["part", *(column for start in shown for column in (start, "min", "max"))]
    print(tabulate(rows, header, floatfmt=".2f"))


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD] and sys.argv[2] in (WHOLE, SWEEP):
        argv = [sys.argv[0], *sys.argv[3:]]
        print(json.dumps(measure_whole(argv, of_sweep=sys.argv[2] == SWEEP)))
    elif sys.argv[1:2] == [CHILD]:
        print(json.dumps(measure([sys.argv[0], *sys.argv[2:]])))
    else:
        report(sys.argv[1:])
