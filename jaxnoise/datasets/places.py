"""Where data sets are looked for, as absolute paths that hold in another working folder."""

import os
import pathlib

from jaxnoise.config import ARRAYS_PREFIX, InputError, class_folders


def folder(flag: str, path: str | os.PathLike) -> pathlib.Path:
    """The absolute path of a folder, which need not be there.

    Raises:
      InputError: the path, the value of the flag, cannot be a folder.
    """
    # By os.path, because Path.expanduser raises if there is no such user.
    found = pathlib.Path(os.path.expanduser(path)).absolute()
    try:
        found.exists()
    except OSError as error:  # not for a missing folder, but for a path that cannot be one
        raise InputError(f"--{flag}={path}: cannot be a folder: {error.strerror}") from error
    return found


def cache_folder(cache_dir: str | os.PathLike | None = None) -> pathlib.Path:
    """The folder for files that can be recomputed: `cache_dir`, by default one of the user's own.

    Only the copies of a user's arrays in it cannot: see `own_arrays`.

    Raises:
      InputError: the path cannot be a folder.
    """
    user_cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "jaxnoise")
    return folder("cache_dir", cache_dir or user_cache)


def data_folder(name: str, data_dir: str | os.PathLike | None = None) -> pathlib.Path | None:
    """Where `data.load` looks for a data set of this name; None if that is no folder.

    For a TFDS data set it is the TFDS directory, by default $TFDS_DATA_DIR or
    ~/tensorflow_datasets; for `folder:PATH` with a relative PATH, where that starts from.

    Raises:
      InputError: the path cannot be a folder.
    """
    if name == "digits" or name.startswith(ARRAYS_PREFIX):
        return None
    if not name.startswith(class_folders.PREFIX):
        default = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
        return folder("data_dir", data_dir or default)
    absolute = os.path.isabs(os.path.expanduser(name.removeprefix(class_folders.PREFIX)))
    return None if absolute else folder("data_dir", data_dir or "")


def is_in(folder: str, name: str) -> bool:
    """Whether a `data_folder` has something with the name of the data set."""
    if name.startswith(class_folders.PREFIX):
        return os.path.isdir(class_folders.root(name, folder))
    return os.path.isdir(os.path.join(folder, name.split("/")[0]))
