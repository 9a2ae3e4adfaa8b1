"""Robustness of neural networks to label noise, in JAX and Flax.

    import jaxnoise

    jaxnoise.show_progress()
    config = jaxnoise.Config(dataset="digits", noise_rate=0.4, wd_coef=1e-4, do_sn=True)
    scores = jaxnoise.run(config)  # the content of scores.json; a finished run is not trained again
    finished = jaxnoise.load_run(jaxnoise.run_folder(config))
    finished.history["test_accuracy"]  # float (epochs, repeats)
    finished.best.predict(finished.dataset.images[:100])  # int32 (repeats, 100), classes
    jaxnoise.export_net(finished, "net.npz")  # plain arrays, for Flax or PyTorch
    jaxnoise.write_noise(finished, "noise.json")  # its noisy labels, for other programs

A setting is a flag of `main.py` by the same name. Bad ones raise `InputError`, a `ValueError`.
Devices are those that JAX is set up for, whatever `Config.GPU_num` says. JAX is imported when the
first of these names is asked for that needs it.

The package is a stack of wings, each a folder whose `__init__.py` says what it does; a wing imports
only what stands below it. From the top:

    verify report sweep      what finished runs say; many runs
    experiments              one run, from labels to scores
    spectrum                 how smooth the learned mapping is
    runs                     the folder of a run and its files
    figures terminal         what people see
    training scores          members over the hardware; what they are worth
    train_step.py            one step of one member
    nets.py layers           networks
    losses.py methods        the paper's losses; robust ones, optimizers
    labels                   noise;   noise_files  its files, of ours and of others
    data.py datasets         pictures
    extending.py             nets, losses, noise models and recipes of one's own
    config activity.py       settings; what is being done
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxnoise.config import Config, InputError
    from jaxnoise.datasets.own_arrays import Arrays
    from jaxnoise.experiments.experiment import run
    from jaxnoise.experiments.noise_export import write_noise
    from jaxnoise.export import export_net
    from jaxnoise.extending import loss, net, noise_model, recipe
    from jaxnoise.runs.finished import FinishedRun, Nets, load_run
    from jaxnoise.runs.folders import run_folder
    from jaxnoise.terminal.console import show_progress

__version__ = "0.1.0"  # pyproject.toml takes it; CITATION.cff repeats it

__all__ = [
    "Arrays",
    "Config",
    "FinishedRun",
    "InputError",
    "Nets",
    "export_net",
    "load_run",
    "loss",
    "net",
    "noise_model",
    "recipe",
    "run",
    "run_folder",
    "show_progress",
    "write_noise",
]

_MODULES = {
    "Arrays": "datasets.own_arrays",
    "Config": "config",
    "FinishedRun": "runs.finished",
    "InputError": "config",
    "Nets": "runs.finished",
    "export_net": "export",
    "load_run": "runs.finished",
    "loss": "extending",
    "net": "extending",
    "noise_model": "extending",
    "recipe": "extending",
    "run": "experiments.experiment",
    "run_folder": "runs.folders",
    "show_progress": "terminal.console",
    "write_noise": "experiments.noise_export",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
