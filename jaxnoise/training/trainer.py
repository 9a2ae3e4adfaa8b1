"""`Trainer`, which spreads members over the hardware: groups, devices, cores.

A *group* is the members that run together as one vmapped program, sharded over all devices.
Accelerators run the groups one after the other, and a group is as large as their memory allows. On
a CPU a group is one member, and there are as many workers as cores: XLA runs most products of such
a program on one thread, so this keeps every core busy and takes less memory.
"""

import functools
import operator
import os
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from jaxnoise.train_step import Program
from jaxnoise.training import evaluation, loop
from jaxnoise.training.compiled import Compiled
from jaxnoise.training.program_cache import CompileTimes, ProgramCache

# Share of a device's memory that a program may take; the rest is for fragments and other programs.
MEMORY_SHARE = 0.9


class Trainer:
    """Trains and measures any number of members."""

    def __init__(
        self,
        program: Program,
        batch_size: int,
        *,
        stages: Sequence[bool] = (False, True),
        members_at_once: int = 0,
        memory_bytes: int | None = None,
        programs: Path | None = None,
        devices: Sequence[jax.Device] | None = None,
    ):
        """Sets up programs for all devices; they are compiled when first called.

        Args:
          stages: the kinds of epochs there will be, in order: whether they have the Jacobian term.
          members_at_once: largest size of a group; 0 lets the hardware decide.
          memory_bytes: memory of one device; by default what the device reports, if it does.
          programs: folder in which compiled programs of a CPU are kept, and how long compiling
            takes; None: nowhere.
          devices: default: all that JAX has. Those of a topology are not there, so that only
            `epoch_program`, `memory` and `at_once` work; they need `memory_bytes`.
        """
        self._members_at_once = members_at_once
        devices = jax.devices() if devices is None else devices
        self._mesh = jax.make_mesh(
            (len(devices),), ("members",), axis_types=(jax.sharding.AxisType.Auto,), devices=devices
        )
        self._on_cores = devices[0].platform == "cpu" and len(devices) == 1
        self._workers = _cores() if self._on_cores else 1
        self._compile = functools.partial(
            Compiled,
            mesh=self._mesh,
            programs=ProgramCache(programs) if programs and self._on_cores else None,
            times=CompileTimes(programs) if programs else None,
        )
        if memory_bytes is None:
            memory_bytes = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
        self._memory = memory_bytes
        # On cores a worker may be ahead, and must not free the progress that is still to be read.
        donated = () if self._on_cores else (0,)
        numbers = {False: "", True: ""}
        if len(stages) > 1:
            numbers |= {kind: f" (program {i} of 2)" for i, kind in enumerate(stages, start=1)}
        self._advance = {
            with_jacobian: self._compile(
                functools.partial(
                    loop.advance,
                    program=program,
                    batch_size=batch_size,
                    with_jacobian=with_jacobian,
                ),
                members=2,
                shared=2,
                name="an epoch of training" + " with the Jacobian term" * with_jacobian + number,
                donate_argnums=donated,
            )
            for with_jacobian, number in numbers.items()
        }
        self._largest = self._advance[stages[-1]]
        # Not by device_put, which does not move keys to the devices of other hosts.
        self._spread = jax.jit(lambda group: group, out_shardings=self._along)
        start = functools.partial(loop.start, program=program)
        self._start = self._compile(start, shared=1)
        self._mean_jacobian, self._logits = (
            self._compile(functools.partial(measure, program=program), shared=2, name=name)
            for measure, name in (
                (evaluation.mean_jacobian, "the Jacobian norms"),
                (evaluation.logits, None),
            )
        )
        self._evaluate = self._compile(
            lambda state, labels, pictures: evaluation.evaluate(
                state, pictures, *labels, program=program
            ),
            members=2,
            shared=1,
        )

    def epochs(
        self,
        members: list[loop.Member],
        pictures: loop.Pictures,
        *,
        epochs: int,
        jacob_start_epoch: int,
        first_epoch: int = 0,
        progress: list[loop.Progress] | None = None,
    ) -> Iterator[tuple[list[loop.Progress], dict[str, np.ndarray]]]:
        """Trains all members; yields their progress and scalars after every epoch.

        Groups do not wait for each other: a free worker takes the next epoch of the group that is
        furthest behind.

        Args:
          epochs: number of epochs, those before `first_epoch` included.
          jacob_start_epoch: the first epoch with the Jacobian term; `epochs` or more for never.
          first_epoch: the epoch to start from.
          progress: of each group before `first_epoch`, from `spread`, not to be used again; by
            default that of members that have not trained yet.

        Yields:
          the progress of each group, valid until the next epoch is requested, and for every metric
          of `loop.advance` an array (members,).
        """
        pictures = self._shared(pictures)
        groups = self._groups(members, pictures)
        finished: dict[int, queue.SimpleQueue] = {
            epoch: queue.SimpleQueue() for epoch in range(first_epoch, epochs)
        }

        def advance(i: int, epoch: int, progress: loop.Progress) -> None:
            try:
                arguments = (progress, groups[i], pictures, self._shared(np.int32(epoch)))
                progress, metrics = self._advance[epoch >= jacob_start_epoch](*arguments)
                jax.block_until_ready(progress)
            except Exception as error:
                finished[epoch].put((i, error, None))
                return
            # Before the result is put in the queue, as the pool may be closed afterwards.
            if self._on_cores and epoch + 1 < epochs:
                pool.submit(advance, i, epoch + 1, progress)
            finished[epoch].put((i, progress, metrics))

        if progress is None:
            progress = [self._start(group, pictures) for group in groups]
        progress = list(progress)
        metrics: list[Any] = [None] * len(groups)
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                for epoch in range(first_epoch, epochs):
                    if epoch == first_epoch or not self._on_cores:
                        for i, state in enumerate(progress):
                            pool.submit(advance, i, epoch, state)
                    for _ in groups:
                        i, state, scalars = finished[epoch].get()
                        if isinstance(state, Exception):
                            raise state
                        progress[i], metrics[i] = state, scalars
                    yield progress, self.gather(metrics, len(members))
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def mean_jacobian(self, states: list[Any], pictures: loop.Pictures, index: Any) -> list[Any]:
        """`evaluation.mean_jacobian` of the groups' states, each float32 (members,) or a tree."""
        return self._measure(self._mean_jacobian, states, shared=(pictures, index))

    def logits(
        self, states: list[Any], pictures: loop.Pictures, index: np.ndarray
    ) -> list[jax.Array]:
        """`evaluation.logits` of the groups' states, each float32 (members, pictures, classes)."""
        return self._measure(self._logits, states, shared=(pictures, index))

    def evaluate(
        self, states: list[Any], members: list[loop.Member], pictures: loop.Pictures
    ) -> list[tuple[dict[str, jax.Array], evaluation.Samples]]:
        """`evaluation.evaluate` of the groups' states, with a leading axis (members,)."""
        labels = [(member.noisy_labels, member.noisy_valid_labels) for member in members]
        labels = self.spread(loop.stack_members(labels), members, pictures)
        return self._measure(self._evaluate, states, labels, shared=(pictures,))

    def measuring(
        self, function: Callable, *, members: int = 1, shared: int = 0, name: str | None = None
    ) -> Callable:
        """Turns a function of one member into a function of groups, compiled once.

        See `spectrum.panel` for a use. The result returns a list of groups.

        Args:
          members: number of leading arguments of `function` that belong to a member; the result
            takes lists of groups for them, such as `spread` makes.
          shared: number of trailing arguments of `function` that all members share; the result
            takes them as a tuple, `shared`.
          name: what the log says is being compiled, if it is to say so.
        """
        compiled = self._compile(function, members=members, shared=shared, name=name)
        return functools.partial(self._measure, compiled)

    def _measure(self, function: Callable, *groups: list[Any], shared: tuple) -> list[Any]:
        shared = self._shared(shared)
        with ThreadPoolExecutor(self._workers) as pool:
            return list(pool.map(lambda *group: function(*group, *shared), *groups))

    def spread(self, tree: Any, members: list[loop.Member], pictures: loop.Pictures) -> list[Any]:
        """Splits a tree with a leading axis (members,) into the groups of `epochs`, on the devices.

        Copies of the last member fill up the last group.
        """
        size, last = self._group_size(members, pictures), len(members) - 1
        places = (np.arange(i, i + size).clip(max=last) for i in range(0, len(members), size))
        return [self._spread(jax.tree.map(operator.itemgetter(i), tree)) for i in places]

    def gather(self, groups: list[Any], count: int) -> Any:
        """Joins the trees of groups into one tree of NumPy arrays (count, ...), on every host."""
        if jax.process_count() > 1:
            groups = [multihost_utils.process_allgather(group, tiled=True) for group in groups]
        return jax.tree.map(lambda *x: np.concatenate(x)[:count], *jax.device_get(groups))

    def at_once(self, members: list[loop.Member], pictures: loop.Pictures) -> int:
        """How many of the members are trained at the same time: all that fit the devices' memory.

        On a CPU it is as many as keep the cores busy, as more would not train faster.
        """
        return self._workers if self._on_cores else self._group_size(members, pictures)

    def memory(self, members: list[loop.Member], pictures: loop.Pictures) -> int:
        """Bytes that training takes on a device; on a CPU, for all busy cores together."""
        workers = min(self._workers, len(members))
        size = self._group_size(members, pictures)
        return workers * self._largest.memory(*self._arguments(size, members, pictures))

    def epoch_program(self, members: list[loop.Member], pictures: loop.Pictures) -> Any:
        """The executable of an epoch of a group, a `jax.stages.Compiled`."""
        size = self._group_size(members, pictures)
        return self._largest.program(*self._arguments(size, members, pictures))

    def _arguments(
        self, size: int, members: list[loop.Member], pictures: loop.Pictures
    ) -> tuple[Any, ...]:
        """The arguments of an epoch's program for a group of that size, as shapes."""
        group = jax.eval_shape(loop.stack_members, members[:1] * size)
        group, progress = _shapes(
            (group, jax.eval_shape(self._start.mapped, group, pictures)), self._along
        )
        return progress, group, *_shapes((pictures, np.int32(0)), self._whole)

    def _groups(self, members: list[loop.Member], pictures: loop.Pictures) -> list[loop.Member]:
        return self.spread(loop.stack_members(members), members, pictures)

    def _group_size(self, members: list[loop.Member], pictures: loop.Pictures) -> int:
        """The largest size that fits, reduced if a smaller one fills the last group better."""
        at_once = self._members_at_once or (1 if self._on_cores else len(members))
        devices = self._mesh.size
        while True:
            number = -(-len(members) // at_once)
            per_device = -(-len(members) // (number * devices))
            size = per_device * devices
            if self._memory is None or per_device == 1:
                return size
            arguments = self._arguments(size, members, pictures)
            fitting = MEMORY_SHARE * self._memory / self._largest.memory(*arguments)
            if fitting >= 1:
                return size
            at_once = max(1, min(per_device - 1, int(per_device * fitting))) * devices

    @property
    def _along(self) -> NamedSharding:
        return NamedSharding(self._mesh, PartitionSpec("members"))

    @property
    def _whole(self) -> NamedSharding:
        return NamedSharding(self._mesh, PartitionSpec())

    def _shared(self, tree: Any) -> Any:
        return jax.device_put(tree, self._whole)


def _shapes(tree: Any, sharding: NamedSharding) -> Any:
    """The arrays of a tree as shapes with a sharding."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def _cores() -> int:
    """Number of cores that this process may use, if the system reports it; else of all cores."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
