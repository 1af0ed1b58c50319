"""Which weighted layer feeds a pre-activation: tensors are followed by identity, weakly held."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, overload

from torch import Tensor, nn

from relucid.probes.tensors import uncountable
from relucid.records import Layer, Reader


@dataclass(frozen=True)
class Weighted:
    """A linear map that was applied: where, of which class, and its weight and bias."""

    name: str
    kind: str
    fan_in: int
    weight: Tensor
    bias: Tensor | None
    owner: nn.Module | None = None
    """The module whose ``weight`` it is."""

    def record(self, normalised_by: str | None) -> Layer | None:
        """Read the present weights, also where they were replaced; None where there are none.

        FSDP frees the whole weights after the pass: this rank's part is read in their place.
        """
        weight, bias = self._present("weight", self.weight), self._present("bias", self.bias)
        if weight is None:
            return None
        rms = float(weight.double().square().mean().sqrt())
        mean = 0.0 if bias is None else float(bias.double().mean())
        return Layer(self.name, self.kind, self.fan_in, rms, mean, normalised_by)

    def _present(self, name: str, tensor: Tensor | None) -> Tensor | None:
        if tensor is None:
            return None
        present = None if self.owner is None else self.owner._parameters.get(name)
        if isinstance(tensor, nn.Parameter) and type(present) is nn.Parameter:
            tensor = present
        if _readable(tensor):
            return tensor.detach()
        part = getattr(getattr(self.owner, name, None), "to_local", lambda: None)()
        return part.detach() if isinstance(part, Tensor) and _readable(part) else None


def _readable(tensor: Tensor) -> bool:
    """Whether there are values, and the memory that they lie in was not freed."""
    if uncountable(tensor) or not tensor.numel():
        return False
    return tensor.untyped_storage().nbytes() > 0


class Origin(NamedTuple):
    """Where a tensor comes from.

    ``channels_from_end`` is the unit axis counted from the end, where the producing layer says
    it and nothing has moved the axes since.
    """

    weighted: Weighted | None = None
    normalised_by: str | None = None
    channels_from_end: int | None = None
    follows: str | None = None
    """Name of the site whose output this is, perhaps pooled or reshaped."""
    zeros_of: str | None = None
    """Name of the site whose output was multiplied to make this; nothing else is known then."""
    factor: str | None = None
    """The layer by whose output it was multiplied."""


Rule = Callable[["Origins", tuple[Any, ...], Mapping[str, Any], "Place"], Origin | None]


@dataclass(frozen=True)
class Place:
    """The module whose ``forward`` is running."""

    path: str
    module: nn.Module


class _Followed(weakref.ref[Tensor]):
    """A tensor, weakly held, with its origin."""

    __slots__ = ("origin",)
    origin: Origin


class Origins:
    """Origins of the tensors that are alive during one pass.

    ``leaves`` are modules whose calls are seen in the module around them. ``readers`` takes what
    reads the sites' outputs.
    """

    def __init__(
        self, model: nn.Module, leaves: Mapping[int, Place], readers: dict[str, Reader]
    ) -> None:
        self._model, self._leaves, self._readers = model, leaves, readers
        self._held: dict[int, _Followed] = {}
        self._parameters: dict[int, str] | None = None
        self._owners: dict[int, Place] = {}
        self._searched = False
        self._layers: dict[tuple[str, str], Origin] = {}

    def of(self, tensor: Any) -> Origin | None:
        """Return where this tensor comes from, or None where it is not known."""
        origin = self.held(tensor)
        return None if origin is None or origin.zeros_of is not None else origin

    def held(self, tensor: Any) -> Origin | None:
        """Return what is known of a tensor, if only whose zeros it has."""
        held = self._held.get(id(tensor))
        return held.origin if held is not None and held() is tensor else None

    def read(self, tensor: Any, layer: Weighted | None, outputs: int) -> None:
        """Note that a layer reads a tensor, if that has a site's zeros."""
        origin = self.held(tensor)
        site = origin and (origin.follows or origin.zeros_of)
        if origin and site and layer and site not in self._readers:
            self._readers[site] = Reader(layer.name, layer.kind, outputs, origin.factor)

    def set(self, result: Any, origin: Origin | None) -> None:
        """Remember the origin of a tensor, or of each tensor of a tuple (chunk, split)."""
        if isinstance(result, tuple | list):
            for one in result:
                self.set(one, origin)
        elif origin is None:
            self._held.pop(id(result), None)
        elif isinstance(result, Tensor):
            held = self._held[id(result)] = _Followed(result)
            held.origin = origin

    def after_activation(self, z: Any, h: Tensor, site: str | None) -> None:
        """Note that h is the activation of a site; its units lie as z's did."""
        origin = self.of(z)
        axis = None if origin is None else origin.channels_from_end
        self.set(h, Origin(channels_from_end=axis, follows=site))

    def parameter_name(self, tensor: Tensor) -> str | None:
        """Return the full name of a parameter of the model."""
        if self._parameters is None:
            self._parameters = {id(p): n for n, p in self._model.named_parameters()}
        return self._parameters.get(id(tensor))

    def parameter_names(self, tensors: Iterable[Any]) -> tuple[str, ...]:
        """Return the full names of those that are parameters of the model."""
        found = [self.parameter_name(x) for x in tensors if isinstance(x, nn.Parameter)]
        return tuple(name for name in found if name is not None)

    def owner(self, weight: Any, running: Place) -> Place | None:
        """Return the module whose ``weight`` this is: a leaf, or the one that is running."""
        owner = self._leaf(weight)
        if owner is not None:
            return owner
        if weight is None or weight is getattr(running.module, "weight", None):
            return running
        if self._searched:
            return None
        self._searched = True  # a weight may have been replaced since the last pass
        held = ((place.module._parameters.get("weight"), place) for place in self._leaves.values())
        self._owners = {id(weight): place for weight, place in held if weight is not None}
        return self._leaf(weight)

    def _leaf(self, weight: Any) -> Place | None:
        owner = self._owners.get(id(weight))
        return owner if owner and owner.module._parameters.get("weight") is weight else None

    def layer(
        self, place: Place, fan_in: int, weight: Tensor, bias: Any, function: str, from_end: int
    ) -> Origin:
        """Return the origin of a weighted layer's result: the same as long as its weights are."""
        owner = self.owner(weight, place)
        if owner is None:
            name = self.parameter_name(weight) or place.path
            made = Weighted(name, function, fan_in, _held(weight), _held(bias))
            return Origin(made, channels_from_end=from_end)
        known = self._layers.get((owner.path, function))
        if known is None or not _made_by(known.weighted, fan_in, weight, bias):
            kind, module = type(owner.module).__name__, owner.module
            made = Weighted(owner.path, kind, fan_in, _held(weight), _held(bias), module)
            known = Origin(made, channels_from_end=from_end)
            self._layers[owner.path, function] = known
        return known

    def clear(self) -> None:
        """Forget all tensors."""
        self._held.clear()
        self._searched = False


def _made_by(layer: Weighted | None, fan_in: int, weight: Tensor, bias: Any) -> bool:
    return (
        layer is not None
        and layer.weight is weight
        and layer.bias is bias
        and layer.fan_in == fan_in
    )


@overload
def _held(tensor: Tensor) -> Tensor: ...
@overload
def _held(tensor: Any) -> Tensor | None: ...
def _held(tensor: Any) -> Tensor | None:
    """Return what may be kept: a computed weight without its graph."""
    if not isinstance(tensor, Tensor):
        return None
    return tensor if tensor.is_leaf else tensor.detach()


def _linear(
    origins: Origins, args: tuple[Any, ...], kwargs: Mapping[str, Any], place: Place
) -> Origin | None:
    weight = _operand(args, kwargs, 1, "weight")
    if not isinstance(weight, Tensor):
        return None
    bias = _operand(args, kwargs, 2, "bias")
    made = origins.layer(place, weight.shape[-1], weight, bias, "linear", 1)
    origins.read(_operand(args, kwargs, 0, "input"), made.weighted, len(weight))
    return made


def _matmul(
    origins: Origins, args: tuple[Any, ...], kwargs: Mapping[str, Any], place: Place
) -> Origin | None:
    return _product(origins, _operand(args, kwargs, 1, "other"), None, place, "matmul")


def _addmm(
    origins: Origins, args: tuple[Any, ...], kwargs: Mapping[str, Any], place: Place
) -> Origin | None:
    bias, weight = _operand(args, kwargs, 0, "input"), _operand(args, kwargs, 2, "mat2")
    return _product(origins, weight, bias, place, "addmm")


def _product(
    origins: Origins, weight: Any, bias: Any, place: Place, function: str
) -> Origin | None:
    """Recognise a product with a parameter, or with its transpose, on the right."""
    if not isinstance(weight, Tensor) or weight.ndim != 2:
        return None
    base = weight._base if weight._base is not None else weight
    if not isinstance(base, nn.Parameter):
        return None
    return origins.layer(place, weight.shape[0], base, bias, function, 1)


def _convolution(dimensions: int, transposed: bool) -> Rule:
    function = f"conv{'_transpose' if transposed else ''}{dimensions}d"

    def rule(
        origins: Origins, args: tuple[Any, ...], kwargs: Mapping[str, Any], place: Place
    ) -> Origin | None:
        weight, bias = _operand(args, kwargs, 1, "weight"), _operand(args, kwargs, 2, "bias")
        if not isinstance(weight, Tensor):
            return None
        fan_in = math.prod(weight.shape[1:])
        if transposed:
            groups = kwargs.get("groups", args[6] if len(args) > 6 else 1)
            fan_in = weight.shape[0] * math.prod(weight.shape[2:]) // groups
            fan_in //= _product_of(_operand(args, kwargs, 3, "stride"), dimensions)
        return origins.layer(place, max(fan_in, 1), weight, bias, function, dimensions + 1)

    return rule


def _product_of(stride: Any, dimensions: int) -> int:
    if stride is None:
        return 1
    return math.prod(stride) if isinstance(stride, tuple | list) else int(stride) ** dimensions


def _normalisation(weight_at: int, channels_first: bool = True) -> Rule:
    def rule(
        origins: Origins, args: tuple[Any, ...], kwargs: Mapping[str, Any], place: Place
    ) -> Origin | None:
        owner = origins.owner(_operand(args, kwargs, weight_at, "weight"), place) or place
        operand = _operand(args, kwargs, 0, "input")
        return normalised(origins, operand, owner.path, channels_first)

    return rule


def normalised(origins: Origins, operand: Any, path: str, channels_first: bool) -> Origin | None:
    """Return the origin of a normalisation's output: the layer before it, if known."""
    if not isinstance(operand, Tensor):
        return None
    before = origins.of(operand) or Origin()
    from_end = before.channels_from_end
    if from_end is None and channels_first and operand.ndim > 1:
        from_end = operand.ndim - 1
    return Origin(before.weighted, path, from_end)


def _same(
    origins: Origins, args: tuple[Any, ...], kwargs: Mapping[str, Any], place: Place
) -> Origin | None:
    return origins.held(_operand(args, kwargs, 0, "input"))


def _product_of_zeros(
    origins: Origins, args: tuple[Any, ...], kwargs: Mapping[str, Any], place: Place
) -> Origin | None:
    """Of a product or a square, keep whose zeros it has."""
    first, second = _operand(args, kwargs, 0, "input"), _operand(args, kwargs, 1, "other")
    for operand, other in ((first, second), (second, first)):
        known = origins.held(operand)
        site = known and (known.follows or known.zeros_of)
        if known and site:
            by = origins.of(other)
            layer = None if by is None else by.weighted
            return Origin(zeros_of=site, factor=known.factor if layer is None else layer.name)
    return None


def _reshaped(
    origins: Origins, args: tuple[Any, ...], kwargs: Mapping[str, Any], place: Place
) -> Origin | None:
    origin = _same(origins, args, kwargs, place)
    if origin is None or origin.channels_from_end == 1:
        return origin
    return origin._replace(channels_from_end=None)


def _indexed(
    origins: Origins, args: tuple[Any, ...], kwargs: Mapping[str, Any], place: Place
) -> Origin | None:
    """Slices (of padding, say) leave the axes where they are."""
    index = args[1] if isinstance(args[1], tuple) else (args[1],)
    slices = all(isinstance(one, slice) or one is Ellipsis for one in index)
    return (_same if slices else _reshaped)(origins, args, kwargs, place)


def _moved(
    origins: Origins, args: tuple[Any, ...], kwargs: Mapping[str, Any], place: Place
) -> Origin | None:
    origin = _same(origins, args, kwargs, place)
    if origin is None or origin.channels_from_end is None:
        return origin
    return origin._replace(channels_from_end=None)


def _sum(
    origins: Origins, args: tuple[Any, ...], kwargs: Mapping[str, Any], place: Place
) -> Origin | None:
    """Keep the layer when a bias is added; of a residual sum, only the axis of its units."""
    first, second = _operand(args, kwargs, 0, "input"), _operand(args, kwargs, 1, "other")
    for operand, other in ((first, second), (second, first)):
        origin = origins.of(operand)
        if origin is not None:
            if not isinstance(other, Tensor) or origins.parameter_name(other) is not None:
                return origin._replace(follows=None)
            return Origin(channels_from_end=origin.channels_from_end)
    return None


def _operand(args: tuple[Any, ...], kwargs: Mapping[str, Any], index: int, name: str) -> Any:
    return args[index] if index < len(args) else kwargs.get(name)


_KEPT = """dropout dropout_ dropout1d dropout2d dropout3d feature_dropout alpha_dropout
feature_alpha_dropout contiguous clone detach to float half bfloat16 double type_as
max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d
adaptive_avg_pool2d adaptive_avg_pool3d boolean_dispatch chunk split _max_pool2d"""
_PRODUCTS = "mul multiply __mul__ __rmul__ square pow __pow__"
_RESHAPED = "flatten view reshape unflatten"
_MOVED = "transpose permute movedim t swapaxes squeeze unsqueeze"

RULES: dict[str, Rule] = {
    "linear": _linear,
    "matmul": _matmul,
    "__matmul__": _matmul,
    "mm": _matmul,
    "addmm": _addmm,
    **{f"conv{d}d": _convolution(d, transposed=False) for d in (1, 2, 3)},
    **{f"conv_transpose{d}d": _convolution(d, transposed=True) for d in (1, 2, 3)},
    "batch_norm": _normalisation(3),
    "instance_norm": _normalisation(3),
    "group_norm": _normalisation(2),
    "layer_norm": _normalisation(2, channels_first=False),
    "rms_norm": _normalisation(2, channels_first=False),
    **dict.fromkeys(_KEPT.split(), _same),
    **dict.fromkeys(_RESHAPED.split(), _reshaped),
    **dict.fromkeys(_MOVED.split(), _moved),
    **dict.fromkeys(_PRODUCTS.split(), _product_of_zeros),
    "__getitem__": _indexed,
    **dict.fromkeys(("add", "add_", "__add__", "__iadd__", "__radd__", "sub", "sub_"), _sum),
}
"""What each torch call does to the origin of its operand; other calls end the trail."""
