"""Finding the blocks of a model whose hidden activation makes zeros."""

from __future__ import annotations

from torch import nn

from relucid.errors import GraphError, ShrinkError
from relucid.probes.batches import Batch
from relucid.probes.graph import capture
from relucid.shrink.surgery import twin
from relucid.sparse.blocks import Blocks
from relucid.sparse.graph import GraphBlocks
from relucid.sparse.sequence import find_in_sequences
from relucid.sparse.unfit import Fitness

NO_EXAMPLE = (
    "only layers in nn.Sequential were looked at; what a forward does with others is seen with an "
    "example: pass example=, a batch of inputs"
)


def find(model: nn.Module, batch: Batch | None) -> Blocks:
    """Find blocks in the model's graph on a batch or, without one, in nn.Sequential."""
    fitness = Fitness(model)
    if batch is None:
        return _in_sequences(model, fitness, NO_EXAMPLE)
    try:
        copied = twin(model)
        for module in copied.modules():
            module.training = False
        captured = capture(copied, batch)
    except (GraphError, ShrinkError) as error:
        return _in_sequences(
            model, fitness, f"only layers in nn.Sequential were looked at: {error}"
        )
    return GraphBlocks(captured, copied, fitness).found()


def _in_sequences(model: nn.Module, fitness: Fitness, note: str) -> Blocks:
    blocks = find_in_sequences(model, fitness)
    blocks.notes.append(note)
    return blocks
