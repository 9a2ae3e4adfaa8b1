"""A program compiles for every accelerator, where the packages to compile with are installed."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
from places import ROOT

COMPILERS = {"h100": "jax_cuda13_plugin", "a100": "jax_cuda13_plugin", "t4": "jax_cuda13_plugin",
             "v5e": "libtpu", "v6e": "libtpu"}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("target", COMPILERS)
def test_five_members_of_lenet_compile(target, tmp_path):
    if importlib.util.find_spec(COMPILERS[target]) is None:
        pytest.skip(f"{COMPILERS[target]} is not installed")
    file = tmp_path / "found.json"
    command = [sys.executable, ROOT / "benchmarks" / "accelerators.py", f"--targets={target}"]
    env = {name: x for name, x in os.environ.items() if name != "XLA_FLAGS"}
    told = subprocess.run(
        [*command, "--first=1", "--count=1", f"--json={file}"],
        env=env, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    (found,) = json.loads(file.read_text())["targets"][target]
    assert "error" not in found, told
    assert (found["net"], found["members"]) == ("lenet", 5)
    # Five times the products of a step: see `flop_per_seed_step`, which counts no phases.
    assert found["gflop"] == pytest.approx(0.332, rel=0.01)
    assert found["kernels"]["products"] == 14
    assert 50 < found["memory_mib"] < 150  # 45 of them are the pictures, 32 are for cuBLAS
    assert found["roofline_ms"] >= found["products_ms"] > 0
