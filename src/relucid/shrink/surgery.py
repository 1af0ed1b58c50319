"""The copy of the model, cut down to a plan: parameters and buffers sliced, sizes set."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from relucid.errors import ShrinkError
from relucid.probes.graph import Captured
from relucid.shrink.analysed import Analysed
from relucid.shrink.axes import Classes, Layout, Reading
from relucid.shrink.combine import Combination
from relucid.shrink.merge import apply_merge
from relucid.shrink.plan import Fold, Plan

_CONVOLUTIONS = nn.modules.conv._ConvNd
_NORMS = nn.modules.batchnorm._NormBase


def owners(model: nn.Module, tensor: Tensor) -> Iterator[tuple[nn.Module, str]]:
    """Yield every module that holds a tensor, with the name under which it does."""
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            yield from ((module, name) for name, one in held.items() if one is tensor)


def twin(model: nn.Module) -> nn.Module:
    """Return a copy of a model that shares the memory of its parameters.

    Raises :class:`~relucid.errors.ShrinkError` where it cannot be copied.
    """
    shared = {id(p): nn.Parameter(p.detach(), p.requires_grad) for p in model.parameters()}
    return _copied(model, shared)


def copy_of(model: nn.Module) -> nn.Module:
    """Return a copy of a model with memory of its own; errors as of :func:`twin`."""
    return _copied(model, {})


def _copied(model: nn.Module, memo: dict[int, Any]) -> nn.Module:
    try:
        return copy.deepcopy(model, memo)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise ShrinkError(
            f"{type(model).__name__} cannot be copied ({error}); give one that copy.deepcopy "
            "takes, without tensors of a graph among its attributes: of torch.nn.utils "
            "parametrizations.weight_norm, for example, in place of weight_norm"
        ) from error


def can_hold(captured: Captured, layout: Layout, model: nn.Module) -> dict[fx.Node, bool]:
    """Return for each weight that is read whether its layer can take constants into a bias.

    Into one that it has, unless another layer has the same; or into a new one, of a linear layer
    or convolution that knows what a bias is.
    """
    biases: dict[fx.Node, set[fx.Node]] = {}
    for reading in layout.readings:
        if reading.bias is not None:
            biases.setdefault(reading.bias, set()).add(reading.weight)
    found: dict[fx.Node, bool] = {}
    for reading in layout.readings:
        if reading.bias is None:
            holds = _biasless(captured, model, reading.weight) is not None
        else:
            alone = len(biases[reading.bias]) == 1 and len(reading.bias.users) == sum(
                one.bias is reading.bias for one in layout.readings
            )
            holds = alone and reading.bias.name in captured.names
        found[reading.weight] = found.get(reading.weight, True) and holds
    return found


def _biasless(captured: Captured, model: nn.Module, weight: fx.Node) -> nn.Module | None:
    """Return the layer that a new bias can be given to."""
    if weight.name not in captured.names:
        return None
    held = list(owners(model, captured.tensors[weight.name]))
    if len(held) != 1 or held[0][1] != "weight":
        return None
    module = held[0][0]
    plain = type(module).forward in _FORWARDS
    return module if plain and getattr(module, "bias", 0) is None else None


_FORWARDS = {
    kind.forward
    for kind in (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d,
                 nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
}  # fmt: skip


@torch.no_grad()
def cut(model: nn.Module, analysed: Analysed, plan: Plan) -> None:
    """Fold the constants of what goes into weights and biases of a copy, then slice it."""
    captured, layout, classes = analysed.captured, analysed.layout, analysed.classes
    held = named_tensors(model)
    shapes = {id(m): _channels(m) for m in model.modules() if isinstance(m, _CONVOLUTIONS)}
    for fold in plan.folds:
        _take_in(model, captured, held, fold)
    for combination in plan.combinations:
        _share_out(model, captured, layout, classes, held, combination)
    for node in captured.module.graph.nodes:
        if node.name in captured.names and node in layout.axes:
            labels = [None if a is None else classes.of(a) for a in layout.axes[node][0]]
            _slice(model, held[captured.names[node.name]], labels, plan)
    for reading in layout.readings:
        _slice_new_bias(model, captured, layout, classes, held, plan, reading)
    for module in model.modules():
        _set_sizes(module, shapes.get(id(module)))
    for merged in plan.merges:
        apply_merge(model, merged, ~plan.goes[classes.of(merged.chain.maker.units)])


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by all of their names."""
    return {**dict(model.named_parameters(remove_duplicate=False)),
            **dict(model.named_buffers(remove_duplicate=False))}  # fmt: skip


def _take_in(model: nn.Module, captured: Captured, held: dict[str, Tensor], fold: Fold) -> None:
    reading = fold.reading
    weight = held[captured.names[reading.weight.name]]
    columns = torch.from_numpy(fold.columns).to(weight.device)
    values = torch.from_numpy(fold.values).to(weight.device)
    shape = [1] * weight.ndim
    shape[reading.weight_in] = -1
    taken = weight.index_select(reading.weight_in, columns).double()
    total = (taken * values.view(shape)).sum(reading.weight_in)
    if fold.carrier is not None:
        carrier = weight.select(reading.weight_in, fold.carrier)
        carrier.copy_(carrier.double() + total / fold.carried)
        return
    _add_to_bias(model, captured, held, reading, total)


def _add_to_bias(
    model: nn.Module, captured: Captured, named: dict[str, Tensor], reading: Reading, total: Tensor
) -> None:
    """Add constants to a layer's bias, which is made where there is none."""
    total = total.flatten(1).sum(1) if total.ndim > 1 else total
    if reading.bias is not None:
        bias = named[captured.names[reading.bias.name]]
        bias.copy_(bias.double() + total)
        return
    weight = named[captured.names[reading.weight.name]]
    ((module, _),) = owners(model, weight)
    held = module._parameters["bias"]
    if held is not None:
        held.copy_(held.double() + total)
        return
    made = nn.Parameter(total.to(weight.dtype), weight.requires_grad)
    module.register_parameter("bias", made)


def _share_out(
    model: nn.Module, captured: Captured, layout: Layout, classes: Classes,
    held: dict[str, Tensor], combination: Combination,
) -> None:  # fmt: skip
    """Add the weights of units that go to those of the units that they are sums of."""
    units = classes.of(combination.maker.units)
    for reading, shares, rest in combination.into:
        atoms = layout.axes[reading.values][0][reading.dim]
        assert atoms is not None
        labels, weight = classes.of(atoms), held[captured.names[reading.weight.name]]
        goes, stays = (
            torch.from_numpy(np.stack([np.flatnonzero(labels == units[i]) for i in some]))
            for some in (combination.goes, combination.stays)
        )
        rows = weight.movedim(reading.weight_in, 0)
        taken = rows[goes].double()
        share, constants = (torch.from_numpy(x).to(weight.device) for x in (shares, rest))
        rows[stays] = (rows[stays].double() + torch.einsum("rk,r...->k...", share, taken)).to(rows)
        total = torch.einsum("r,r...->...", constants, taken).sum(0)
        if bool(total.any()):
            _add_to_bias(model, captured, held, reading, total)


def _slice_new_bias(
    model: nn.Module, captured: Captured, layout: Layout, classes: Classes,
    held: dict[str, Tensor], plan: Plan, reading: Reading,
) -> None:  # fmt: skip
    """Cut a bias that was just made to the units that stay."""
    units = layout.axes[reading.weight][0][reading.weight_out]
    if reading.bias is not None or units is None or reading.weight.name not in captured.names:
        return
    path = captured.names[reading.weight.name].rpartition(".")[0]
    bias = getattr(model.get_submodule(path), "bias", None)
    if isinstance(bias, nn.Parameter) and len(bias) == len(units):
        _slice(model, bias, [classes.of(units)], plan)


def _slice(
    model: nn.Module, before: Tensor, labels: list[NDArray[np.int64] | None], plan: Plan
) -> None:
    after = before.detach()
    for dim, one in enumerate(labels):
        stays = None if one is None else np.flatnonzero(~plan.goes[one])
        if stays is not None and len(stays) < before.shape[dim]:
            after = after.index_select(dim, torch.from_numpy(stays).to(before.device))
    if after.shape != before.shape:
        _replace(model, before, after)


def _replace(model: nn.Module, before: Tensor, after: Tensor) -> None:
    parameter = isinstance(before, nn.Parameter)
    made = nn.Parameter(after, before.requires_grad) if parameter else after
    for module, name in list(owners(model, before)):
        held: dict[str, Any] = module._parameters if parameter else module._buffers
        held[name] = made


def _channels(module: nn.modules.conv._ConvNd) -> tuple[int, int, int]:
    return module.in_channels, module.out_channels, module.groups


def _set_sizes(module: nn.Module, before: tuple[int, int, int] | None) -> None:
    """Set the sizes that PyTorch's modules keep beside their weights."""
    weight = getattr(module, "weight", None)
    if isinstance(module, nn.Linear) and isinstance(weight, Tensor):
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, _CONVOLUTIONS) and isinstance(weight, Tensor) and before is not None:
        _set_channels(module, weight, before)
    elif isinstance(module, _NORMS):
        like = weight if weight is not None else module.running_mean
        if isinstance(like, Tensor):
            module.num_features = len(like)
    elif type(module).__name__ == "Conv1D" and hasattr(module, "nf"):  # a linear layer of GPT-2
        if isinstance(weight, Tensor):
            vars(module).update(nx=weight.shape[0], nf=weight.shape[1])
    elif isinstance(module, nn.PReLU):
        module.num_parameters = weight.numel() if isinstance(weight, Tensor) else 1


def _set_channels(module: nn.modules.conv._ConvNd, weight: Tensor,
                  before: tuple[int, int, int]) -> None:  # fmt: skip
    """Groups go whole: the sides of the weight say how many stay."""
    into, out, groups = before
    if module.transposed:
        module.groups = 1 if groups == 1 else groups * weight.shape[0] // into
        module.in_channels, module.out_channels = weight.shape[0], weight.shape[1] * module.groups
    else:
        module.groups = 1 if groups == 1 else groups * weight.shape[0] // out
        module.in_channels, module.out_channels = weight.shape[1] * module.groups, weight.shape[0]
