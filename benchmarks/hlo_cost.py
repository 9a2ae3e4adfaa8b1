"""What a compiled program does, counted from the text of its optimized HLO.

A *kernel* is an instruction that runs by itself: a fusion, a product, a convolution, a copy. Each
is counted as often as the loops around it run. XLA's own cost analysis exists for TPUs alone, and
counts a loop once.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_BITS = {"pred": 8, "bf16": 16, "token": 0}  # those whose name does not end in their bits
# Instructions that only name a value, or the end of one that has been counted.
_VALUES = {"parameter", "constant", "iota"}
_FREE = _VALUES | {
    "tuple", "get-tuple-element", "bitcast", "after-all", "opt-barrier", "partition-id",
    "replica-id", "copy-done", "async-done", "async-update",
}  # fmt: skip
_MOVES = {"copy", "copy-start", "transpose", "concatenate", "reshape", "pad", "slice"}
_COLLECTIVES = (
    "all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute",
    "collective-broadcast",
)  # fmt: skip


class Kernel(NamedTuple):
    """One instruction that runs by itself."""

    kind: str  # products, convolutions, fusions, copies, collectives or others
    flops: float  # of its products and convolutions, 2 for each multiplication with its addition
    bytes: float  # read from and written to main memory
    cycles: int  # that it takes by the estimate of the compiler, which TPUs' gives; else 0
    times: int  # how often it runs in the whole program
    loops: tuple[int, ...]  # how often the bodies of the loops around it run, the outermost first


class _Instruction(NamedTuple):
    shape: str
    opcode: str
    operands: list[str]
    attributes: str


class Program:
    """A program as HLO text, parsed."""

    def __init__(self, text: str):
        self._computations: dict[str, dict[str, _Instruction]] = {}
        self._roots: dict[str, str] = {}
        self._entry = ""
        for line in text.splitlines():
            if begins := re.match(r"(ENTRY )?%?([\w.\-]+) (\(.*)?\{$", line):
                name = begins[2]
                self._computations[name] = {}
                self._entry = name if begins[1] else self._entry
            elif found := re.match(r"\s+(ROOT )?%?([\w.\-]+) = (.*)", line):
                self._computations[name][found[2]] = _instruction(found[3])
                if found[1]:
                    self._roots[name] = found[2]

    def kernels(self) -> Iterator[Kernel]:
        """All kernels, in the order of the text."""
        yield from self._kernels(self._entry, ())

    def _kernels(self, computation: str, loops: tuple[int, ...]) -> Iterator[Kernel]:
        inside = self._computations[computation]
        for one in inside.values():
            called = dict(
                re.findall(r"\b(calls|body|condition|to_apply)=%?([\w.\-]+)", one.attributes)
            )
            if one.opcode in _FREE:
                continue
            if one.opcode == "while":
                trips = self._trips(one, called["condition"])
                for part in ("body", "condition"):
                    yield from self._kernels(called[part], (*loops, trips))
            elif one.opcode == "conditional":
                # Of its branches, the one that moves most.
                names = re.search(r"branch_computations=\{([^}]*)\}", one.attributes)
                names = (
                    re.findall(r"[\w.\-]+", names[1])
                    if names
                    else re.findall(r"(?:true|false)_computation=%?([\w.\-]+)", one.attributes)
                )
                branches = [list(self._kernels(branch, loops)) for branch in names]
                yield from max(branches, key=lambda found: sum(x.bytes * x.times for x in found))
            elif one.opcode in ("call", "async-start") and called:
                yield from self._kernels(called.get("to_apply") or called["calls"], loops)
            else:
                yield self._kernel(one, inside, called.get("calls"), loops)

    def _trips(self, loop: _Instruction, condition: str) -> int:
        """How often a loop runs; JAX's scans count from 0, by ones, while less than a constant."""
        if known := re.search(r'known_trip_count":\{"n":"(\d+)"', loop.attributes):
            return int(known[1])
        inside = self._computations[condition]
        last = inside[self._roots[condition]]
        if last.opcode == "compare" and "direction=LT" in last.attributes:
            counter, limit = (inside[name] for name in last.operands)
            counts = counter.opcode == "get-tuple-element" and counter.shape.startswith("s32[]")
            if counts and limit.opcode == "constant":
                return int(limit.operands[0])
        raise ValueError(f"a loop of unknown length: {loop.attributes[:300]}")

    def _kernel(
        self, one: _Instruction, inside: dict, fused: str | None, loops: tuple[int, ...]
    ) -> Kernel:
        whole = self._computations[fused] if fused else {"": one}
        flops, kind = 0.0, "others"
        for part in whole.values():
            around = whole if fused else inside
            more, what = _flops(part, around)
            flops += more
            kind = what or kind
        if flops == 0:
            kind = "fusions" if fused else kind
            if one.opcode in _MOVES:
                kind = "copies"
            if one.opcode.removesuffix("-start") in _COLLECTIVES:
                kind = "collectives"
        moved = self._read(one, inside, fused) + self._written(one, inside, fused)
        expected = re.search(r'"estimated_cycles":"(\d+)"', one.attributes)
        cycles = int(expected[1]) if expected else 0
        return Kernel(kind, flops, moved, cycles, math.prod(loops), loops)

    def _read(self, one: _Instruction, inside: dict, fused: str | None) -> float:
        """Bytes of the operands; of those that are only sliced, gathered or updated, the parts."""
        sizes = [_bytes(inside[name].shape) for name in one.operands]
        if not fused:
            return sum(_share(one, i, size) for i, size in enumerate(sizes))
        body, total = self._computations[fused], 0.0
        numbers = {
            part.operands[0]: name for name, part in body.items() if part.opcode == "parameter"
        }
        for number, size in enumerate(sizes):
            names, parts = {numbers[str(number)]}, 0.0
            for name, part in body.items():  # in order of use
                if part.opcode == "bitcast" and names & {*part.operands}:
                    names.add(name)
                elif part.opcode not in _VALUES:
                    of_it = [i for i, operand in enumerate(part.operands) if operand in names]
                    parts += sum(_share(part, i, size) for i in of_it)
            total += min(parts, size)
        return total

    def _written(self, one: _Instruction, inside: dict, fused: str | None) -> float:
        """Bytes of the result, or of the part that is updated in place."""
        if not fused:
            return _result(one, inside)
        body = self._computations[fused]
        root = body[self._roots[fused]]
        written = 0.0
        for part in [body[name] for name in root.operands] if root.opcode == "tuple" else [root]:
            while part.opcode == "bitcast":
                part = body[part.operands[0]]
            written += _result(part, body)
        # The shape of the fusion itself says what stays in a core's own memory, as on TPUs.
        return min(written, _bytes(one.shape))


def _instruction(text: str) -> _Instruction:
    end = _closing(text, 0) if text[0] == "(" else text.index(" ")
    shape, rest = text[:end], text[end:].strip()
    opcode, _, rest = rest.partition("(")
    end = _closing("(" + rest, 0) - 1
    inside, attributes = rest[: end - 1], rest[end:]
    if opcode in _VALUES:
        operands = [inside]  # a value, nothing, or a number
    else:
        operands = re.findall(r"%([\w.\-]+)", inside) or re.findall(r"([\w.\-]+)(?:,|$)", inside)
    return _Instruction(shape, opcode, operands, attributes)


def _closing(text: str, start: int) -> int:
    """The place after the bracket that closes the one at `start`."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i + 1
    raise ValueError(f"no bracket closes: {text[:200]}")


def _shape(text: str) -> list[int]:
    """The dimensions of an array's shape."""
    return [int(x) for x in re.search(r"\[([\d,]*)\]", text)[1].split(",") if x]


def _bytes(text: str) -> float:
    """Of an array or a tuple, in main memory: those in a core's own memory do not count."""
    total = 0.0
    for dtype, dimensions, layout in re.findall(r"(\w+)\[([\d,]*)\](\{[^}]*\})?", text):
        if "S(1)" in layout:
            continue
        bits = _BITS.get(dtype) if dtype in _BITS else int(re.search(r"(\d+)", dtype)[1])
        total += bits / 8 * math.prod(int(x) for x in dimensions.split(",") if x)
    return total


def _share(user: _Instruction, place: int, size: float) -> float:
    """Bytes that an instruction reads of its operand at a place, which has that size."""
    if place == 0 and user.opcode in ("dynamic-slice", "gather", "slice"):
        return min(size, _bytes(user.shape))
    if place == 0 and user.opcode == "dynamic-update-slice":
        return 0.0
    return size


def _result(one: _Instruction, inside: dict) -> float:
    if one.opcode == "dynamic-update-slice":
        return _bytes(inside[one.operands[1]].shape)
    if one.opcode == "custom-call":  # a library's, whose second result is room to work in
        return _bytes(_first(one.shape))
    return _bytes(one.shape)


def _first(shape: str) -> str:
    """The first array of a tuple, or the array that it is."""
    return re.match(r"\(?(\w+\[[\d,]*\](\{[^}]*\})?)", shape)[1]


def _flops(one: _Instruction, around: dict) -> tuple[float, str | None]:
    """FLOP of a product or a convolution, and which it is; 0 and None of anything else."""
    if one.opcode == "dot":
        left = _shape(around[one.operands[0]].shape)
        over = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", one.attributes)[1]
        summed = math.prod(left[int(i)] for i in over.split(",") if i)
        return 2.0 * math.prod(_shape(one.shape)) * summed, "products"
    if one.opcode == "convolution":
        return _of_convolution(one, around)
    if one.opcode == "custom-call":
        if "__cublas" in one.attributes:
            left = _shape(around[one.operands[0]].shape)
            over = re.search(r'lhs_contracting_dimensions":\[([^\]]*)\]', one.attributes)[1]
            summed = math.prod(left[int(i)] for i in re.findall(r"\d+", over))
            return 2.0 * math.prod(_shape(_first(one.shape))) * summed, "products"
        if "__cudnn$conv" in one.attributes:
            return _of_convolution(one, around)
    return 0.0, None


def _of_convolution(one: _Instruction, around: dict) -> tuple[float, str]:
    """Counts the taps that meet a pixel: TPUs run batched products as convolutions that pad."""
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", one.attributes)
    of_input, of_kernel, of_result = labels.groups()
    image, kernel = (_shape(around[name].shape) for name in one.operands[:2])
    result = _shape(_first(one.shape))
    window = dict(
        re.findall(
            r"(\w+)=([\dx_\-]+)", re.search(r"window=\{([^}]*)\}|$", one.attributes)[1] or ""
        )
    )
    spatial = sorted(label for label in of_result if label.isdigit())
    taps = 1
    for i, label in enumerate(spatial):
        part = {name: value.split("x")[i] for name, value in window.items()}
        taps *= _taps(
            image[of_input.index(label)],
            kernel[of_kernel.index(label)],
            result[of_result.index(label)],
            stride=int(part.get("stride", 1)),
            before=int(part.get("pad", "0_0").split("_")[0]),
            spread=int(part.get("lhs_dilate", 1)),
            kernel_spread=int(part.get("rhs_dilate", 1)),
        )
    outside = math.prod(result[of_result.index(label)] for label in spatial)
    others = math.prod(result) / outside
    flops = 2.0 * others * taps * kernel[of_kernel.index("i")]
    return flops, "convolutions" if taps > outside else "products"


def _taps(
    size: int,
    kernel: int,
    result: int,
    *,
    stride: int,
    before: int,
    spread: int,
    kernel_spread: int,
) -> int:
    """Along one axis, the pairs of a result and a weight of the kernel that meet at a pixel."""
    last = (size - 1) * spread
    places = (i * stride + k * kernel_spread - before for i in range(result) for k in range(kernel))
    return sum(0 <= place <= last and place % spread == 0 for place in places)
