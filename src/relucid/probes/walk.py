"""The module whose ``forward`` is running: hooks that exist only during a sampled pass."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from relucid.functions import Activation
from relucid.probes.gradients import GradientHook
from relucid.probes.layers import Place
from relucid.probes.recognise import ACTIVATION_MODULES, Call, of_module
from relucid.probes.source import scripted_functions


class Role(Enum):
    """What calls inside a module mean."""

    PLAIN = "calls inside it are sites of their own"
    ACTIVATION = "it is a torch.nn activation: the call inside it is the site"
    DECLARED = "it is one activation as a whole: calls inside it are part of it"
    TRIAL = "it may be an activation written out: its values will tell"
    OPAQUE = "nothing inside it can be seen"


@dataclass
class Frame:
    """A running ``forward``: its place, role and, where its values matter, its input."""

    place: Place
    role: Role
    activation: Activation | None = None
    z: Tensor | None = None
    copy: Tensor | None = None
    """The values of z at entry, kept only while it is tried what the module is."""
    hook: GradientHook | None = None
    """The hook on z, put there before it is known what the module is."""
    last: tuple[Call, Tensor] | None = None
    """The last activation call inside it and its result, while it is tried what the module is."""
    opened: list[Any] = field(default_factory=list)
    """Sites first seen inside it, to be withdrawn if the module turns out to be one site."""


NO_KEYWORDS: Mapping[str, Any] = MappingProxyType({})
"""Given to a hook that another thread just removed: PyTorch forgets that it takes keywords."""

_LEAVES = """Linear Bilinear Embedding EmbeddingBag Flatten Unflatten Identity
Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d
Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout
MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d
AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d"""
_NORMALISATIONS = """BatchNorm1d BatchNorm2d BatchNorm3d LayerNorm GroupNorm RMSNorm
InstanceNorm1d InstanceNorm2d InstanceNorm3d"""
LEAVES = frozenset(getattr(nn, name) for name in _LEAVES.split())
NORMALISATIONS = frozenset(getattr(nn, name) for name in _NORMALISATIONS.split())
"""Classes, these and :data:`LEAVES`, whose ``forward`` calls no activation and no other module."""

NOWHERE: Mapping[int, Place] = MappingProxyType({})

Entered = Callable[[Frame, Tensor | None], None]
Left = Callable[[Frame, Any], None]


class Paths:
    """Paths and roles of a model's modules, found once."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.places = {id(m): Place(path, m) for path, m in model.named_modules()}
        self.opaque: dict[str, str] = {}
        self.roles = self._roles()
        self.scripted = self._scripted()
        self.leaves = self._leaves()
        """Modules by identity that need no hooks: nothing is to be seen inside, and the calls
        that they make name them by their weight. Three quarters of a transformer's modules."""

    def _leaves(self) -> dict[int, Place]:
        holders = Counter(
            id(weight) for place in self.places.values() for weight in _weights(place.module)
        )
        return {
            key: place
            for key, place in self.places.items()
            if _is_leaf(place.module) and all(holders[id(w)] == 1 for w in _weights(place.module))
        }

    def _roles(self) -> dict[int, Role]:
        roles: dict[int, Role] = {}
        hidden: set[int] = set()
        for key, place in self.places.items():
            reason = _opaque(place.module)
            if key in hidden:
                continue
            if reason is not None:
                self.opaque[place.path] = reason
                hidden.update(id(m) for m in place.module.modules() if m is not place.module)
                roles[key] = Role.OPAQUE
            else:
                roles[key] = _role(place.module, place.module is self.model)
        return roles

    def _scripted(self) -> dict[str, set[str]]:
        """By path, the names of functions compiled by TorchScript that a module may call."""
        of_class: dict[type[nn.Module], set[str]] = {}
        for place in self.places.values():
            if type(place.module) not in of_class:
                of_class[type(place.module)] = scripted_functions(place.module)
        found = ((place.path, of_class[type(place.module)]) for place in self.places.values())
        return {path: names for path, names in found if names}


class Walk:
    """Follows one pass through the modules: a stack of the frames that are running."""

    def __init__(self, paths: Paths, entered: Entered, left: Left) -> None:
        self._paths = paths
        self._entered, self._left = entered, left
        self._handles: list[RemovableHandle] = []
        self._thread = 0
        self.stack: list[Frame] = []
        self.called: set[str] = set()

    @property
    def running(self) -> bool:
        """Whether the code that asks is inside the pass: in its thread, in some module."""
        return bool(self.stack) and threading.get_ident() == self._thread

    def attach(self, unseen: Mapping[int, Place] = NOWHERE) -> None:
        """Put hooks on all modules below the outermost one, which the probe itself hooks.

        Those ``unseen`` get none, unless there is more to them than their class says.
        """
        self._thread = threading.get_ident()
        for key, role in self._paths.roles.items():
            place = self._paths.places[key]
            module = place.module
            if module is self._paths.model or (role is Role.OPAQUE and not _hooks_allowed(module)):
                continue
            if key in unseen and not _special(module):
                continue
            enter, leave = partial(self._enter, place, role), partial(self._leave, place)
            self._handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
            self._handles.append(
                module.register_forward_hook(leave, with_kwargs=True, always_call=True)
            )

    def begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Enter the outermost module."""
        key = id(self._paths.model)
        self._enter(self._paths.places[key], self._paths.roles[key], None, args, kwargs)

    def end(self, output: Any) -> None:
        """Leave the outermost module, and whatever an interrupted pass left running."""
        self._leave(self._paths.places[id(self._paths.model)], output)

    def detach(self) -> None:
        """Take all hooks away again."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self.stack.clear()

    def _enter(
        self,
        place: Place,
        role: Role,
        module: nn.Module | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] = NO_KEYWORDS,
    ) -> None:
        """Enter the module of this place; DataParallel calls a replica of it, with its hooks."""
        if torch.compiler.is_compiling() or threading.get_ident() != self._thread:
            return
        frame = Frame(place, role)
        self.stack.append(frame)
        self.called.add(frame.place.path)
        with torch._C.DisableTorchFunction():  # the probe's own operations are no calls to see
            self._entered(frame, _only_tensor(args, kwargs))

    def _leave(self, place: Place, *given: Any) -> None:
        """Leave a module; ``given`` ends in its output, or None after an exception."""
        if torch.compiler.is_compiling() or threading.get_ident() != self._thread:
            return
        while self.stack:
            frame = self.stack.pop()
            if frame.place is place:
                self._depart(frame, given[-1])
                return
            if frame.role is Role.OPAQUE:
                self._depart(frame, None)

    def _depart(self, frame: Frame, result: Any) -> None:
        with torch._C.DisableTorchFunction():
            self._left(frame, result)


def _weights(module: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in module._parameters.values() if weight is not None]


def _is_leaf(module: nn.Module) -> bool:
    named = type(module) in NORMALISATIONS and module._parameters["weight"] is not None
    return named or type(module) in LEAVES


def _special(module: nn.Module) -> bool:
    """Whether other code runs with the module, or its weights are not the ones it will use.

    FSDP puts whole ones in the place of its parts when it comes to them, and so does
    ``functional_call`` with others.
    """
    own = vars(module)
    if own["_forward_hooks"] or own["_forward_pre_hooks"] or "forward" in own:
        return True
    return any(type(weight) is not nn.Parameter for weight in _weights(module))


def _only_tensor(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
    return tensors[0] if len(tensors) == 1 else None


def _role(module: nn.Module, outermost: bool) -> Role:
    if of_module(module) is not None:
        return Role.DECLARED
    if isinstance(module, ACTIVATION_MODULES):
        return Role.ACTIVATION
    leaf = next(module.children(), None) is None
    own_code = not type(module).__module__.startswith("torch.nn.")
    return Role.TRIAL if leaf and own_code and not outermost else Role.PLAIN


def _opaque(module: nn.Module) -> str | None:
    """Why nothing inside the module can be seen, or None."""
    if isinstance(module, torch.jit.ScriptModule):
        return "it is compiled by TorchScript; watch the module it was made from"
    compiled = getattr(module, "_compiled_call_impl", None) is not None
    if compiled or hasattr(module, "_torchdynamo_orig_callable"):
        return "it is compiled by torch.compile; watch the module it was made from"
    if isinstance(module, nn.DataParallel) and len(module.device_ids) > 1:
        return "its copies run in other threads; watch the module inside it"
    return None


def _hooks_allowed(module: nn.Module) -> bool:
    """Refuse scripts, and ``Module.compile``, which would trace hooks into its graph."""
    scripted = isinstance(module, torch.jit.ScriptModule)
    return not scripted and getattr(module, "_compiled_call_impl", None) is None
