"""What pre-activations are on some inputs: a unit that is seen on both sides of a bend is decided.

Linear bounds cost far more than a run. Nothing can be proved of a unit that was seen to fire and
not to fire, so that they are spent on the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from relucid.probes.batches import Batch
from relucid.shrink.analysed import Analysed, ancestors
from relucid.shrink.proof import Extremes, Witnesses, flat_inputs


def witness(model: Analysed, batches: Iterable[Batch]) -> Witnesses:
    """Return the extremes of every activation's operand, by dimension and index."""
    run = _Run(model)
    for batch in batches:
        with torch.no_grad():
            run.run(*flat_inputs(model, batch), enable_io_processing=False)
    return run.found


class _Run(fx.Interpreter):
    def __init__(self, model: Analysed) -> None:
        super().__init__(model.captured.module)
        self._layout = model.layout
        self._entries = {site.entry for site in model.sites.values()}
        self._needed = ancestors(self._entries)
        self.found: Witnesses = {}

    def run_node(self, node: fx.Node) -> Any:
        if node not in self._needed and node.op != "placeholder":
            return None
        result = super().run_node(node)
        if node in self._entries and isinstance(result, Tensor):
            known = self.found.setdefault(node, {})
            for dim, atoms in enumerate(self._layout.axes[node][0]):
                if atoms is not None:
                    known[dim] = _joined(known.get(dim), result, dim)
        return result


def _joined(known: Extremes | None, values: Tensor, dim: int) -> Extremes:
    rows = values.movedim(dim, 0).flatten(1)
    least, most = (x.double().numpy(force=True) for x in (rows.amin(1), rows.amax(1)))
    return (least, most) if known is None else (
        np.minimum(known[0], least), np.maximum(known[1], most))  # fmt: skip
