"""Another activation in place of one, in any model: what changed, what was refused, and undo."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from relucid.swap.result import Swapped

__all__ = ["Swapped", "swap"]


def __getattr__(name: str) -> Any:
    """Load the result's class when it is asked for."""
    if name == "Swapped":
        from relucid.swap.result import Swapped

        return Swapped
    raise AttributeError(f"module 'relucid.swap' has no attribute {name!r}")


def swap(
    model: nn.Module,
    old: Any = None,
    *,
    to: Any,
    at: str | Iterable[str] | None = None,
    example: Any = None,
    right_gain: bool = False,
) -> Swapped:
    """Put another activation in place of one, wherever a model has it, in place.

    ``relucid.swap(model, "relu", to="silu")`` replaces modules (PyTorch's, relucid's, and the
    model's own that compute that function), functions kept as attributes (``self.act = F.relu``)
    and, with an ``example``, calls in a ``forward`` (``F.relu(x)``, ``x.relu()``). Each site gets
    a module of its own, in the training mode of what it replaces, its parameters on the device and
    in the dtype of the parameters around it.

    A call is swapped by compiling the method that makes it anew, with that one expression
    changed, for that module alone (see ``docs/swap.md``). So ``torch.compile``, checkpointing,
    ``copy.deepcopy`` and ``torch.save`` work as before.

    Args:
        model: the model, changed in place. Make optimizers, wrap (DDP) and compile afterwards.
        old: what to replace: a name or alias, a module class or instance, a function, or
            ``"all"`` (None) for every function of one number. Parameters that are not the
            function's defaults have to be the same.
        to: what to put there: a name, ``relucid.get("elu", alpha=0.5)``, a function, a module
            class, a module (copied for each site), or a callable that makes a module: it is given
            the site's name if it takes one argument.
        at: names of sites or modules to which the swap is limited; ``*`` stands for anything, and
            a module's name for all that is in it.
        example: a batch, as :func:`relucid.checkup` takes it. With it the calls of functions are
            found, and the difference of the outputs is measured. It runs in evaluation mode.
        right_gain: also multiply the weights of the layers that read the new activations by the
            ratio of the gains. Right for weights as they were drawn; needs an ``example``.

    Returns:
        A :class:`~relucid.swap.result.Swapped`: ``changed``, ``refused`` with the reasons,
        ``gain``, ``difference``, ``undo()``, ``show()``. As a context manager it undoes at the
        end.

    Raises:
        ModelError: if this is no module, it is compiled, it has no such activation, or it fails
            with the new one. Then nothing was changed.
        UnknownActivationError: if ``old`` or ``to`` is no known activation, with the nearest names.
        ParameterError: if ``to`` needs arguments, or takes two inputs where the old one takes one,
            or ``right_gain`` has no example.
        DataError: if the model refuses the example.

    """
    from relucid.swap.perform import perform

    return perform(model, old, to, at=at, example=example, right_gain=right_gain)
