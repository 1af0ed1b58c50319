"""What the linear layers that leave out work have in common: when they may, and when it pays."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._device import DeviceContext

from relucid.nn.ordinary import is_ordinary
from relucid.sparse.calibrate import MOST_TOKENS, Calibration, calibration_of
from relucid.sparse.products import STORAGE

_function_modes: Callable[[], int] = getattr(torch._C, "_len_torch_function_stack", lambda: 1)
"""How many modes are shown the functions that are called."""

_LONGEST_WAIT = 256
"""Calls after which it is looked at again whether leaving out work pays."""

_MEMORY = 0.25
"""What the latest call weighs in the mean share of active units."""


class StaleWarning(UserWarning):
    """A layer's weights were changed after it had taken what it needs of them."""


@dataclass
class Seen:
    """What a layer did so far."""

    sparse: int = 0
    """Calls in which work was left out."""
    dense: int = 0
    """Calls that were computed in full."""
    reason: str = ""
    """Why the latest dense call was dense."""
    share: float | None = None
    """Of the latest calls: the mean share of units that were computed, or read."""

    def note(self, share: float) -> None:
        """Take the share of one more call."""
        before = share if self.share is None else self.share
        self.share = before + _MEMORY * (share - before)


@dataclass
class _Way:
    """How calls with a number of tokens and threads go."""

    limit: float
    """The largest share at which leaving out work pays."""
    idle: list[Any] = field(default_factory=list)
    """Products that no call is using."""
    wait: int = 0
    """Calls that are made in full before the next attempt."""
    waited: int = 0

    def judge(self, share: float) -> None:
        """Wait longer after each attempt that did not pay."""
        self.waited = 0
        self.wait = min(2 * self.wait + 1, _LONGEST_WAIT) if share > self.limit else 0


class SparseLinear(nn.Linear):
    """A linear layer that leaves out work where that changes nothing, and pays.

    It holds the parameters of the layer that it replaces, themselves. Evaluation without gradients
    on a CPU, in float32 or bfloat16, for up to 64 tokens: everything else is computed in full.

    Args:
        linear: the layer to replace.

    """

    way: ClassVar[str]
    """The word for what it leaves out."""

    def __init__(self, linear: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.train(linear.training)
        self.seen = Seen()
        self.surroundings = 0
        """Bytes of other weights that a pass goes through: they push this layer's out of caches."""
        self._calibrations: dict[tuple[int, int], Calibration] = {}
        self._ways: dict[tuple[int, int], _Way] = {}
        self._take()

    def __getstate__(self) -> dict[str, Any]:
        """For copies and files: what was taken of the weights goes along, where it is still so."""
        return self.__dict__ | {"_taken": self._fresh(), "_ways": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the copied parameters for those that all was taken of."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._taken = self._state() if state["_taken"] else ()

    @property
    def extra_bytes(self) -> int:
        """Memory that it takes beyond the layer that it replaced."""
        return 0

    def restored(self) -> nn.Linear:
        """The ordinary layer, with these parameters."""
        linear = nn.Linear(self.in_features, self.out_features, bias=False, device="meta")
        linear.weight, linear.bias = self.weight, self.bias
        return linear.train(self.training)

    def refresh(self) -> None:
        """Take what is needed of the weights as they are now, and forget what was seen."""
        self.seen = Seen()
        self._take()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x @ weight.T + bias``, or what stands in for it: see the class."""
        if torch.compiler.is_compiling():
            return F.linear(x, self.weight, self.bias)
        obstacle = self._obstacle(x)
        reason = obstacle or self._stale() or self._without(x)
        if reason is None:
            made = self._attempt(x if x.is_contiguous() else x.contiguous())
            if type(made) is Tensor:
                self.seen.sparse += 1
                return made
            reason = str(made)
        self.seen.dense += 1
        self.seen.reason = reason
        return F.linear(x, self.weight, self.bias) if obstacle else self.in_full(x)

    def calibrate(self, tokens: int) -> Calibration:
        """Time this layer for as many tokens on this machine, or recall it: tenths of a second."""
        key = 1 << (tokens - 1).bit_length(), torch.get_num_threads()
        if key not in self._calibrations:
            self._calibrations[key] = calibration_of(self, *key)
        return self._calibrations[key]

    def in_full(self, x: Tensor) -> Tensor:
        """Return the output with nothing left out, where nobody records operations."""
        return F.linear(x, self.weight, self.bias)

    @abstractmethod
    def subject(self, tokens: int, share: float) -> tuple[Callable[[], float], Tensor]:
        """For calibration: a call at about this share, which returns the share; and its input."""

    def _called(self, product: Any, x: Tensor) -> float:
        """All that a call does which leaves out work, whether that pays or not; the share."""
        self._obstacle(x) or self._stale() or self._without(x)
        out = torch.empty((*x.shape[:-1], self.out_features), dtype=x.dtype)
        return self._computed(product, x, out, 1.0)[1]

    @abstractmethod
    def _product(self, tokens: int) -> Any:
        """A product for a number of tokens, for one call at a time."""

    @abstractmethod
    def _computed(self, product: Any, x: Tensor, out: Tensor, limit: float) -> tuple[bool, float]:
        """Compute into ``out``: whether it could, and the share that it took; -1: not of this x.

        Above the share ``limit`` it need not.
        """

    def _take(self) -> None:
        """Take what is needed of the weights."""
        self._taken = self._state()
        self._ways.clear()
        bias = self.bias
        self._bias32 = torch.zeros(self.out_features) if bias is None else bias.detach().float()

    @abstractmethod
    def _stale(self) -> str | None:
        """What is wrong with what was taken of the weights."""

    def _without(self, x: Tensor) -> str | None:
        """What else an attempt is without."""
        if not 0 < x.numel() <= MOST_TOKENS * self.in_features:
            return f"more than {MOST_TOKENS} tokens at a time, or none"
        return None

    def _fresh(self) -> bool:
        """Whether the weights are those that it was taken of; ``.data`` escapes this."""
        return self._taken == self._state()

    def _state(self) -> tuple[Any, ...]:
        weight, bias = self.weight, self.bias
        if bias is None:
            return weight.data_ptr(), _version(weight), weight.dtype
        return weight.data_ptr(), _version(weight), weight.dtype, bias.data_ptr(), _version(bias)

    def _obstacle(self, x: Tensor) -> str | None:
        """Why work cannot be left out of this call."""
        weight = self.weight
        if self.training:
            return "in training mode; call eval()"
        if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
            return "gradients are wanted; run it under torch.inference_mode()"
        if not (is_ordinary(x) and weight.is_cpu and x.is_cpu):
            return "recorded or transformed by PyTorch, or not on the CPU"
        if _function_modes() and _is_watched():
            return "its operations are watched, by relucid.watch or another mode"
        dtype = weight.dtype
        if x.dtype is not dtype or dtype not in STORAGE or torch.is_autocast_enabled("cpu"):
            return "not float32 or bfloat16 throughout"
        if not x.ndim or x.size(-1) != self.in_features:
            return "inputs of another width"
        return None

    def _attempt(self, x: Tensor) -> Tensor | str:
        """The output; or why there is none."""
        way = self._way(x.numel() // self.in_features)
        if way.waited < way.wait:
            way.waited += 1
            return "too few zeros lately"
        if way.limit < 0.0:
            return "in full it is faster on this machine, for so many tokens at a time"
        product = way.idle.pop() if way.idle else self._product(x.numel() // self.in_features)
        out = torch.empty((*x.shape[:-1], self.out_features), dtype=x.dtype)
        made, share = self._computed(product, x, out, way.limit)
        way.idle.append(product)
        if share < 0.0:
            return "inputs are not finite, or could overflow, or are not those of the gate"
        self.seen.note(share)
        way.judge(share)
        return out if made else "too few zeros in this call"

    def _way(self, tokens: int) -> _Way:
        key = tokens, torch.get_num_threads()
        way = self._ways.get(key)
        if way is None:
            way = self._ways[key] = _Way(self.calibrate(tokens).limit)
        return way


def _is_watched() -> bool:
    """Whether somebody is shown all operations, and would miss some; a default device is not."""
    modes = torch.overrides._get_current_function_mode_stack()
    return any(not isinstance(mode, DeviceContext) for mode in modes)


def _version(tensor: Tensor) -> int:
    """How often a tensor was written to; those of inference mode do not count it."""
    return 0 if tensor.is_inference() else tensor._version


def warn_stale() -> None:
    """Say that a layer is computed in full from now on."""
    warnings.warn(
        "the weights of an accelerated layer were changed, so it computes in full from now on; "
        "call refresh() on what relucid.accelerate returned, or on the layer",
        StaleWarning,
        stacklevel=2,
    )
