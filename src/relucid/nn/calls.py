"""Which torch calls are activations, and which hand on what they are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from relucid.errors import ParameterError, UnknownActivationError
from relucid.functions import Activation, get, is_name

_PASSING = frozenset(
    "identity dropout flatten unflatten reshape view view_as permute transpose t swapaxes movedim "
    "contiguous clone detach squeeze unsqueeze expand expand_as chunk split tensor_split unbind "
    "select narrow getitem to float double half bfloat16 type cat concat stack pad interpolate "
    "channel_shuffle pixel_shuffle pixel_unshuffle mean boolean_dispatch".split()
)
_PASSING_MODULES = (
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    nn.Upsample,
    nn.ChannelShuffle,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
)
_CLAMPS = ("clamp", "clip", "clamp_min")
_NO_ACTIVATION_AS_CALL = ("linear", "identity")


def passes_on(call: Any) -> bool:
    """Whether the result of a function or module roughly keeps the scale of its argument.

    So do views, dropout and pooling, which rearrange or thin out.
    """
    if isinstance(call, nn.Module):
        name = type(call).__name__.lower()
        return isinstance(call, _PASSING_MODULES) or "pool" in name or "dropout" in name
    name = getattr(call, "__name__", "").strip("_")
    return name in _PASSING or "_pool" in name or "dropout" in name


def declared_by(module: nn.Module) -> Activation | None:
    """The activation that a module is, or None."""
    try:
        return get(module)
    except (UnknownActivationError, ParameterError):
        return None


def called_activation(
    call: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Activation | None:
    """The activation that a torch function call computes, or None.

    Parameters are read off the arguments after the first, which PyTorch takes in the order of
    the declaration.
    """
    name = getattr(call, "__name__", "").rstrip("_")
    if name in _CLAMPS:
        return _clamp(args, kwargs)
    if name in _NO_ACTIVATION_AS_CALL or not is_name(name):
        return None
    try:
        words = {n: v for n, v in kwargs.items() if n == "approximate"}
        found = get(name, **words)
        given = {**dict(zip(found.parameters_declared, args[1:], strict=False)), **kwargs}
        numbers = {n: _number(v) for n, v in given.items() if n in found.parameters_declared}
        return found.with_parameters(**{n: v for n, v in numbers.items() if v is not None})
    except ParameterError:
        return None


def _clamp(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Activation | None:
    low, high = (*args[1:], None, None)[:2]
    low, high = _number(kwargs.get("min", low)), _number(kwargs.get("max", high))
    if low is not None and high is not None and low <= high:
        return get("hardtanh", min_val=low, max_val=high)
    return get("relu") if low == 0.0 and high is None else None


def _number(value: Any) -> float | None:
    """A number as a float; of a learned parameter the mean; None for anything else."""
    if isinstance(value, Tensor):
        return float(value.detach().double().mean())
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
