"""What a model takes and how long it runs: parameters, bytes, multiplications, paired latency."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from relucid.interleave import Clock, Effort, interleave
from relucid.probes.batches import Batch, samples_in
from relucid.probes.fast_path import fast_path
from relucid.probes.tensors import bytes_of
from relucid.probes.undisturbed import undisturbed
from relucid.records.receipt import Latency, Size

EFFORT = Effort(seconds=0.3, least=7, most=201)
"""Of fewer than 6 pairs the median has no interval of 95%."""
CONFIDENCE = 0.95


def size_of(model: nn.Module, batch: Batch) -> Size:
    """Return what a model takes: parameters, bytes, and multiplications for one sample."""
    return Size(
        parameters=sum(p.numel() for p in model.parameters()),
        bytes=bytes_of(model),
        macs=multiplications(model, batch),
    )


def multiplications(model: nn.Module, batch: Batch) -> int:
    """Return the multiplications with addition for one sample, by running the model once.

    Counted as PyTorch's counter does: linear layers, convolutions, matrix products, attention;
    and recurrent layers, which it leaves out on CPUs.
    """
    counter = FlopCounterMode(display=False, custom_mapping=_RECURRENT)
    with _measured(model), _unfused(), counter:
        batch.call(model)
    # The counter says two for a multiplication and an addition.
    return round(counter.get_total_flops() / 2 / samples_in(batch))


def latency(
    before: nn.Module,
    after: nn.Module,
    batch: Batch,
    effort: Effort = EFFORT,
    clock: Clock = time.perf_counter_ns,
) -> Latency:
    """Time both models on a batch in turns, and return their ratio with its 95% interval.

    The interval is that of the median in order statistics, which supposes nothing of how times
    are distributed.
    """
    device = batch.tensors()[0].device if batch.tensors() else torch.device("cpu")

    def run(model: nn.Module) -> None:
        batch.call(model)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    with _measured(before), _measured(after):
        runs = [lambda _: run(before), lambda _: run(after)]
        times = interleave(runs, 1, effort, clock, warm=False) * 1e-9
    return _compared(times[:, 0], times[:, 1], _where(device, batch))


def _compared(before: NDArray[np.float64], after: NDArray[np.float64], where: str) -> Latency:
    ratios = before / after
    test = stats.quantile_test(ratios, q=1.0, p=0.5)
    interval: Any = test.confidence_interval(CONFIDENCE)  # its stubs call it a float
    return Latency(
        before=float(np.median(before)),
        after=float(np.median(after)),
        faster=float(np.median(ratios)),
        low=float(interval.low),
        high=float(interval.high),
        confidence=CONFIDENCE,
        pairs=len(ratios),
        where=where,
    )


def machine() -> str:
    """Return what times belong to, in words."""
    return f"{platform.machine()}, {_threads()}, PyTorch {torch.__version__}"


def _where(device: torch.device, batch: Batch) -> str:
    return f"{batch}, {_threads()}" if device.type == "cpu" else str(batch)


def _threads() -> str:
    count = torch.get_num_threads()
    return f"{count} thread{'s' * (count != 1)}"


@contextmanager
def _measured(model: nn.Module) -> Iterator[None]:
    """In evaluation mode, without gradients, and without a trace afterwards."""
    with undisturbed(model, evaluate=True), torch.no_grad():
        yield


@contextmanager
def _unfused() -> Iterator[None]:
    """Attention in plain products: the counter does not know the fused forms of CPUs."""
    fast_path.forbid()
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        fast_path.allow()


def _recurrent(
    x: Sequence[int], by_input: Sequence[int], by_state: Sequence[int], *_: Any, **__: Any
) -> int:
    """Operations of oneDNN's recurrent layer, from the shapes of its operands."""
    return 2 * x[0] * x[1] * (math.prod(by_input) + math.prod(by_state))


_RECURRENT = {torch.ops.aten.mkldnn_rnn_layer: _recurrent}


def largest_difference(before: Tensor, after: Tensor) -> float:
    """Return the largest difference of two outputs over the largest magnitude of the first.

    Equal NaN and equal infinities differ by 0. NaN where one has them and the other does not.
    """
    before, after = before.detach().double(), after.detach().double()
    same = (before == after) | (before.isnan() & after.isnan())
    difference = torch.where(same, 0.0, (before - after).abs())
    if not difference.numel() or not bool(difference.any()):
        return 0.0
    if not bool(difference.isfinite().all()):
        return float("nan")
    scale = torch.where(before.isfinite(), before.abs(), 0.0).max()
    return float(difference.max() / scale) if float(scale) else float("inf")
