"""Printing an expression back as a Python function in the words of ``m``."""

from __future__ import annotations

import keyword
import linecache
import re
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import sympy
from sympy.codegen.cfunctions import expm1, hypot, log1p
from sympy.core.relational import Relational

from relucid.errors import DeclarationError
from relucid.functions.symbolic.atoms import Choice, Expr, X, erfcx, sigmoid, tanh_residual

_WORD = {
    Choice: "where", sympy.Abs: "abs", sympy.sign: "sign", sympy.exp: "exp", expm1: "expm1",
    sympy.log: "log", log1p: "log1p", sympy.sin: "sin", sympy.cos: "cos", sympy.tanh: "tanh",
    sympy.atan: "arctan", hypot: "hypot", sympy.erf: "erf", sympy.erfc: "erfc", erfcx: "erfcx",
    sigmoid: "sigmoid", tanh_residual: "tanh_residual", sympy.Max: "maximum", sympy.Min: "minimum",
}  # fmt: skip
_FADING = (sympy.exp, sigmoid, sympy.erfc)
_BOUNDED = (sympy.tanh, sympy.sin, sympy.cos, sympy.erf, sympy.atan, sympy.sign, *_FADING)
_CALLED = tuple(_WORD)
_serial = count(1)


def function_from(source: str, name: str) -> Any:
    """Return the function ``name`` that the text of :func:`source_of` defines.

    It is real Python: ``inspect.getsource``, debuggers, tracebacks and ``torch.compile`` see its
    text.
    """
    filename = f"<relucid derived {next(_serial)}: {name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), namespace)
    return namespace[name]


def source_of(
    expression: Expr, name: str, parameters: tuple[str, ...], doc: str, prelude: str = ""
) -> str:
    """Return the text of a function ``name(m, x, **parameters)`` that evaluates ``expression``."""
    writer = _Writer(expression, parameters)
    result = writer.write(expression)
    first = [f'"""{doc}"""', *([prelude] if prelude else [])]
    body = [*first, *writer.broadcasts, *writer.lines, f"return {result}"]
    signature = ", ".join(("m", "x", *parameters))
    return f"def {name}({signature}):\n" + "".join(f"    {line}\n" for line in body)


def identifier(text: str) -> str:
    """Return a Python name made of ``text``."""
    name = re.sub(r"\W", "_", text).strip("_") or "formula"
    return f"_{name}" if name[0].isdigit() or keyword.iskeyword(name) else name


class _Writer:
    """Writes an expression; what occurs more than once is computed once, on a line of its own."""

    def __init__(self, expression: Expr, parameters: tuple[str, ...]) -> None:
        self.lines: list[str] = []
        self.broadcasts: list[str] = []
        self.arrays: dict[Expr, Expr] = {}
        self.written: dict[Expr, str] = {}
        self.uses = Counter(_occurrences(expression))
        self.names = (n for i in count(1) if (n := f"part_{i}") not in parameters)

    def write(self, e: Expr) -> str:
        """Return the text of ``e``, fit for the right of an assignment or an argument's place."""
        if e not in self.written:
            text = self._text(e)
            repeated = self.uses[e] > 1 and not (e.is_number or text.isidentifier())
            self.written[e] = self._keep(text) if repeated else text
        return self.written[e]

    def operand(self, e: Expr) -> str:
        """Return the text of ``e``, fit to stand between operators."""
        text = self.write(e)
        bare = text.isidentifier() or isinstance(e, _CALLED) or (e.is_number and text[0] != "-")
        return text if bare else f"({text})"

    def array(self, e: Expr) -> str:
        """Return the text of an argument that must be an array, even if it is a parameter alone."""
        if not e.has(X, *self.arrays.values()):
            e = e.xreplace({s: self._broadcast(s) for s in e.free_symbols})
        return self.write(e)

    def _broadcast(self, parameter: Expr) -> Expr:
        if parameter not in self.arrays:
            name = f"{parameter.name}_array"
            self.broadcasts.append(f"{name} = m.where(x == x, {parameter.name}, {parameter.name})")
            self.arrays[parameter] = sympy.Symbol(name, real=True)
        return self.arrays[parameter]

    def _keep(self, text: str) -> str:
        name = next(self.names)
        self.lines.append(f"{name} = {text}")
        return name

    def _text(self, e: Expr) -> str:
        if e.is_Symbol:
            return str(e.name)
        if isinstance(e, Relational | sympy.logic.boolalg.BooleanFunction):
            return self._condition(e)
        if e.is_number:
            return repr(float(e.evalf(30)))
        if e.is_Add:
            return self._sum(e)
        if e.is_Mul:
            return self._product(e)
        return self._power(e) if e.is_Pow else self._call(e)

    def _sum(self, e: Expr) -> str:
        text = ""
        for term in sorted(e.as_ordered_terms(), key=lambda t: t.could_extract_minus_sign()):
            negative = term.could_extract_minus_sign()
            term = -term if negative else term
            written = self.write(term) if term.is_Mul or not text else self.operand(term)
            sign = " - " if negative else " + "
            text = f"{text}{sign}{written}" if text else f"{'-' * negative}{written}"
        return text

    def _product(self, e: Expr) -> str:
        if e.could_extract_minus_sign():
            positive = -e
            return f"-{self.write(positive) if positive.is_Mul else self.operand(positive)}"
        factors = [f for f in e.args if not f.is_number]
        numerator, denominator = _decimal(sympy.Mul(*(f for f in e.args if f.is_number)))
        above = [n for n in (numerator,) if n != 1] + [f for f in factors if not _is_divisor(f)]
        below = [1 / f for f in factors if _is_divisor(f)] + [d for d in (denominator,) if d != 1]
        return " / ".join([self._factors(above), *map(self.operand, below)])

    def _factors(self, factors: list[Expr]) -> str:
        """Return a product in which a factor that fades to 0 outweighs one that grows."""
        fading = [f for f in factors if _fades(f)]
        growing = [f for f in factors if not _fades(f) and _grows(f)]
        if not fading or not growing:
            return " * ".join(map(self.operand, factors)) or "1.0"
        faded = " * ".join(map(self.operand, fading))
        faded = faded if faded.isidentifier() else self._keep(faded)
        grown = " * ".join(map(self.operand, growing)) if growing[1:] else self.write(growing[0])
        rest = [self.operand(f) for f in factors if f not in fading and f not in growing]
        return " * ".join([*rest, f"m.where({faded} > 0.0, {grown}, 0.0)", faded])

    def _power(self, e: Expr) -> str:
        base, exponent = e.args
        if exponent == sympy.S.Half:
            return f"m.sqrt({self.array(base)})"
        if exponent.is_negative and exponent.is_number:
            return f"1.0 / {self.operand(base**-exponent)}"
        if exponent.is_Integer and exponent <= 4:
            factor = self.operand(base)
            factor = factor if factor.isidentifier() else self._keep(self.write(base))
            self.written[base] = factor
            return " * ".join([factor] * int(exponent))
        return f"{self.operand(base)} ** {self.operand(exponent)}"

    def _call(self, e: Expr) -> str:
        word = _WORD.get(e.func)
        if word is None:
            raise DeclarationError(f"m has no word for {e.func.__name__}")
        if word in ("maximum", "minimum"):
            return self._extreme(word, e)
        if word == "where":
            return f"m.where({', '.join(map(self.write, e.args))})"
        return f"m.{word}({', '.join(map(self.array, e.args))})"

    def _extreme(self, word: str, e: Expr) -> str:
        """Nested pairs, an array first: libraries ask for one."""
        first, *others = sorted(e.args, key=lambda a: (not a.has(X), a.is_number))
        text = self.array(first)
        for other in others:
            text = f"m.{word}({text}, {self.write(other)})"
        return text

    def _condition(self, e: Expr) -> str:
        if isinstance(e, Relational):
            return f"{self.array(e.lhs)} {e.rel_op} {self.write(e.rhs)}"
        if isinstance(e, sympy.Not):
            return f"~{self.operand(e.args[0])}"
        return (" & " if isinstance(e, sympy.And) else " | ").join(map(self.operand, e.args))


def _occurrences(e: Expr) -> Iterator[Expr]:
    """Every expression as often as its parents name it, descending into each only once."""
    seen: set[Expr] = set()
    waiting = [e]
    while waiting:
        node = waiting.pop()
        yield node
        if node not in seen:
            seen.add(node)
            waiting.extend(node.args)


def _decimal(number: Expr) -> tuple[Expr, Expr]:
    """Return a coefficient as a decimal and 1, or as numerator and denominator."""
    if not number.is_Rational or set(sympy.factorint(number.q)) <= {2, 5}:
        return number, sympy.S.One
    return sympy.Integer(number.p), sympy.Integer(number.q)


def _is_divisor(e: Expr) -> bool:
    return bool(e.is_Pow and e.exp.is_number and e.exp.is_negative and not e.base.is_number)


def _fades(e: Expr) -> bool:
    base = e.base if e.is_Pow and e.exp.is_positive else e
    return isinstance(base, _FADING) and bool(base.has(X))


def _grows(e: Expr) -> bool:
    if not e.has(X) or isinstance(e, _BOUNDED) or _is_divisor(e):
        return False
    if isinstance(e, Choice):
        return any(map(_grows, e.args[1:]))
    return any(map(_grows, e.args)) if e.args else True
