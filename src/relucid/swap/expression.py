"""What a call expression calls, and on what: whether it can become the call of a module."""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from torch import Tensor, nn

from relucid.functions import Activation
from relucid.probes.recognise import CLAMPS, MAXIMA, PARAMETERS, PLAIN_NAMES, name_of
from relucid.swap.calls import SeenCall
from relucid.swap.known import is_torch
from relucid.swap.rewrite import Edit, Method, method_of
from relucid.swap.source import Cannot

_VARIANTS = {("gelu", "gelu_tanh"), ("hardtanh", "relu6")}
"""Functions that PyTorch tells apart by an argument."""
_CHILDREN = frozenset({"children", "named_children", "modules", "named_modules", "_modules"})


class Rewritable(NamedTuple):
    """A call that can be rewritten: in which method, what is the operand, and is it in place."""

    method: Method
    node: ast.Call
    operand: ast.expr
    inplace: bool

    def edit(self, name: str) -> Edit:
        """The edit that calls ``self.name`` instead."""
        node, operand = self.node, self.operand
        return Edit(
            self.method.name,
            node.end_lineno or 0,
            node.end_col_offset or 0,
            (
                operand.lineno,
                operand.col_offset,
                operand.end_lineno or 0,
                operand.end_col_offset or 0,
            ),
            (node.lineno, node.col_offset),
            name,
        )


def rewritable(call: SeenCall, owner: nn.Module) -> Rewritable:
    """Tell how a call of a function becomes the call of a module of its owner.

    Raises :class:`~relucid.swap.rewrite.Cannot` with the reason where that would not be sound.
    """
    if call.expression is None or call.expression.end is None:
        raise Cannot("Python keeps no positions of expressions here (-X no_debug_ranges)")
    method = method_of(type(owner), call.expression.code)
    check_children(owner, method.function.__code__)
    _check_self(method)
    node = method.call_ending(call.expression.end)
    if any(isinstance(a, ast.Starred) for a in node.args) or any(
        k.arg is None for k in node.keywords
    ):
        raise Cannot("its arguments are unpacked from a sequence or dictionary")
    callee = _callee(call, method, node, owner)
    _check_same(call, callee, node)
    return Rewritable(method, node, callee.operand, _inplace(callee, node))


def unreached(how: Rewritable, call: SeenCall, owner: nn.Module) -> Iterator[ast.Call]:
    """Yield the other calls of the same function in a method's text, by what they are called."""
    for node in ast.walk(how.method.node):
        if not isinstance(node, ast.Call) or node is how.node:
            continue
        function = _resolved(how.method, node.func, owner)
        spelled = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = spelled if function is None else name_of(function)
        if (function is None or is_torch(function)) and _declared(name) == call.function:
            yield node


def _declared(name: str) -> str:
    """The catalogue's name for a function of PyTorch's; nothing for one that is no activation."""
    return PLAIN_NAMES.get(name) or PARAMETERS.get(name, ("",))[0]


def check_children(owner: nn.Module, *codes: CodeType) -> None:
    """Refuse to register a further module where the owner runs through its children."""
    if isinstance(owner, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        raise Cannot(f"a module put into this {type(owner).__name__} would be one of its layers")
    if type(owner).__module__.startswith("torch.nn."):  # whose forward may look at its hooks
        return
    forward = getattr(type(owner).forward, "__code__", None)
    for code in (*codes, forward):
        if code is not None and _CHILDREN & _names(code):
            raise Cannot(
                f"its {code.co_name} runs through its children, and would meet the new one"
            )


def _names(code: CodeType) -> set[str]:
    inner = (_names(c) for c in code.co_consts if isinstance(c, CodeType))
    return set(code.co_names).union(*inner)


def _check_self(method: Method) -> None:
    """Make sure that the method's first argument is its module, in the whole of its text."""
    if not method.function.__code__.co_argcount:
        raise Cannot(f"{method.name} has no argument that is its module")
    bound = sum(
        (isinstance(n, ast.Name) and n.id == method.owner and not isinstance(n.ctx, ast.Load))
        or (isinstance(n, ast.arg) and n.arg == method.owner)
        for n in ast.walk(method.node)
    )
    if bound != 1:
        raise Cannot(f"{method.name} gives {method.owner!r} another meaning")


class _Callee(NamedTuple):
    """What an expression calls, and on what."""

    name: str
    function: Any
    """None for a method of whatever tensor the operand gives."""
    operand: ast.expr


def _callee(call: SeenCall, method: Method, node: ast.Call, owner: nn.Module) -> _Callee:
    """Tell what an expression calls at every time."""
    function = _resolved(method, node.func, owner)
    if function is not None:
        return _Callee(name_of(function), function, _operand(node))
    if isinstance(node.func, ast.Attribute) and call.kind == "method":
        of = _resolved(method, node.func.value, owner)
        if of is None or isinstance(of, Tensor):
            return _Callee(node.func.attr, None, node.func.value)
    raise Cannot(f"it is called as {ast.unparse(node.func)!r}, which is chosen at run time")


def _resolved(method: Method, node: ast.expr, owner: nn.Module) -> Any:
    """What a dotted name stands for, if it begins in a module of Python, or in the owner."""
    if isinstance(node, ast.Attribute):
        base = _resolved(method, node.value, owner)
        fixed = isinstance(base, ModuleType | type) or base is owner
        return getattr(base, node.attr, None) if fixed else None
    if not isinstance(node, ast.Name):
        return None
    if node.id == method.owner:
        return owner
    return None if node.id in _locals(method.function.__code__) else _global(method, node.id)


def _locals(code: CodeType) -> set[str]:
    inner = (_locals(c) for c in code.co_consts if isinstance(c, CodeType))
    return {*code.co_varnames, *code.co_cellvars}.union(*inner)


def _global(method: Method, name: str) -> Any:
    function: Any = method.function
    if name in function.__code__.co_freevars:
        return inspect.getclosurevars(function).nonlocals.get(name)
    return function.__globals__.get(name, getattr(builtins, name, None))


def _check_same(call: SeenCall, callee: _Callee, node: ast.Call) -> None:
    """Make sure that the expression calls the very activation that was seen."""
    if callee.name in CLAMPS or callee.name in MAXIMA or callee.name == "where":
        raise Cannot(
            f"{callee.name} may be meant as a bound; write it as {call.function} to swap it"
        )
    if isinstance(callee.function, Activation):
        same = call.activation is not None and callee.function.name == call.activation.name
    else:
        declared = _declared(callee.name)
        torchs = callee.function is None or is_torch(callee.function)
        same = torchs and (declared == call.function or (declared, call.function) in _VARIANTS)
    if not same:
        raise Cannot(f"it is called inside {ast.unparse(node.func)!r}")


def _operand(node: ast.Call) -> ast.expr:
    if node.args:
        return node.args[0]
    for keyword in node.keywords:
        if keyword.arg in ("input", "x", "self"):
            return keyword.value
    raise Cannot("what it is called on is not found among its arguments")


def _inplace(callee: _Callee, node: ast.Call) -> bool:
    named = (k.value for k in node.keywords if k.arg == "inplace")
    given = next(named, _inplace_by_position(callee.function, node))
    if given is None or callee.name.endswith("_"):
        return callee.name.endswith("_")
    if not isinstance(given, ast.Constant):
        raise Cannot("whether it works in place is decided at run time")
    return bool(given.value)


def _inplace_by_position(function: Any, node: ast.Call) -> ast.expr | None:
    if not isinstance(function, FunctionType):
        return None
    names = list(inspect.signature(function).parameters)
    place = names.index("inplace") if "inplace" in names else len(node.args)
    return node.args[place] if place < len(node.args) else None
