"""Accelerators to compile for on a machine that has none, with their published peaks.

GPUs need the packages `jax-cuda13-plugin` and `jax-cuda13-pjrt` in JAX's version, but none of
CUDA's; TPUs need `libtpu`. `Target.environment` must be set before JAX starts. One process compiles
for one kind of platform.
"""

import os
from typing import Any, NamedTuple

# The properties of a GPU that XLA's compiler asks for, by their names in its `GpuDeviceInfoProto`,
# in so far as the parser of jax 0.10 knows them; those of all CUDA devices.
_COMMON = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49152,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
}


class Target(NamedTuple):
    """One accelerator."""

    name: str
    platform: str  # gpu or tpu
    # Of one device: dense products in TFLOP/s by `--precision`, and main memory in TB/s.
    peaks: dict[str, float]
    bandwidth: float
    # For a GPU its properties, for a TPU the name of its topology of four chips.
    compiler: Any
    source: str

    @property
    def environment(self) -> dict[str, str]:
        """Variables under which JAX compiles for it."""
        if self.platform == "gpu":
            # There is no device to try kernels on. Without that, XLA finds no Triton kernel for
            # some products, so all of them are calls of cuBLAS.
            flags = "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false"
            given = os.environ.get("XLA_FLAGS", "")
            return {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"{given} {flags}".strip()}
        return {
            "JAX_PLATFORMS": "cpu",
            "TPU_SKIP_MDS_QUERY": "1",
            "TPU_ACCELERATOR_TYPE": "v5litepod-1",
            "TPU_WORKER_ID": "0",
            "TPU_WORKER_HOSTNAMES": "localhost",
            "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        }

    def devices(self, number: int = 1) -> list[Any]:
        """As many of them, as `jax.experimental.topologies` describes them."""
        from jax.experimental import topologies

        if self.platform == "tpu":
            shape = {1: "2x2", 4: "2x2", 8: "2x4"}[number]
            described = topologies.get_topology_desc(f"{self.compiler}:{shape}", platform="tpu")
        else:
            described = topologies.get_topology_desc(
                platform="cuda", target_config=self._text(), topology=f"1x1x{number}"
            )
        return list(described.devices[:number])

    def _text(self) -> str:
        """The GPU as XLA's `GpuTargetConfigProto` in text form."""
        major, minor = self.compiler["capability"]
        of_it = {name: x for name, x in self.compiler.items() if name != "capability"}
        fields = "\n".join(f"  {name}: {value}" for name, value in {**_COMMON, **of_it}.items())
        return (
            f"gpu_device_info {{\n{fields}\n"
            f"  cuda_compute_capability {{ major: {major} minor: {minor} }}\n}}\n"
            'platform_name: "CUDA"\ndnn_version_info { major: 9 minor: 10 patch: 0 }\n'
            f'device_description_str: "{self.name}"\n'
        )


def _gpu(name: str, peaks: dict[str, float], bandwidth: float, source: str, **properties: Any):
    properties["memory_bandwidth"] = int(bandwidth * 1e12)
    return Target(name, "gpu", peaks, bandwidth, properties, source)


def _tpu(name: str, bf16: float, bandwidth: float, source: str):
    # XLA computes float32 products by six products in bfloat16, and those of precision `tf32`, as
    # the next best that there is, by three.
    peaks = {"bf16": bf16, "tf32": bf16 / 3, "float32": bf16 / 6}
    return Target(name, "tpu", peaks, bandwidth, name, source)


TARGETS = {
    target.name: target
    for target in (
        _gpu(
            "h100",
            {"bf16": 989.4, "tf32": 494.7, "float32": 66.9},
            3.352,
            "NVIDIA H100 SXM5, data sheet, without sparsity",
            capability=(9, 0),
            core_count=132,
            fpus_per_core=128,
            clock_rate_ghz=1.98,
            device_memory_size=84942979072,
            l2_cache_size=52428800,
            threads_per_core_limit=2048,
            shared_memory_per_core=233472,
            shared_memory_per_block_optin=232448,
        ),
        _gpu(
            "a100",
            {"bf16": 312, "tf32": 156, "float32": 19.5},
            2.039,
            "NVIDIA A100 80GB SXM4, data sheet, without sparsity",
            capability=(8, 0),
            core_count=108,
            fpus_per_core=64,
            clock_rate_ghz=1.41,
            device_memory_size=85051572224,
            l2_cache_size=41943040,
            threads_per_core_limit=2048,
            shared_memory_per_core=167936,
            shared_memory_per_block_optin=166912,
        ),
        # It has no units for products in bfloat16 or TF32: they are computed as float32.
        _gpu(
            "t4",
            {"bf16": 8.1, "tf32": 8.1, "float32": 8.1},
            0.320,
            "NVIDIA T4, data sheet",
            capability=(7, 5),
            core_count=40,
            fpus_per_core=64,
            clock_rate_ghz=1.59,
            device_memory_size=15 * 2**30,
            l2_cache_size=4194304,
            threads_per_core_limit=1024,
            shared_memory_per_core=65536,
            shared_memory_per_block_optin=65536,
        ),
        _tpu("v5e", 197, 0.819, "https://docs.cloud.google.com/tpu/docs/v5e"),
        _tpu("v6e", 918, 1.638, "https://docs.cloud.google.com/tpu/docs/v6e"),
    )
}
