"""A swap that is being made: what is known, what was changed, and how to take it back."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from torch import nn

from relucid.functions import Activation
from relucid.swap.calls import Expression
from relucid.swap.gains import Pair
from relucid.swap.known import Known, kind_of
from relucid.swap.ledger import Ledger
from relucid.swap.maker import Maker, Place, learns
from relucid.swap.result import Changed
from relucid.swap.slots import closed_paths, is_below, is_wrapped, nearest_parameter
from relucid.swap.wanted import Wanted, described

GATES = ("tanh", "sigmoid", "relu")
_TAKES = {
    "elementwise": "acts on each number",
    "vector": "acts along an axis",
    "two-input": "multiplies a value by a gate",
}
Key = tuple[str, Expression | str]
"""A call: the path of the module that makes it, and the expression."""


class Work:
    """The state of a swap."""

    def __init__(self, model: nn.Module, wanted: Wanted, maker: Maker) -> None:
        self.model, self.wanted, self._maker = model, wanted, maker
        self.ledger, self.known = Ledger(), Known()
        self.changed: list[Changed] = []
        self.pairs: list[Pair] = []
        self._made: set[nn.Module] = set()
        self._met: dict[str, str] = {}
        self.names: dict[Key, str] = {}
        """Of calls, before anything was changed: as a checkup gives them."""
        self._closed = closed_paths(model)
        self.refused = {path: why for path, why in self._closed.items() if wanted.named(path)}

    def passes_over(self, path: str, module: nn.Module) -> bool:
        """Whether there is nothing to do for a module: it is new, refused, or closed."""
        return module in self._made or path in self.refused or is_below(path, self._closed)

    def is_new(self, path: str) -> bool:
        """Whether a path is that of a module that was put in, or inside one."""
        names = path.split(".") if path else []
        above = (".".join(names[:end]) for end in range(1, len(names) + 1))
        return any(self.model.get_submodule(one) in self._made for one in above)

    def met(self, path: str, name: str) -> None:
        """Note an activation of the model, to be told where nothing fits."""
        self._met[path] = name

    def inventory(self) -> str:
        """What activations the model was seen to have, the most frequent first."""
        counted = Counter(self._met.values()).most_common()
        return ", ".join(f"{name} ({count})" for name, count in counted) or "none"

    def may_hide(self, what: str) -> bool:
        """Whether a fused call of which only this is known may hold the wanted function."""
        if self.wanted.everything or what not in ("gates", "softmax"):
            return self.wanted.module_class is None
        wanted = self.wanted.activation
        return wanted is not None and wanted.name in (GATES if what == "gates" else (what,))

    @property
    def new_name(self) -> str:
        """What a new module is called where it has to have a name."""
        return self._maker.name

    def place(self, path: str, module: nn.Module, inplace: bool, dim: int | None = None) -> Place:
        """Describe a site by its path and the module that stands there or makes the call."""
        like = nearest_parameter(self.model, path, module)
        return Place(path, module.training, inplace, dim, like)

    def make(self, place: Place, found: Activation | None, old: Any) -> nn.Module | str:
        """Return a new module for a place, or why none can stand there."""
        new = self._maker.new(place)
        now = self.known.of(new)
        if found is not None and now is not None and kind_of(found) != kind_of(now):
            return (
                f"{found.name} {_TAKES[kind_of(found)]}, and {now.name} {_TAKES[kind_of(now)]}: it "
                "cannot stand there"
            )
        if (learns(old) or learns(new)) and is_wrapped(self.model, place.path):
            return "it has parameters, and is wrapped for several processes; swap before wrapping"
        return new

    def note(
        self,
        path: str,
        found: Activation | None,
        old: Any,
        new: nn.Module,
        kind: Literal["module", "attribute", "call"],
        place: Place,
        *notes: str,
    ) -> None:
        """Note that a site has the new module."""
        self._made.update(new.modules())
        function = self.known.of(new)
        self.pairs.append(Pair(new, found, function))
        before = type(old).__name__ if found is None else described(found)
        after = type(new).__name__ if function is None else described(function)
        lost = place.inplace and not getattr(new, "inplace", False)
        said = [*notes, "no longer in place" if lost else ""]
        self.changed.append(Changed(path, before, after, kind, "; ".join(filter(None, said))))

    def forget(self, path: str, new: nn.Module) -> None:
        """Take back a note."""
        self.changed = [one for one in self.changed if (one.path, one.kind) != (path, "call")]
        self.pairs = [pair for pair in self.pairs if pair.module is not new]
