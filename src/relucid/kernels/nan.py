"""Which results of a program are NaN wherever a given number is.

Arithmetic hands a NaN on, and a comparison with one is false, so that choices go one known way.
Where that already makes a result NaN, it need not be replaced by x where x is NaN: hard-swish took
4.6 cycles a vector with that comparison and choice, and 3.3 without.
"""

from __future__ import annotations

from relucid.kernels.mathematics.formats import FORMATS
from relucid.kernels.program import Operand, Tape, Value, needed

_ARITHMETIC = frozenset({"add", "sub", "mul", "div", "fma", "neg", "abs", "sqrt"})
_COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})

Known = dict[int, bool | None]
"""By the ids of values. Of a number, or the pattern of one: whether it is then NaN for certain.
Of a truth value: what it then is, or None where that is open."""


def carries(tape: Tape, result: Operand, source: Value) -> bool:
    """Whether ``result`` is NaN for every NaN that ``source`` may be, as far as one can tell."""
    known: Known = {}
    for value in needed(tape.values, [result]):
        known[id(value)] = value is source or _follows(value, known)
    return _of(result, known) is True


def _follows(value: Value, known: Known) -> bool | None:
    operation = value.operation
    given = [_of(operand, known) for operand in value.arguments]
    if operation == "where":
        return _chosen(*given)
    if value.kind == "bool":
        return _truth(value, given)
    if operation == "and":
        return _without_sign(value) and given[0]
    if operation in ("as_bits", "from_bits", "or"):  # a NaN's pattern with further bits is one too
        return True in given
    return value.kind == "float" and operation in _ARITHMETIC and True in given


def _of(operand: Operand, known: Known) -> bool | None:
    if isinstance(operand, Value):
        return known[id(operand)]
    return operand if isinstance(operand, bool) else bool(operand != operand)


def _chosen(condition: bool | None, a: bool | None, b: bool | None) -> bool | None:
    if condition is None:
        return a if a is b else False
    return a if condition else b


def _truth(value: Value, given: list[bool | None]) -> bool | None:
    operation = value.operation
    if operation in _COMPARISONS:
        floats = all(a.kind == "float" for a in value.arguments if isinstance(a, Value))
        return operation == "ne" if floats and True in given else None
    if operation == "not":
        return None if given[0] is None else not given[0]
    if operation in ("and", "or"):
        decisive = operation == "or"
        return decisive if decisive in given else None if None in given else not decisive
    return None


def _without_sign(value: Value) -> bool:
    """Whether a pattern loses no bit but that of the sign."""
    return bool(value.arguments[1] == ~FORMATS[value.tape.bits].sign)
