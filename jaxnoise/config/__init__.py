"""Settings: every flag of a run, declared and checked before any work starts.

Takes the values of flags; gives a frozen `Config`, or raises `InputError` with one line that names
the flag, the value and what is allowed. Nothing here loads JAX or NumPy. The only files read are
those whose content is part of a run's identity.

May import: nothing of jaxnoise.
"""

from jaxnoise.config import class_folders, declarations, help, recipes
from jaxnoise.config.data import (
    ARRAYS_NAME,
    ARRAYS_PREFIX,
    IMAGE_SIDES,
    IMAGE_SIZES,
    NOISE_FLAGS,
)
from jaxnoise.config.flags import InputError, counted, flag_type, nearest
from jaxnoise.config.methods import LOSSES, METHODS, MethodConfig
from jaxnoise.config.networks import NETWORKS
from jaxnoise.config.regularizers import RegularizerConfig
from jaxnoise.config.settings import FIELDS, Config

__all__ = [
    "ARRAYS_NAME",
    "ARRAYS_PREFIX",
    "FIELDS",
    "IMAGE_SIDES",
    "IMAGE_SIZES",
    "LOSSES",
    "METHODS",
    "NETWORKS",
    "NOISE_FLAGS",
    "Config",
    "InputError",
    "MethodConfig",
    "RegularizerConfig",
    "class_folders",
    "counted",
    "declarations",
    "flag_type",
    "help",
    "nearest",
    "recipes",
]
