"""Models as files that run elsewhere: ONNX, perhaps in int8, checked before they are handed over.

``relucid.export`` is the function below; ``from relucid.export import ...`` works as well.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import nn

    from relucid.export.result import Exported

__all__ = ["Exported", "export"]


def __getattr__(name: str) -> Any:
    """Load the result's class when it is asked for."""
    if name == "Exported":
        from relucid.export.result import Exported

        return Exported
    raise AttributeError(f"module 'relucid.export' has no attribute {name!r}")


def export(
    model: nn.Module,
    path: str | PathLike[str],
    example: Any = None,
    *,
    int8: bool | Literal["dynamic", "static"] = False,
    data: Any = None,
) -> Exported:
    """Write a model to a file, and compare what the file computes with what the model does.

    The suffix of ``path`` says what is written: ``.onnx`` a model for ONNX Runtime and others,
    with a batch of any size where the model allows that; ``.pt2`` a program of ``torch.export``,
    which runs without the model's code; ``.safetensors`` the weights alone. The model is taken in
    evaluation mode and is not changed.

    Activations leave in a form that keeps their values where PyTorch's exporter loses them:
    LogSigmoid (minus infinity below -18), Sigmoid and SiLU (0 below -18), RReLU (refused), SiLU,
    Mish and GELU at minus infinity (NaN). relucid's own leave by their declarations.

    Args:
        model: the model, on a CPU for ``.onnx``.
        path: what to write. What was there is replaced when the new file has passed, or not at all.
        example: a batch, as :func:`relucid.checkup` takes it; by default the first of ``data``.
            Weights alone need none.
        int8: ``"dynamic"`` (or True): weights of matrix products are stored in int8, and
            activations are rounded as they come, which suits transformers; ``"static"``: weights
            and activations of convolutions and matrix products are int8, with ranges from
            ``data``, which suits convolutional networks. ``.onnx`` only.
        data: batches for the ranges of ``"static"``, and more inputs to compare on.

    Returns:
        An :class:`~relucid.export.result.Exported`: sizes, the difference of the outputs, notes;
        ``show()`` prints them.

    Raises:
        ExportError: if the model cannot be exported so, or the file's outputs are not the model's.
        MissingDependencyError: where a package is missing: ``pip install 'relucid[export]'``.
        ParameterError: for an ``int8`` that does not go with the rest.
        DataError: if there is no example, or the model refuses it.
        OutputError: where the path cannot be written.

    """
    from relucid.export.perform import perform

    return perform(model, path, example, int8=int8, data=data)
