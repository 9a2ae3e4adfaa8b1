"""Robustness of neural networks to label noise, in JAX and Flax.

    import jaxnoise

    config = jaxnoise.Config(dataset="digits", noise_rate=0.4, wd_coef=1e-4, do_sn=True)
    scores = jaxnoise.run(config)  # what scores.json holds; a finished run is not trained again
    finished = jaxnoise.load_run(jaxnoise.run_folder(config))
    finished.history["test_accuracy"]  # float (epochs, repeats)
    finished.best.logits(finished.task.images[:100])  # float32 (repeats, 100, classes)

A setting is a flag of `main.py` by the same name. Bad ones raise `InputError`, a `ValueError`. What
a run tells goes to the logger `jaxnoise`; the devices are those that JAX is set up for, whatever
`Config.GPU_num` says. JAX is imported when the first of these names is asked for that needs it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxnoise.config import Config
    from jaxnoise.experiment import run
    from jaxnoise.finished_run import FinishedRun, load_run
    from jaxnoise.flags import InputError
    from jaxnoise.results import run_folder

__all__ = ["Config", "FinishedRun", "InputError", "load_run", "run", "run_folder"]

_MODULES = {
    "Config": "config",
    "FinishedRun": "finished_run",
    "InputError": "flags",
    "load_run": "finished_run",
    "run": "experiment",
    "run_folder": "results",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
