"""Where, when and with what a run was made."""

import contextlib
import importlib.metadata
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax

from jaxnoise import __version__

_PACKAGES = (
    "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets", "numpy",
    "scikit-learn", "scipy",
)  # fmt: skip


def facts() -> dict[str, Any]:
    """Where, when and with what this process makes a run."""
    device = jax.devices()[0]
    return {
        "command": [_program(Path(sys.argv[0])), *sys.argv[1:]],
        # Not among the versions that numbers depend on: what does is in the digests of the code.
        "jaxnoise": __version__,
        "git_revision": _git_revision(),
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": {"platform": device.platform, "kind": device.device_kind},
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _program(path: Path) -> str:
    """The file that was started, or the package, as in `jaxnoise.sweep`."""
    return path.name if path.name != "__main__.py" else f"jaxnoise.{path.parent.name}"


def _git_revision() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()
    return None
