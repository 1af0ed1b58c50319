"""From a declaration to loops: forward, backward, and what backward needs of forward.

Nothing here knows a single function. Whether one bit an element is enough for backward is read
off the derivative's program: it is, when that program only chooses between two constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from relucid.errors import KernelError
from relucid.functions import Elementwise
from relucid.functions.evaluate import keep_nan
from relucid.kernels.contract import Layout, Loop, Storage
from relucid.kernels.program import Operand, Tape, Value
from relucid.kernels.trace import traced
from relucid.kernels.words import KernelWords


class Builder:
    """Makes the loops of one function for one element type and precision.

    ``learned`` names the parameters that are read at run time; all others are constants.
    """

    def __init__(
        self, activation: Elementwise, storage: Storage, bits: int, learned: tuple[str, ...] = ()
    ) -> None:
        self.activation, self.storage, self.bits = activation, storage, bits
        self.learned = learned

    def forward(self, layout: Layout = "rows") -> Loop:
        """``y = f(x)``."""
        tape, inputs = self._tape()
        value = self._formula(self.activation.formula, tape, inputs)
        return self._loop("forward", tape, ("x",), (value,), layout=layout)

    def forward_with_mask(self) -> Loop:
        """``y = f(x)``, and the bit from which :meth:`backward_from_mask` knows the slope.

        There is no bit where the slope is one number. The flag says whether any x is NaN: it has
        no slope, which a bit cannot say.
        """
        tape, inputs = self._tape()
        value = self._formula(self.activation.formula, tape, inputs)
        slope = self._slope(tape, inputs)
        if not _chooses(slope) and isinstance(slope, Value):
            raise KernelError(f"{self.activation.name} needs more than one bit for its derivative")
        masks = (slope.arguments[0],) if isinstance(slope, Value) else ()
        unknown = inputs["x"] != inputs["x"]
        return self._loop(
            "forward_with_mask", tape, ("x",), (value,), mask_outputs=masks, flags=(unknown,)
        )

    def backward(self, layout: Layout = "rows") -> Loop:
        """``dx = g * f'(x)``, and for every learned parameter the sum of ``g * df/dparameter``."""
        tape, inputs = self._tape()
        gradient = tape.input("g")
        outputs = (gradient * self._formula(self.activation.derivative_formula, tape, inputs),)
        sums = tuple(
            gradient * self._formula(self.activation.partial(name), tape, inputs)
            for name in self.learned
        )
        return self._loop("backward", tape, ("x", "g"), outputs, sums=sums, layout=layout)

    def backward_from_mask(self) -> Loop:
        """``dx = g * f'(x)`` for a derivative that is one of two constants."""
        choice = self._slope(*self._tape())
        tape = Tape(self.bits)
        chosen = tape.record("input", "chosen", kind="bool")
        product = tape.input("g") * tape.choice(chosen, *choice.arguments[1:])
        return self._loop("backward_from_mask", tape, ("g",), (product,), masks=("chosen",))

    def derivative(self) -> Loop:
        """``f'(x)``."""
        tape, inputs = self._tape()
        slope = self._formula(self.activation.derivative_formula, tape, inputs)
        return self._loop("derivative", tape, ("x",), (slope,))

    @property
    def one_bit(self) -> bool:
        """Whether the derivative only chooses between two constants."""
        return _chooses(self._slope(*self._tape()))

    @property
    def constant_slope(self) -> float | None:
        """The derivative, where it is the same everywhere."""
        slope = self._slope(*self._tape())
        return None if isinstance(slope, Value) else float(slope)

    def _tape(self) -> tuple[Tape, dict[str, Value]]:
        tape = Tape(self.bits)
        return tape, {name: tape.input(name) for name in ("x", *self.learned)}

    def _slope(self, tape: Tape, inputs: Mapping[str, Value]) -> Operand:
        return self._words(self.activation.derivative_formula, tape, inputs)

    def _formula(
        self, formula: Callable[..., Any], tape: Tape, inputs: Mapping[str, Value]
    ) -> Operand:
        return keep_nan(
            lambda m, x: self._words(formula, tape, inputs), KernelWords(tape), inputs["x"]
        )

    def _words(
        self, formula: Callable[..., Any], tape: Tape, inputs: Mapping[str, Value]
    ) -> Operand:
        arguments = {**self.activation.arguments, **inputs}
        x = arguments.pop("x")
        return traced(partial(formula, **arguments), KernelWords(tape), x)

    def _loop(
        self, what: str, tape: Tape, arrays: tuple[str, ...], outputs: tuple[Operand, ...],
        **further: Any,
    ) -> Loop:  # fmt: skip
        name = f"{self.activation.name}_{what}"
        return Loop(name, self.storage, tape, arrays, outputs, parameters=self.learned, **further)


def _chooses(slope: Operand) -> bool:
    """Whether a program's result is one of two constants."""
    if not isinstance(slope, Value) or slope.operation != "where":
        return False
    return not any(isinstance(number, Value) for number in slope.arguments[1:])
