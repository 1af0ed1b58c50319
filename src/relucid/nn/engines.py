"""Where a loop runs: compiled for the CPU or for a GPU, called on tensors in one way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import ClassVar

import torch
from torch import Tensor

from relucid.kernels.choose import Route
from relucid.kernels.contract import Loop
from relucid.kernels.llvm.run import Kernel


class OnCpu:
    """A loop compiled by LLVM.

    Tensors are those of the loop's arrays, masks, parameters, outputs, mask outputs and sums, in
    this order. They have no gaps, and are as long as the contract of kernels asks.
    """

    route: ClassVar[Route] = "llvm"

    def __init__(self, loop: Loop) -> None:
        self.kernel = Kernel(loop)

    def __call__(self, tensors: Sequence[Tensor], length: int) -> None:
        """Run on ``length`` elements."""
        addresses = [tensor.data_ptr() for tensor in tensors]
        self.kernel(addresses, length, torch.get_num_threads())

    def in_rows(
        self,
        tensors: Sequence[Tensor],
        length: int,
        row: int,
        channels: int = 1,
        strides: Sequence[int] | None = None,
    ) -> None:
        """Run on rows, as :meth:`relucid.kernels.llvm.run.Kernel.in_rows` says."""
        addresses = [tensor.data_ptr() for tensor in tensors]
        threads = torch.get_num_threads()
        self.kernel.in_rows(addresses, length, row, channels, strides, threads)


class OnGpu:
    """A loop compiled by Triton, called as :class:`OnCpu`."""

    route: ClassVar[Route] = "triton"

    def __init__(self, loop: Loop) -> None:
        from relucid.kernels.triton import launch  # loads Triton, which few processes need

        self._loop, self._launch = loop, launch
        ends = accumulate(map(len, loop.addresses), initial=0)
        self._groups = [slice(first, end) for first, end in pairwise(ends)]

    def __call__(self, tensors: Sequence[Tensor], length: int) -> None:
        """Run on ``length`` elements."""
        self._launch(self._loop, *(tensors[group] for group in self._groups), length=length)

    def in_rows(
        self,
        tensors: Sequence[Tensor],
        length: int,
        row: int,
        channels: int = 1,
        strides: Sequence[int] | None = None,
    ) -> None:
        """Run on rows, as :class:`OnCpu` does."""
        groups = (tensors[group] for group in self._groups)
        self._launch(
            self._loop, *groups, length=length, row=row, channels=channels, strides=strides
        )


Engine = type[OnCpu] | type[OnGpu]
