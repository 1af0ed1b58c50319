"""Initialise a model's weights with the gain of the activation that each layer reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from relucid.errors import ModelError, ParameterError
from relucid.nn.flow import INPUT, WEIGHTED, Origin, Reads, reads_of
from relucid.nn.gain import gain

Mode = Literal["fan_in", "fan_out"]


@dataclass(frozen=True)
class LayerInit:
    """What :func:`init_` did with one layer.

    ``gain`` and ``std`` are None where the layer was left as it was; ``note`` says why, or why
    the gain is 1.
    """

    layer: str
    reads: str
    """The activation whose output the layer reads, or what else made its input."""
    gain: float | None
    std: float | None
    note: str = ""


def init_(
    model: nn.Module,
    example: Any = None,
    *,
    mode: Mode = "fan_in",
    generator: torch.Generator | None = None,
) -> list[LayerInit]:
    """Draw weights that keep the scale of signals (or gradients) through a model's activations.

    Every ``Linear``, ``ConvNd`` and ``ConvTransposeNd`` gets normal weights with standard
    deviation ``gain / sqrt(fan)`` and zero bias, where the gain is that of the activation whose
    output the layer *reads* (He et al. 2015, arXiv:1502.01852, equation 10): it makes good what
    that activation took away. A layer that reads the model's input, a normalised signal, or
    anything else that is no activation has gain 1, so pre-activations start at the second moment
    of the input and stay there. SELU's gain is 1, which gives LeCun's initialisation.

    For some functions a second moment of 1 is a point of unstable balance, whatever the gain: in
    30 plain layers of width 256 it grew 2 times with Mish, 12 with GELU, 430 with SiLU, and
    beyond float32 with squared ReLU. Deep networks of these need normalisation layers.

    What a layer reads is seen by running the model on ``example`` once, in evaluation mode
    without gradients; views, dropout and pooling are looked through. Nested ``nn.Sequential``
    need no example. Normalisation layers and embeddings are left alone, and so are weights that
    are frozen, parametrised, shared with another module, or not used on the example.

    Args:
        model: the model, changed in place.
        example: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        mode: ``"fan_in"`` keeps the second moment of signals, ``"fan_out"`` that of gradients.
        generator: source of the random numbers.

    Returns:
        One :class:`LayerInit` a layer, in order of registration: what was drawn, and what was
        refused and why.

    Raises:
        ModelError: if the model has no such layer, or is no Sequential and has no example.
        ParameterError: for an unknown mode.

    """
    if mode not in ("fan_in", "fan_out"):
        raise ParameterError(f"mode must be 'fan_in' or 'fan_out', not {mode!r}")
    reads = reads_of(model, example)
    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, WEIGHTED)]
    if not layers:
        raise ModelError("the model has no Linear or convolution layer to initialise")
    holders = _holders(model)
    report = []
    for name, layer in layers:
        refusal = _refusal(layer, reads, holders)
        if refusal:
            report.append(LayerInit(name, "", None, None, refusal))
        else:
            report.append(_initialise(name, layer, reads.of[layer], mode, generator))
    return report


def _holders(model: nn.Module) -> dict[Tensor, set[nn.Module]]:
    holders: dict[Tensor, set[nn.Module]] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            holders.setdefault(parameter, set()).add(module)
    return holders


def _refusal(layer: nn.Module, reads: Reads, holders: Mapping[Tensor, set[nn.Module]]) -> str:
    """Why a layer must be left alone, or nothing."""
    weight = layer._parameters.get("weight")
    if weight is None:
        return "its weight is computed from other parameters (a parametrisation)"
    if is_lazy(weight):
        return "its shape is unknown until it has run; pass an example"
    if layer not in reads.of:
        return "it was not called when the model ran on the example"
    if not weight.requires_grad:
        return "it is frozen (requires_grad=False)"
    if len(holders[weight]) > 1:
        return "its weight is shared with another module"
    return ""


def _initialise(
    name: str,
    layer: Any,
    origins: Iterable[Origin],
    mode: Mode,
    generator: torch.Generator | None,
) -> LayerInit:
    origin, *others = dict.fromkeys(origins)
    factor, note = _gain(origin, mode)
    if others:
        seen = ", ".join(dict.fromkeys(o.name for o in others))
        note = f"also reads {seen}; the first counts"
    std = factor / math.sqrt(_fan(layer, mode))
    with torch.no_grad():
        nn.init.normal_(layer.weight, std=std, generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return LayerInit(name, origin.name, factor, std, note)


def _gain(origin: Origin, mode: Mode) -> tuple[float, str]:
    """The gain for what is read, and a note where it is 1 for want of a better."""
    if origin.activation is None:
        known = origin == INPUT or "norm" in origin.name.lower()
        return 1.0, "" if known else f"{origin.name} is no declared activation: gain 1"
    try:
        factor = gain(origin.activation, backward=mode == "fan_out")
    except ParameterError as error:
        return 1.0, f"{error}: gain 1"
    if math.isfinite(factor):
        return factor, ""
    return 1.0, f"{origin.name} passes nothing of a standard normal signal: gain 1"


def _fan(layer: Any, mode: Mode) -> float:
    """Number of inputs that an output sums over, or for gradients of outputs that an input feeds.

    A stride lets an input of a convolution feed fewer outputs, and in a transposed convolution an
    output sum over fewer inputs.
    """
    if isinstance(layer, nn.Linear):
        return float(layer.in_features if mode == "fan_in" else layer.out_features)
    channels: int = layer.in_channels if mode == "fan_in" else layer.out_channels
    taps: float = math.prod(layer.kernel_size)
    if layer.transposed == (mode == "fan_in"):
        taps /= math.prod(layer.stride)
    groups: int = layer.groups
    return channels / groups * taps
