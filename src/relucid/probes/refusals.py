"""Errors of the user's own code, told with the batch and the module where they happened."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from torch import nn

from relucid.errors import DataError, LossError
from relucid.probes.batches import Batch, described
from relucid.probes.source import raised_here


class Refusal:
    """Turns an exception of the model's ``forward`` into a DataError that says where."""

    def __init__(self, model: nn.Module, batch: Batch, index: int) -> None:
        self._model, self._batch, self._index = model, batch, index

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and not raised_here(error):
            raise DataError(self._message(error)) from error

    def _message(self, error: Exception) -> str:
        where = _module_of(error, self._model)
        place = f"in its module {where!r} " if where else ""
        return (
            f"the model refuses batch {self._index} ({self._batch}): {place}"
            f"{type(error).__name__}: {error}{self._devices()}"
        )

    def _devices(self) -> str:
        """Return a hint where data and model lie on different devices."""
        data = {str(x.device) for x in self._batch.tensors()}
        model = {str(p.device) for p in self._model.parameters()}
        if not data or not model or data <= model:
            return ""
        return (
            f"; the data are on {', '.join(sorted(data))} and the model on "
            f"{', '.join(sorted(model))}: move one to the other"
        )


class FailingLoss:
    """Turns an exception of the loss into a LossError that says what it was given."""

    def __init__(self, output: Any, target: Any, index: int) -> None:
        self._output, self._target, self._index = output, target, index

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            raise LossError(
                f"the loss failed on batch {self._index}, given the output "
                f"({described(self._output)}) and the target ({described(self._target)}): "
                f"{type(error).__name__}: {error}"
            ) from error


def _module_of(error: BaseException, model: nn.Module) -> str:
    """Path of the innermost module of the model whose ``forward`` the traceback passes."""
    paths = {id(module): path for path, module in model.named_modules()}
    trace, found = error.__traceback__, ""
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        if isinstance(owner, nn.Module):
            found = paths.get(id(owner), found)
        trace = trace.tb_next
    return found
