"""A callback for Lightning's Trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from torch import nn

from relucid.errors import MissingDependencyError, ModelError
from relucid.integrations.callback import Options, TrainingWatch
from relucid.integrations.mlflow import permitted

try:
    from lightning.pytorch import Callback
except ModuleNotFoundError:
    try:
        from pytorch_lightning import Callback
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "relucid.integrations.lightning needs Lightning: pip install lightning"
        ) from error

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


class WatchCallback(TrainingWatch, Callback):
    """Watches the training steps of a ``Trainer`` and logs to whatever loggers it has.

    ``Trainer(callbacks=[WatchCallback(every=10)])`` samples each tenth pass of training, as
    :func:`relucid.watch` does, whose other arguments can be given as well; the scaler of the
    trainer's precision is divided out. Every ``log_every_n_steps`` steps, beside the metrics of
    the module and on rank 0, each site's ``relucid/<site>/<quantity>`` is logged, the mean since
    the last time; :func:`~relucid.integrations.reading.scalars` names the quantities. The counts
    go into the trainer's checkpoints and come back with ``ckpt_path``.

    What is watched is the LightningModule, or where it has no ``forward`` the one module in it
    that has parameters; ``module`` is the path of another part (``"generator"``).

    In distributed training each rank counts its own batches, and rank 0 logs its own and saves
    them; ``callback.probe.merge_ranks()`` adds up the ranks.

    ``fit`` raises :class:`~relucid.errors.ModelError` where it cannot be told what to watch, or
    the first training step shows no activation, with the cure.
    """

    def __init__(
        self, every: int = 1, module: str | None = None, **options: Unpack[Options]
    ) -> None:
        super().__init__(every, options)
        self._module, self._global_step = module, 0

    @property
    def state_key(self) -> str:
        """The key of the counts in a checkpoint: one for each part that is watched."""
        return f"relucid.WatchCallback({self._module or ''})"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find what to watch."""
        path = _whole_or_part(pl_module) if self._module is None else self._module
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        self._begin(_module(pl_module, path), path, scaler, _cure(pl_module))
        self._global_step = trainer.global_step

    def on_train_batch_start(self, *args: Any) -> None:
        """Watch."""
        self.probe.start()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Watch no more, and log where the trainer is about to.

        Raises :class:`~relucid.errors.ModelError` if there is nothing to log.
        """
        self.remove()
        step = trainer.fit_loop.epoch_loop._batches_that_stepped  # what Lightning logs under
        every = trainer.log_every_n_steps
        stepped = trainer.global_step != self._global_step  # not while gradients accumulate
        self._global_step = trainer.global_step
        logs = stepped and every and (step + 1) % every == 0
        if logs or self._module is None:  # a part that was named may be called later
            self._check()
        if logs:
            self._log(trainer, step)

    def on_train_end(self, trainer: Trainer, *args: Any) -> None:
        """Log what is left, under the number of the last step."""
        self.remove()
        self._log(trainer, max(trainer.fit_loop.epoch_loop._batches_that_stepped - 1, 0))

    def on_exception(self, *args: Any) -> None:
        """Leave nothing on the model."""
        self.remove()

    def _log(self, trainer: Trainer, step: int) -> None:
        numbers = self._new() if trainer.is_global_zero and trainer.loggers else {}
        for logger in trainer.loggers if numbers else ():
            # That of MLflow would drop a "#", and two sites would have one name.
            mlflow = any(kind.__name__ == "MLFlowLogger" for kind in type(logger).__mro__)
            logger.log_metrics(permitted(numbers) if mlflow else numbers, step=step)


def _whole_or_part(model: nn.Module) -> str:
    """Return the path of what is called in training: ``""``, or that of the only part."""
    if type(model).forward.__qualname__ != "LightningModule.forward":  # has one of its own
        return ""
    parts = _parts(model)
    if len(parts) != 1:
        raise ModelError(
            f"{type(model).__name__} has no forward of its own, so that only a part of it can be "
            f"watched; say which of {parts}: WatchCallback(module=...)"
        )
    return parts[0]


def _module(model: nn.Module, path: str) -> nn.Module:
    try:
        return model.get_submodule(path)
    except AttributeError as error:
        raise ModelError(
            f"{type(model).__name__} has no module {path!r} to watch; it has {_parts(model)}"
        ) from error


def _cure(model: nn.Module) -> str:
    return (
        f"if training_step of {type(model).__name__} calls one of {_parts(model)}, say which: "
        "WatchCallback(module=...); a model that torch.compile has made cannot be watched"
    )


def _parts(model: nn.Module) -> list[str]:
    """Return the names of the modules that have parameters."""
    return [name for name, part in model.named_children() if any(True for _ in part.parameters())]
