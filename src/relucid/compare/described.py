"""What decides how code and data behave, as plain values: two that differ may behave otherwise.

Code is described by its bytecode, so that comments and layout do not count, and with the values
that it closes over and the globals that it names. It is followed through the user's own modules;
what comes from an installed package, from Python or from relucid is taken to be what its name says.
"""

from __future__ import annotations

import hashlib
import json
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from relucid.functions import Activation

_NUMBERS = (bool, int, float, complex, np.generic)
_PLAIN = (*_NUMBERS, str, bytes, type(None), range, torch.dtype, torch.device)
_SHAPELESS = (UninitializedBuffer, UninitializedParameter)
_FIELDS = ("name", "arguments", "learned", "formula", "slope", "kink_overrides", "kink_derivative")
"""Of an activation, what its values follow from."""
_LIBRARIES = frozenset(
    Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib")
)


def digest(value: Any) -> str:
    """Return 16 hexadecimal digits that stand for a value."""
    text = json.dumps(described(value), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def described(value: Any) -> Any:
    """Return texts, lists and objects that say what a value is, for :mod:`json`."""
    return _Describing().of(value)


class _Describing:
    def __init__(self) -> None:
        self._seen: dict[int, Any] = {}  # the values too, lest another gets the number of one

    def of(self, value: Any) -> Any:
        if isinstance(value, _PLAIN):
            return repr(value)
        if isinstance(value, Tensor | np.ndarray):
            return _array(value)
        if isinstance(value, tuple):  # whether equal ones are one object is chance
            return self._all(value)
        if id(value) in self._seen:
            return "as before"
        self._seen[id(value)] = value
        return self._part(value)

    def _part(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(self.of(key)): self.of(item) for key, item in value.items()}
        if isinstance(value, list):
            return self._all(value)
        if isinstance(value, set | frozenset):
            return sorted(json.dumps(self.of(item)) for item in value)
        if isinstance(value, partial):
            return ["partial", *self._all((value.func, value.args, value.keywords))]
        if isinstance(value, MethodType):
            return ["method", *self._all((value.__func__, value.__self__))]
        if isinstance(value, Activation):
            return [self.of(getattr(value, name, None)) for name in _FIELDS]
        if isinstance(value, nn.Module):
            return self._module(value)
        if isinstance(value, FunctionType | type) and _is_the_users(value):
            return self._class(value) if isinstance(value, type) else self._function(value)
        return self._other(value)

    def _all(self, values: Iterable[Any]) -> list[Any]:
        return [self.of(value) for value in values]

    def _other(self, value: Any) -> Any:
        if isinstance(value, FunctionType | type | ModuleType) or not _is_the_users(type(value)):
            return _name(value)
        return [self.of(type(value)), self.of(getattr(value, "__dict__", {}))]

    def _function(self, function: FunctionType) -> Any:
        return {
            "code": self._code(function.__code__),
            "defaults": self._all((function.__defaults__, function.__kwdefaults__)),
            "closure": self._all(_closure(function)),
            "globals": self._named(function.__code__, function.__globals__),
        }

    def _code(self, code: CodeType) -> list[Any]:
        constants = [
            self._code(c) if isinstance(c, CodeType) else self.of(c) for c in code.co_consts
        ]
        return [code.co_code.hex(), list(code.co_names), constants]

    def _named(self, code: CodeType, where: Mapping[str, Any]) -> dict[str, Any]:
        """Describe the globals that code names, also those in the user's other modules."""
        found = {name: where[name] for name in _names(code) if name in where}
        told = {name: self.of(value) for name, value in found.items()}
        for name, value in found.items():
            if isinstance(value, ModuleType) and _is_the_users(value):
                told[f"{name}.*"] = self._named(code, vars(value))
        return told

    def _class(self, kind: type) -> Any:
        members = {
            name: self.of(_bare(value))
            for name, value in sorted(vars(kind).items())
            if not name.startswith("__") or isinstance(value, FunctionType)
        }
        return [_name(kind), self._all(kind.__bases__), members]

    def _module(self, module: nn.Module) -> Any:
        own = {k: v for k, v in vars(module).items() if k not in _EVERY_MODULE}
        return {
            "class": self.of(type(module)),
            "own": {name: self.of(value) for name, value in own.items()},
            "parameters": {n: _parameter(p) for n, p in module._parameters.items()},
            "buffers": self.of(module._buffers),
            "children": {n: self.of(child) for n, child in module._modules.items()},
        }


_EVERY_MODULE = frozenset(vars(nn.Module()))


def _closure(function: FunctionType) -> list[Any]:
    """Return the values that it closes over, those that there are already."""
    values = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):
            values.append(cell.cell_contents)
    return values


def _names(code: CodeType) -> list[str]:
    inner = [name for c in code.co_consts if isinstance(c, CodeType) for name in _names(c)]
    return sorted({*code.co_names, *inner})


def _bare(member: Any) -> Any:
    """Return the function of a class, static or computed member."""
    if isinstance(member, staticmethod | classmethod):
        return member.__func__
    return member.fget if isinstance(member, property) else member


def _name(value: Any) -> str:
    """Name a thing, or the kind of thing that it is."""
    if isinstance(value, ModuleType):
        return value.__name__
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{getattr(named, '__module__', '')}.{named.__qualname__}"


def _is_the_users(thing: Any) -> bool:
    """Whether it is code that may change from one day to the next."""
    name = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__ or "__main__"
    if name.partition(".")[0] in {"relucid", *sys.builtin_module_names}:
        return False
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:  # typed in at a prompt
        return True
    folders = Path(file).resolve().parents
    installed = {"site-packages", "dist-packages"} & {folder.name for folder in folders}
    return not installed and _LIBRARIES.isdisjoint(folders)


def _array(value: Tensor | np.ndarray[Any, Any]) -> list[str]:
    if isinstance(value, np.ndarray):
        content = repr(value).encode() if value.dtype.hasobject else value.tobytes()
        return [str(value.dtype), str(value.shape), _digest_of(content)]
    if isinstance(value, _SHAPELESS):
        return [str(value.dtype), "no shape yet"]
    place = [str(value.dtype), str(list(value.shape)), value.device.type]
    if value.is_meta:
        return place
    here = value.detach().to("cpu")
    dense = here if here.layout == torch.strided else here.to_dense()
    octets = dense.contiguous().reshape(-1).view(torch.uint8).numpy()
    return [*place, _digest_of(octets.data)]


def _digest_of(content: bytes | memoryview) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _parameter(parameter: Tensor | None) -> list[str]:
    """Describe weights by their size, which the last bits of random numbers do not change.

    These differ between kinds of processors, and runs of both are one experiment.
    """
    if parameter is None or isinstance(parameter, _SHAPELESS) or parameter.is_meta:
        return ["None" if parameter is None else _name(parameter)]
    size = float(parameter.detach().abs().double().norm())
    place = (parameter.dtype, list(parameter.shape), parameter.device.type, parameter.requires_grad)
    return [*map(str, place), f"{size:.5g}"]
