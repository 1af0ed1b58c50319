"""The same network, smaller, with a proof: units that do nothing removed, outputs the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from relucid.shrink.result import Shrunk

__all__ = ["Shrunk", "shrink"]

LONG = 2.0
"""Seconds from which on it is told how far the work is."""


def __getattr__(name: str) -> Any:
    """Load the result's class when it is asked for."""
    if name == "Shrunk":
        from relucid.shrink.result import Shrunk

        return Shrunk
    raise AttributeError(f"module 'relucid.shrink' has no attribute {name!r}")


def shrink(
    model: nn.Module,
    example: Any,
    domain: Any = None,
    data: Any = None,
    *,
    keep: float | None = None,
    rarely: float | None = None,
    loss: Callable[[Any, Any], Any] | None = None,
    tune: int = 0,
    progress: Callable[[str, int, int | None], object] | None = None,
) -> Shrunk:
    """Return a smaller copy of a model that computes the same, and a receipt of what went and why.

    Units that can never fire are removed, with all that makes and reads them; what they give, if
    it is not 0, goes into the next bias. Units that are always on are removed where others span
    them, and a whole layer of them is merged into the next where that saves work. The copy is of
    the model's own class: it trains on, saves, loads, exports and takes other batch sizes.

    The model is captured with ``torch.export`` in evaluation mode; it is not changed. Both models
    are run beside each other on the example, on random inputs, on corners of the domain and on
    inputs found by gradient ascent, before the copy is returned.

    Args:
        model: the model.
        example: a batch, as :func:`relucid.checkup` takes it. It gives the inputs' shapes.
        domain: what the inputs can be: ``(low, high)``, numbers or arrays for one sample; for
            several inputs a dict of such pairs by name, or a tuple of pairs, None for token ids.
            None: anything, and proved is what holds for every input.
        data: a batch or batches. What is constant on all of them goes, too, and the receipt says
            that it was only observed.
        keep: beyond exact: the share of each layer's units to keep, such as 0.9. Those go that
            matter least on the data.
        rarely: beyond exact: units that fire at most at this rate on the data go, such as 0.01.
        loss: ``loss(output, target)``, measured on the data before and after.
        tune: steps of further training of the smaller model on the data, with Adam.
        progress: called with the name of a stage, how much of it is done, and of how much (None:
            not known). By default bars tell it on standard error, where that is a terminal and
            the work takes more than 2 seconds.

    Returns:
        A :class:`~relucid.shrink.result.Shrunk`: ``model`` and ``receipt``.

    Raises:
        ModelError: if this is no module, or one that wraps another.
        ShrinkError: if ``torch.export`` refuses it, it cannot be copied, or a weight is NaN.
        DataError: if the example or the data are empty, or the model refuses them.
        DomainError: if the domain is no range, does not fit the inputs, or the example leaves it.
        ParameterError: if ``keep`` or ``rarely`` is no share, or lacks data.
        LossError: if the loss fails.

    """
    from relucid.report.progress import stages
    from relucid.shrink.perform import perform

    with stages(LONG) if progress is None else nullcontext(progress) as tell:
        return perform(
            model, example, domain, data,
            keep=keep, rarely=rarely, loss=loss, tune=tune, tell=tell,
        )  # fmt: skip
