"""GPU kernels beside a plain copy, PyTorch, torch.compile and Liger: bandwidth, as JSON.

Run on a machine with a GPU: ``python benchmarks/gpu.py > gpu.json``. For every function and
direction it gives the median time of each side in milliseconds, the bandwidth in GB/s of the bytes
that the operation has to move, and that bandwidth as a part of what a copy reaches. Sides take
turns call by call. relucid writes into given outputs, the others into new ones, which the caching
allocator has at hand. Results are checked against float64 before they are timed.

The same for the operations of relucid.pack, on numbers of every size, by Triton's kernels and by
PyTorch's own. Scanning and packing contain their wait for the device.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
import triton
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from relucid.functions import get
from relucid.functions.evaluate import keep_nan
from relucid.kernels.build import Builder
from relucid.kernels.contract import Loop
from relucid.kernels.program import Tape
from relucid.kernels.triton import launch
from relucid.kernels.words import KernelWords
from relucid.sparse.packed import forms, gpu, plain

DTYPE, STORAGE = torch.bfloat16, "bfloat16"
TOLERANCE = 2.0**-7
"""Of results in bfloat16, relative; PyTorch's own round twice."""

Call = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """One function in one direction: its inputs and how each side is called."""

    name: str
    direction: str
    inputs: int
    outputs: int
    loop: Loop
    plain: Callable[..., Tensor]
    """The function in PyTorch, of all inputs but the gradient."""


def unary(name: str, plain: Callable[..., Tensor]) -> list[Row]:
    """Both directions of a function of one input."""
    builder = Builder(get(name), STORAGE, 32)
    return [
        Row(name, "forward", 1, 1, builder.forward(), plain),
        Row(name, "backward", 2, 1, builder.backward(), plain),
    ]


def swiglu() -> list[Row]:
    """Both directions of SwiGLU, value first."""
    gate_of: Any = get("silu")
    rows = []
    for direction, names in (("forward", "vg"), ("backward", "vgd")):
        tape = Tape(32)
        m, value, gate, g = KernelWords(tape), *map(tape.input, "vgd")
        opened = keep_nan(lambda m, x: gate_of.formula(m, x, **gate_of.arguments), m, gate)
        slope = keep_nan(
            lambda m, x: gate_of.derivative_formula(m, x, **gate_of.arguments), m, gate
        )
        forward = direction == "forward"
        results = (value * opened,) if forward else (g * opened, g * value * slope)
        loop = Loop(f"swiglu_{direction}", STORAGE, tape, tuple(names), results)
        rows.append(
            Row("swiglu", direction, len(names), len(results), loop, lambda v, g: v * F.silu(g))
        )
    return rows


def squared_relu(x: Tensor) -> Tensor:
    """ReLU squared, in PyTorch."""
    return F.relu(x).square()


def rows() -> list[Row]:
    """All that is measured."""
    return [
        *unary("relu", F.relu),
        *unary("squared_relu", squared_relu),
        *unary("silu", F.silu),
        *unary("gelu", F.gelu),
        *swiglu(),
    ]


def sides(row: Row, tensors: list[Tensor], outputs: list[Tensor]) -> dict[str, Call]:
    """What is timed, by name; ``relucid`` writes into ``outputs``."""
    length = tensors[0].numel()
    found: dict[str, Call] = {
        "relucid": lambda: launch(row.loop, tensors, outputs=outputs, length=length),
        "copy": lambda: outputs[0].copy_(tensors[0]),
    }
    if row.direction == "forward":
        found["pytorch"] = lambda: row.plain(*tensors)
        compiled = torch.compile(row.plain)
        found["torch.compile"] = lambda: compiled(*tensors)
    else:
        *primals, g = tensors
        leaves = [x.detach().requires_grad_() for x in primals]
        y = row.plain(*leaves)
        found["pytorch"] = lambda: torch.autograd.grad(y, leaves, g, retain_graph=True)
        pulled = torch.compile(lambda g, *x: torch.func.vjp(row.plain, *x)[1](g))
        found["torch.compile"] = lambda: pulled(g, *primals)
    if row.name == "swiglu" and importlib.util.find_spec("liger_kernel"):
        found["liger"] = liger(row, tensors)
    return found


def liger(row: Row, tensors: list[Tensor]) -> Call:
    """Liger's kernel: its first argument is the gate, and its backward writes over its inputs."""
    from liger_kernel.ops.swiglu import swiglu_backward, swiglu_forward

    value, gate, *g = (tensor.view(-1, 4096) for tensor in tensors)
    if row.direction == "forward":
        return lambda: swiglu_forward(gate, value)
    own = gate.clone(), value.clone()
    return lambda: swiglu_backward(*own, *g)


def check(row: Row, tensors: list[Tensor], outputs: list[Tensor]) -> None:
    """Stop if relucid's outputs are not the function's."""
    primals = [x[:4096].double().requires_grad_() for x in tensors]
    if row.direction == "backward":
        *primals, g = primals
        truth = torch.autograd.grad(row.plain(*primals), primals, g.detach())
    else:
        truth = (row.plain(*primals).detach(),)
    launch(row.loop, tensors, outputs=outputs, length=tensors[0].numel())
    for output, true in zip(outputs, truth, strict=True):
        torch.testing.assert_close(output[:4096].double(), true, rtol=TOLERANCE, atol=1e-6)


def milliseconds(calls: dict[str, Call], repeats: int) -> dict[str, float]:
    """The median time of each call, taken in turns after five calls of each to warm up."""
    times: dict[str, list[tuple[Any, Any]]] = {name: [] for name in calls}
    for repeat in range(repeats + 5):
        for name, call in calls.items():
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            stop.record()
            if repeat >= 5:
                times[name].append((start, stop))
    torch.cuda.synchronize()
    return {
        name: statistics.median(start.elapsed_time(stop) for start, stop in pairs)
        for name, pairs in times.items()
    }


def measure(row: Row, length: int, repeats: int) -> dict[str, Any]:
    """One row of the result."""
    tensors = [torch.randn(length, device="cuda", dtype=DTYPE) for _ in range(row.inputs)]
    outputs = [torch.empty_like(tensors[0]) for _ in range(row.outputs)]
    check(row, tensors, outputs)
    times = milliseconds(sides(row, tensors, outputs), repeats)
    size = DTYPE.itemsize * length
    named = {"function": row.name, "direction": row.direction}
    return named | figures(times, (row.inputs + row.outputs) * size, 2 * size)


def figures(times: dict[str, float], moved: int, copied: int) -> dict[str, dict[str, float]]:
    """Times, and the bandwidth that they are, of so many bytes and of those of the copy."""
    speed = {
        name: (copied if name == "copy" else moved) / time / 1e6 for name, time in times.items()
    }
    return {
        "milliseconds": times,
        "gigabytes_per_second": speed,
        "part_of_copy": {name: rate / speed["copy"] for name, rate in speed.items()},
    }


ROUTES = {"relucid": gpu, "pytorch": plain}
PACKED = [(dtype, zeros) for dtype in forms.INTEGERS.values() for zeros in (0.5, 0.9)]


def packing(dtype: torch.dtype, zeros: float, length: int, repeats: int) -> list[dict[str, Any]]:
    """Rows of packing's operations on numbers of one type, of which a share is zero."""
    there = torch.rand(length, device="cuda") >= zeros
    numbers = torch.randint(1, 127, (length,), device="cuda", dtype=dtype) * there
    del there
    target = torch.empty_like(numbers)
    calls: dict[str, dict[str, Call]] = {}
    for name, route in ROUTES.items():
        for operation, call in packing_calls(route, numbers).items():
            calls.setdefault(operation, {"copy": lambda: target.copy_(numbers)})[name] = call
    whole, mask = numbers.nbytes, length // 8
    values = int(numbers.count_nonzero()) * dtype.itemsize
    moved = {
        "scan": whole + mask, "gather": whole + values, "scatter": mask + values + whole,
        "fill": mask + whole, "pack": whole + mask + values, "unpack": mask + values + whole,
    }  # fmt: skip
    return [
        {"operation": operation, "bytes_each": dtype.itemsize, "zeros": zeros}
        | figures(milliseconds(turns, repeats), moved[operation], 2 * whole)
        for operation, turns in calls.items()
    ]


def packing_calls(route: ModuleType, numbers: Tensor) -> dict[str, Call]:
    """What is timed of one route, after a look at whether every number comes back."""
    form = forms.packed(numbers, integers=False, route=route)
    assert isinstance(form, forms.MaskAndValues)
    torch.testing.assert_close(form.unpack(), numbers, rtol=0, atol=0)
    length, scanned, values = len(numbers), form.scanned, form.values
    alike = scanned._replace(only=5)
    return {
        "scan": lambda: route.scan(numbers),
        "gather": lambda: route.gather(numbers, scanned),
        "scatter": lambda: route.scatter(length, scanned, values),
        "fill": lambda: route.fill(length, alike, numbers.dtype),
        "pack": lambda: forms.packed(numbers, integers=False, route=route),
        "unpack": form.unpack,
    }


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=1 << 27, help="elements of each array")
    parser.add_argument("--repeats", type=int, default=100, help="timed calls of each side")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("this benchmark needs a GPU, and PyTorch finds none here")
    console = Console(stderr=True)
    results = [measure(row, given.length, given.repeats) for row in track(rows(), console=console)]
    packings = [
        row
        for dtype, zeros in track(PACKED, "Packing", console=console)
        for row in packing(dtype, zeros, given.length, given.repeats)
    ]
    machine = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "dtype": STORAGE,
        "length": given.length,
    }
    json.dump({"machine": machine, "rows": results, "packing": packings}, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
