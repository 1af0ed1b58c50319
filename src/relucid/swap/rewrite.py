"""A class whose method calls a module where the original calls a function.

The method's source is compiled again with one expression changed. That is sound only if the
source is what runs: compiled unchanged, it has to give the very code that was seen running.
"""

from __future__ import annotations

import ast
import linecache
from functools import lru_cache
from inspect import getattr_static, unwrap
from itertools import count, groupby
from types import CellType, CodeType, FunctionType
from typing import Any, NamedTuple, cast

from torch import nn

from relucid.errors import ModelError
from relucid.swap.source import Cannot, code_in, holds, node_of, source_of

_NUMBERS = count(1)
_MARK = "_relucid_swap"
"""Attribute of a rewritten class: the original class, and the edits of each swap of it."""


class Edit(NamedTuple):
    """A call in a method that becomes ``self.name(operand)``."""

    method: str
    line: int
    byte: int
    """Where the call's text ends."""
    operand: tuple[int, int, int, int]
    """First line and byte, last line and byte of what the function is called on."""
    start: tuple[int, int]
    name: str


Edits = tuple[Edit, ...]


class Method(NamedTuple):
    """A method of a class with its parsed source."""

    name: str
    function: FunctionType
    """The method itself, inside its decorators."""
    node: ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def owner(self) -> str:
        """What the method calls its module: ``self``."""
        return self.function.__code__.co_varnames[0]

    def call_ending(self, end: tuple[int, int]) -> ast.Call:
        """The call whose text ends there: of two calls no ends are the same."""
        for node in ast.walk(self.node):
            if isinstance(node, ast.Call) and (node.end_lineno, node.end_col_offset) == end:
                return node
        raise Cannot("the expression that calls it is not found in the source")


def method_of(cls: type[nn.Module], code: CodeType) -> Method:
    """Return the method of a class that runs this code, with its source.

    Raises :class:`Cannot` where the code is no method that a class of its own could change.
    """
    for base in cls.__mro__:
        for name, value in vars(base).items():
            if isinstance(value, FunctionType) and holds(_innermost(value).__code__, code):
                _check_base(base)
                if getattr_static(cls, name) is not value:
                    raise Cannot(f"{base.__name__}.{name} is called through super()")
                return Method(name, _innermost(value), node_of(_innermost(value).__code__))
    raise Cannot(
        f"it is called in {code.co_qualname}, which is no method of {cls.__name__}: to change it "
        "there would reach its other callers"
    )


def rewritten(cls: type[nn.Module], edits: Edits) -> type[nn.Module]:
    """Return a subclass of the same name, whose methods are those of ``cls`` with these edits.

    The same class and edits give the same subclass. Raises :class:`Cannot` with the reason.
    """
    return cast("type[nn.Module]", _subclass(cast(Any, cls), edits))


@lru_cache(maxsize=256)
def _subclass(cls: Any, edits: Edits) -> Any:
    _check_ordinary(cls)
    methods: dict[str, Any] = {}
    for name, own in groupby(sorted(edits), key=lambda edit: edit.method):
        whole = cast(FunctionType, getattr_static(cls, name))
        inner = _innermost(whole)
        methods[name] = _decorated(whole, inner, _edited(inner, tuple(own)))
    original, chain = getattr(cls, _MARK, (cls, ()))
    said = {n: getattr(cls, n) for n in ("__module__", "__qualname__", "__doc__")}
    mark = {_MARK: (original, (*chain, edits)), "__reduce_ex__": _reduce}
    bases = (cls,) if issubclass(cls, _Unnoticed) else (_Unnoticed, cls)
    return type(cls)(cls.__name__, bases, {**said, **methods, **mark})


class _Unnoticed(nn.Module):
    """Comes before a class that notices its subclasses (a registry, say): this one is none."""

    def __init_subclass__(cls, **options: Any) -> None:
        pass


def _reduce(self: nn.Module, protocol: int) -> tuple[Any, ...]:
    """Pickle as the original class and the edits, which are made again where it is loaded."""
    _, _, *rest = cast("tuple[Any, ...]", object.__reduce_ex__(self, max(protocol, 2)))
    return (_blank, getattr(type(self), _MARK), *rest)


def _blank(original: type[nn.Module], chain: tuple[Edits, ...]) -> nn.Module:
    cls = original
    try:
        for edits in chain:
            cls = rewritten(cls, edits)
    except Cannot as error:
        raise ModelError(
            f"this {original.__name__} was saved with swapped calls, which cannot be made again "
            f"here: {error}. Load its state_dict into a model that is built and swapped here"
        ) from error
    return cls.__new__(cls)


def _check_base(base: type) -> None:
    if base.__module__.partition(".")[0] == "torch":
        raise Cannot(f"it is called in PyTorch's own {base.__name__}")


def _check_ordinary(cls: type[nn.Module]) -> None:
    """Refuse classes with a metaclass, or that copy and pickle in a way of their own."""
    if type(cls).__module__ not in ("builtins", "abc"):
        raise Cannot(f"{cls.__name__} has a metaclass, {type(cls).__name__}")
    own = cls.__mro__[: cls.__mro__.index(nn.Module)]
    for name in ("__reduce__", "__reduce_ex__", "__copy__", "__deepcopy__"):
        if any(name in vars(base) and _MARK not in vars(base) for base in own):
            raise Cannot(f"{cls.__name__} defines {name}, to which a changed class is another one")


def _edited(function: FunctionType, edits: Edits) -> FunctionType:
    code = function.__code__
    source = source_of(code.co_filename)
    node_of(code)  # the source is what runs
    text = _with_edits(source, code.co_varnames[0], edits)
    name = f"{code.co_filename} (swapped {next(_NUMBERS)})"
    new = code_in(text, name, code)
    if new is None or not set(new.co_freevars) <= set(code.co_freevars):
        raise Cannot("its source cannot be compiled with the change")
    # Tracebacks, the debugger and TorchScript read the text that runs.
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    return _like(function, new, tuple(cells[name] for name in new.co_freevars))


def _innermost(function: FunctionType) -> FunctionType:
    """The function inside its decorators, as far as they say what they wrap (functools.wraps)."""
    inner = unwrap(function)
    return inner if isinstance(inner, FunctionType) else function


def _decorated(function: FunctionType, old: FunctionType, new: FunctionType) -> FunctionType:
    """The same decorators around another function: copies, each with the one cell changed."""
    if function is old:
        return new
    below = cast(Any, function).__wrapped__
    inside = _decorated(below, old, new)
    cells = function.__closure__ or ()
    held = [cell.cell_contents is below for cell in cells]
    if not any(held):
        raise Cannot(f"{function.__qualname__} has a decorator that keeps it out of sight")
    closure = tuple(
        CellType(inside) if mine else cell for cell, mine in zip(cells, held, strict=True)
    )
    made = _like(function, function.__code__, closure)
    cast(Any, made).__wrapped__ = inside
    return made


def _like(function: FunctionType, code: CodeType, closure: Any) -> FunctionType:
    """A copy of a function with other code, or other cells."""
    made = FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, closure
    )
    for said in ("__kwdefaults__", "__annotations__", "__doc__", "__qualname__", "__module__"):
        setattr(made, said, getattr(function, said))
    made.__dict__.update(function.__dict__)
    return made


def _with_edits(source: str, owner: str, edits: Edits) -> str:
    """Put ``self.name(`` before the operand of each call and ``)`` behind it, and no line more."""
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    text = b"".join(lines)
    cuts: list[tuple[int, int, str]] = []
    for edit in edits:
        first, last = edit.operand[:2], edit.operand[2:]
        begin, end = (starts[n - 1] + byte for n, byte in (edit.start, (edit.line, edit.byte)))
        inner, outer = (starts[n - 1] + byte for n, byte in (first, last))
        cuts += [(begin, inner, f"{owner}.{edit.name}("), (outer, end, ")")]
    for begin, end, put in sorted(cuts, reverse=True):
        newlines = b"\n" * text[begin:end].count(b"\n")
        piece = put.encode() + newlines if put != ")" else newlines + put.encode()
        text = text[:begin] + piece + text[end:]
    return text.decode()
