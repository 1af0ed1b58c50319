"""One call of an operator, as its rule is given it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves as _leaves
from torch.utils._pytree import tree_map as _mapped

from relucid.probes.bounds.interval import Interval, exactly, made_of


@dataclass(frozen=True)
class Operation:
    """An operator, its arguments with intervals in place of bounded tensors, and its result.

    The result serves for its shape and dtype; its values are those of one batch.
    """

    function: Any
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any

    def argument(self, index: int, name: str = "", default: Any = None) -> Any:
        """Return an argument by position or name."""
        return self.args[index] if index < len(self.args) else self.kwargs.get(name, default)

    def interval(self, index: int, name: str = "") -> Interval:
        """Return an operand, a constant one too, as an interval."""
        return exactly(self.argument(index, name), self.first(), self.dtype)

    def first(self) -> Interval:
        """Return one of the intervals."""
        return next(x for x in _leaves((self.args, self.kwargs)) if isinstance(x, Interval))

    def at(self, end: str) -> Any:
        """Run the operator itself on the lower (``low``) or upper (``high``) ends.

        Where a number among the arguments may be taken for two, the end of both results.
        """
        numbers = (x for x in _leaves((self.args, self.kwargs)) if isinstance(x, float))
        if all(least == most for least, most in (made_of(x, self.dtype) for x in numbers)):
            return self._at(end, 0)
        pick = torch.minimum if end == "low" else torch.maximum
        return pick(self._at(end, 0), self._at(end, 1))

    def _at(self, end: str, which: int) -> Any:
        def chosen(x: Any) -> Any:
            if isinstance(x, float):
                return made_of(x, self.dtype)[which]
            if isinstance(x, Interval):
                return getattr(x, end).clone() if self.name.endswith("_") else getattr(x, end)
            return x.double() if isinstance(x, Tensor) and x.is_floating_point() else x

        args, kwargs = _mapped(chosen, (self.args, self.kwargs))
        kwargs.pop("dtype", None)
        return self.function(*args, **kwargs)

    @property
    def dtype(self) -> torch.dtype:
        """Of the (first) result."""
        result = self.result[0] if isinstance(self.result, tuple | list) else self.result
        found: torch.dtype = result.dtype
        return found


Rule = Callable[[Operation], "Interval | tuple[Interval | None, ...] | None"]
