"""From a gated declaration to loops over its values and gates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from relucid.functions import TwoInput
from relucid.functions.evaluate import keep_nan
from relucid.kernels.contract import Loop, Storage
from relucid.kernels.program import Tape, Value
from relucid.kernels.trace import traced
from relucid.kernels.words import KernelWords


class PairBuilder:
    """Makes the loops of ``value * gate_function(gate)`` for one element type and precision."""

    def __init__(self, activation: TwoInput, storage: Storage, bits: int) -> None:
        self.activation, self.storage, self.bits = activation, storage, bits

    def forward(self) -> Loop:
        """``y = value * f(gate)``."""
        tape, value, gate = self._tape()
        product = _spoken(self.activation.formula, tape, value, gate)
        return self._loop("forward", tape, ("value", "gate"), (product,))

    def backward(self) -> Loop:
        """``dvalue = g * f(gate)`` and ``dgate = g * value * f'(gate)``."""
        tape, value, gate = self._tape()
        gradient, function = tape.input("g"), self.activation.gate
        opened, slope = (
            _spoken(partial(formula, **function.arguments), tape, gate)
            for formula in (function.formula, function.derivative_formula)
        )
        outputs = (gradient * opened, gradient * value * slope)
        return self._loop("backward", tape, ("value", "gate", "g"), outputs)

    def _tape(self) -> tuple[Tape, Value, Value]:
        tape = Tape(self.bits)
        return tape, tape.input("value"), tape.input("gate")

    def _loop(
        self, what: str, tape: Tape, arrays: tuple[str, ...], outputs: tuple[Any, ...]
    ) -> Loop:
        return Loop(f"{self.activation.name}_{what}", self.storage, tape, arrays, outputs)


def _spoken(formula: Callable[..., Any], tape: Tape, *values: Value) -> Any:
    return keep_nan(partial(traced, formula), KernelWords(tape), *values)
