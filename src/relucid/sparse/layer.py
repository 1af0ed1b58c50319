"""What the linear layers that leave out work have in common: when they may, and when it pays."""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, get_num_threads, is_autocast_enabled, is_grad_enabled, nn
from torch.compiler import is_dynamo_compiling
from torch.utils._device import DeviceContext

from relucid.nn.memory import to_huge_pages
from relucid.nn.ordinary import is_ordinary
from relucid.sparse.calibrate import MOST_TOKENS, Calibration, calibration_of
from relucid.sparse.products import STORAGE

_function_modes: Callable[[], int] = getattr(torch._C, "_len_torch_function_stack", lambda: 1)
"""How many modes are shown the functions that are called."""

_LONGEST_WAIT = 256
"""Calls after which it is looked at again whether leaving out work pays."""

_MEMORY = 0.25
"""What the latest call weighs in the mean share of active units."""

_NEVER = "in full it is faster on this machine, for so many tokens at a time"
_CPU = torch.device("cpu")


class StaleWarning(UserWarning):
    """A layer's weights were changed after it had taken what it needs of them."""


@dataclass(slots=True)
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


class _Way:
    """How calls with a number of tokens and threads go."""

    __slots__ = ("idle", "limit", "reason", "tokens", "wait", "waited")

    def __init__(self, tokens: int, limit: float, never: str = "") -> None:
        self.tokens, self.limit = tokens, limit
        """The largest share at which leaving out work pays."""
        self.reason = never or "too few zeros lately"
        """Why calls are made in full, while they are."""
        self.wait: float = math.inf if never else 0
        """Calls that are made in full before the next attempt."""
        self.waited = 0
        self.idle: list[Any] = []
        """Products that no call is using."""

    def judge(self, share: float) -> None:
        """Wait longer after each attempt that did not pay."""
        self.waited = 0
        self.wait = min(2 * self.wait + 1, _LONGEST_WAIT) if share > self.limit else 0


class _Taken(NamedTuple):
    """The parameters of which something was taken, and as what they were."""

    weight: Tensor | None
    bias: Tensor | None
    weight_at: int = 0
    bias_at: int = 0
    weight_version: int | None = None
    """None: of inference mode, which does not count how often a tensor was written to."""
    bias_version: int | None = None


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
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # PyTorch has no types for it
        self._taken = self._state() if state["_taken"] else _Taken(None, None)

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
        if is_dynamo_compiling():
            return F.linear(x, self.weight, self.bias)
        if type(x) is Tensor and not _function_modes():  # in full is right whatever else there is
            way = self._ways.get((x.numel(), get_num_threads()))
            if way is not None and way.waited < way.wait:
                way.waited += 1
                self._note(way.reason)
                return self.in_full(x)
        obstacle = self._obstacle(x)
        if obstacle:
            self._note(obstacle)
            return F.linear(x, self.weight, self.bias)
        made = self._stale() or self._attempt(x)
        if type(made) is Tensor:
            self.seen.sparse += 1
            return made
        self._note(str(made))
        return self.in_full(x)

    def _note(self, reason: str) -> None:
        """Note a call in full."""
        self.seen.dense += 1
        self.seen.reason = reason

    def calibrate(self, tokens: int) -> Calibration:
        """Time this layer for as many tokens on this machine, or recall it: tenths of a second."""
        key = 1 << (tokens - 1).bit_length(), torch.get_num_threads()
        if key not in self._calibrations:
            self._calibrations[key] = calibration_of(self, *key)
        return self._calibrations[key]

    def in_full(self, x: Tensor) -> Tensor:
        """Return the output with nothing left out."""
        return F.linear(x, self.weight, self.bias)

    @abstractmethod
    def subject(self, tokens: int, share: float) -> tuple[Callable[[], float], Tensor]:
        """For calibration: a call at about this share, which returns the share; and its input."""

    def _called(self, product: Any, x: Tensor) -> float:
        """All that a call does which leaves out work, whether that pays or not; the share."""
        self._obstacle(x) or self._stale()
        share, _ = self._computed(product, x, self._output(x), 1.0)
        assert share is not None  # of the subject's own input
        return share

    @abstractmethod
    def _product(self, tokens: int) -> Any:
        """A product for a number of tokens, for one call at a time."""

    @abstractmethod
    def _computed(
        self, product: Any, x: Tensor, out: Tensor, limit: float
    ) -> tuple[float | None, str]:
        """Compute into ``out``, which need not be done above the share ``limit``.

        Returns the share that it took, None for an x of which it cannot tell, and why ``out`` was
        not computed; "" if it was.
        """

    def _take(self) -> None:
        """Take what is needed of the weights."""
        weight, bias = self.weight, self.bias
        self._taken = self._state()
        self._ways.clear()
        self._dtype = weight.dtype if weight.is_cpu and weight.dtype in STORAGE else None
        """None: no weights of which work can be left out."""
        if self._dtype:
            to_huge_pages(weight.detach())
        self._bias32 = (
            weight.new_zeros(self.out_features, dtype=torch.float32)
            if bias is None
            else bias.detach().float()
        )

    @abstractmethod
    def _stale(self) -> str | None:
        """What is wrong with what was taken of the weights."""

    def _fresh(self) -> bool:
        """Whether the weights are those that it was taken of; ``.data.add_()`` escapes this."""
        taken, parameters = self._taken, self._parameters
        weight, bias = parameters.get("weight"), parameters.get("bias")
        if weight is None or weight is not taken.weight or bias is not taken.bias:
            return False
        if weight.data_ptr() != taken.weight_at:
            return False
        if taken.weight_version is not None and weight._version != taken.weight_version:
            return False
        if bias is None:
            return True
        same = taken.bias_version is None or bias._version == taken.bias_version
        return same and bias.data_ptr() == taken.bias_at

    def _state(self) -> _Taken:
        weight, bias = self.weight, self.bias
        if bias is None:
            return _Taken(weight, None, weight.data_ptr(), 0, _version(weight))
        places = weight.data_ptr(), bias.data_ptr()
        return _Taken(weight, bias, *places, _version(weight), _version(bias))

    def _obstacle(self, x: Tensor) -> str | None:
        """Why work cannot be left out of this call.

        Weights push Python out of the caches, so that at one token its questions take a tenth of
        a call and more: these go to PyTorch's core, and none to the module's parameters.
        """
        if self.training:
            return "in training mode; call eval()"
        if is_grad_enabled() and (x.requires_grad or self._is_trained()):
            return "gradients are wanted; run it under torch.inference_mode()"
        if not (is_ordinary(x) and x.is_cpu):
            return "recorded or transformed by PyTorch, or not on the CPU"
        if _function_modes() and _is_watched():
            return "its operations are watched, by relucid.watch or another mode"
        if x.dtype is not self._dtype or is_autocast_enabled("cpu"):
            return "not float32 or bfloat16 on the CPU throughout"
        if not x.ndim or x.size(-1) != self.in_features:
            return "inputs of another width"
        return None

    def _is_trained(self) -> bool:
        return any(p.requires_grad for p in self.parameters())

    def _attempt(self, x: Tensor) -> Tensor | str:
        """The output; or why there is none."""
        key = x.numel(), get_num_threads()
        way = self._ways.get(key) or self._new_way(key)  # asked again: new weights forget the ways
        if way.waited < way.wait:
            way.waited += 1
            return way.reason
        idle, seen = way.idle, self.seen
        product = idle.pop() if idle else self._product(way.tokens)
        out = self._output(x)
        share, why = self._computed(product, x.contiguous(), out, way.limit)
        idle.append(product)
        if share is not None:
            seen.note(share)
            if way.wait or share > way.limit:
                way.judge(share)
        return why or out

    def _output(self, x: Tensor) -> Tensor:
        # Named, as there may be another device by default.
        return torch.empty((*x.shape[:-1], self.out_features), dtype=x.dtype, device=_CPU)

    def _new_way(self, key: tuple[int, int]) -> _Way:
        tokens = key[0] // self.in_features if self.in_features else 0
        if not 0 < tokens <= MOST_TOKENS:
            never = f"more than {MOST_TOKENS} tokens at a time, or none"
            limit = -1.0
        else:
            limit = self.calibrate(tokens).limit
            never = _NEVER if limit < 0.0 else ""
        way = self._ways[key] = _Way(tokens, limit, never)
        return way


def _is_watched() -> bool:
    """Whether somebody is shown all operations, and would miss some; a default device is not."""
    modes = torch.overrides._get_current_function_mode_stack()
    return any(not isinstance(mode, DeviceContext) for mode in modes)


def _version(tensor: Tensor) -> int | None:
    """How often a tensor was written to, if that is counted."""
    return None if tensor.is_inference() else tensor._version


def warn_stale() -> None:
    """Say that a layer is computed in full from now on."""
    warnings.warn(
        "the weights of an accelerated layer were changed, so it computes in full from now on; "
        "call refresh() on what relucid.accelerate returned, or on the layer",
        StaleWarning,
        stacklevel=2,
    )
