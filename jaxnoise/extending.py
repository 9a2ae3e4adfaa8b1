"""Nets, losses, noise models and recipes of one's own, in a file that --user_code names.

    import flax.linen as nn
    import jaxnoise

    @jaxnoise.net(optimizer="adam", learning_rate=1e-3)
    class Tiny(nn.Module): ...

    @jaxnoise.loss
    def focal(*, logits, labels, gamma=2.0): ...

    @jaxnoise.noise_model
    def to_first(samples, rng, *, rate): ...

    quick = jaxnoise.recipe(net="Tiny", loss="focal", epochs_num=10)

Flags take the names of the definitions, here --net=Tiny, --loss=focal, --noise_type=to_first and
--recipe=quick. `config.declarations` reads them from the file's syntax, so that a report or a bad
flag does not run it. They stand at the top of the file, and what the functions here are given are
literal values. A file runs when a run of it is trained or its nets are measured.
"""

import functools
import linecache
import sys
import types
from collections.abc import Callable
from typing import Any, TypeVar

from jaxnoise.config import Config, InputError
from jaxnoise.config.declarations import FLAGS, UserCode

T = TypeVar("T")


def net(
    cls: type[T] | None = None,
    /,
    *,
    optimizer: str = "sgd",
    learning_rate: float = 0.02,
    schedule: str = "cosine",
    lr_decay_epochs: int | None = None,
) -> Any:
    """Marks a Flax module as a net.

    It is called with preprocessed images, float32 (batch, height, width, channels), and the keyword
    `train`, and returns logits (batch, num_classes). It has the field `num_classes`. The fields
    `spectral`, `dtype` and `conventions`, if it has them, are as those of the nets in
    `jaxnoise.nets`; without them, --do_sn, --precision=bf16 and --bn_momentum are errors. Its other
    fields whose default is a number, a truth value or a word are hyper-parameters, which
    --net_options sets.

    Args:
      optimizer, learning_rate, schedule, lr_decay_epochs: how it is trained unless flags say
        otherwise, as the flags of these names. The defaults are those of the residual nets.
    """
    return _mark("net", cls)


def loss(function: Callable | None = None, /) -> Any:
    """Marks a loss, a function of the keywords `logits` and `labels`.

    They are float (batch, classes) and int (batch,); it returns the loss of each sample, float
    (batch,). Its other keyword-only arguments are hyper-parameters, which --loss_options sets.
    """
    return _mark("loss", function)


def noise_model(function: Callable | None = None, /) -> Any:
    """Marks a noise model, a function `(samples, rng, *, rate)`.

    It corrupts the training part and, on a separate stream of random numbers, the validation part.
    `samples` are `labels.by_class.CleanSamples`: labels int32 (N,), images uint8 (N, height, width,
    channels), num_classes. `rng` is a `numpy.random.RandomState` and `rate` is --noise_rate. It
    returns the noisy labels, int (N,), or a `labels.by_class.Draw`, which also says which samples
    were picked, and the transition matrix. Its other keyword-only arguments are hyper-parameters,
    which --noise_options sets.
    """
    return _mark("noise_model", function)


def recipe(**flags: Any) -> dict[str, Any]:
    """Declares a recipe: values of flags, by their names. Flags that are given win over it."""
    return flags


def _mark(kind: str, definition: Any) -> Any:
    if definition is None:  # used as @jaxnoise.net()
        return functools.partial(_mark, kind)
    definition.__jaxnoise__ = kind
    return definition


def defined(config: Config, kind: str) -> Any:
    """The net, loss or noise_model of a run that is of its --user_code; None if it is not.

    Raises:
      InputError: the file cannot be run.
    """
    if config.definition(kind) is None:
        return None
    return getattr(_module(config.user), getattr(config, FLAGS[kind]))


_modules: dict[str, types.ModuleType] = {}


def _module(user: UserCode) -> types.ModuleType:
    """The file as a module, run once in a process."""
    if user.sha256 in _modules:
        return _modules[user.sha256]
    module = types.ModuleType(f"jaxnoise_user_code_{user.sha256[:16]}")
    module.__file__ = user.path
    # Dataclasses, and so Flax's modules, look for their own; a traceback shows the source as run.
    sys.modules[module.__name__] = module
    lines = user.source.splitlines(keepends=True)
    linecache.cache[user.path] = (len(user.source), None, lines, user.path)
    try:
        exec(compile(user.source, user.path, "exec"), vars(module))
    except Exception as error:
        del sys.modules[module.__name__]
        told = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InputError(f"--user_code={user.path}: cannot be run: {told}") from error
    for name, found in vars(module).items():
        kind = getattr(found, "__dict__", {}).get("__jaxnoise__")  # not a base class's
        own = getattr(found, "__module__", None) == module.__name__
        if own and kind and name not in user.declared[kind]:
            raise InputError(
                f"--user_code={user.path}: {name}: allowed for a {kind} is a definition at the top "
                f"of the file, marked by @jaxnoise.{kind}"
            )
    _modules[user.sha256] = module
    return module
