"""A callback for the Trainer of Hugging Face's transformers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from safetensors.torch import load_file, save_file

from relucid.errors import MissingDependencyError
from relucid.integrations.callback import Options, TrainingWatch

try:
    from transformers import TrainerCallback
    from transformers.trainer_callback import PrinterCallback, ProgressCallback
    from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
    from transformers.utils import logging
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        'relucid.integrations.transformers needs transformers: pip install "transformers[torch]"'
    ) from error

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments

FILE = "relucid.safetensors"
"""The file of the counts in a checkpoint."""
_CURE = (
    "train without torch_compile to watch it, and let compute_loss call the model that it is given"
)

logger = logging.get_logger(__name__)


class WatchCallback(TrainingWatch, TrainerCallback):
    """Watches the training steps of a ``Trainer`` and logs wherever it reports to.

    ``trainer.add_callback(WatchCallback(trainer, every=10))`` samples each tenth pass of training,
    as :func:`relucid.watch` does, whose other arguments can be given as well; the scaler of fp16
    is divided out. Whenever the trainer logs, each site's ``relucid/<site>/<quantity>`` goes to
    all its callbacks that take logs (those of ``report_to`` and the user's own), but not to those
    that print and not into ``state.log_history``: the mean since the last time.
    :func:`~relucid.integrations.reading.scalars` names the quantities.

    Each checkpoint holds the counts in ``relucid.safetensors``, and training that is resumed goes
    on from them: from ``args.resume_from_checkpoint`` where it is set, else from the checkpoint of
    the same step in ``args.output_dir``.

    In distributed training each rank counts its own batches, and rank 0 logs its own and saves
    them; ``callback.probe.merge_ranks()`` adds up the ranks.

    ``train`` raises :class:`~relucid.errors.ModelError` where the first training step shows no
    activation, with the cure. The trainer tells no callback of an exception: after one within a
    training step, :meth:`remove` takes the watch off the model.
    """

    def __init__(self, trainer: Trainer, every: int = 1, **options: Unpack[Options]) -> None:
        super().__init__(every, options)
        self._trainer = trainer

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module,
        **others: Any,
    ) -> None:
        """Begin, or go on from the checkpoint that training goes on from."""
        if state.global_step:
            self.load_state_dict(_stored(args, state))
        self._begin(model, "", self._trainer.accelerator.scaler, _CURE)

    def on_step_begin(self, *args: Any, **others: Any) -> None:
        """Watch."""
        self.probe.start()

    def on_step_end(self, *args: Any, **others: Any) -> None:
        """Watch no more.

        Raises :class:`~relucid.errors.ModelError` if the first step showed nothing.
        """
        self.remove()
        self._check()

    def on_train_end(self, *args: Any, **others: Any) -> None:
        """Leave nothing on the model, where a callback has stopped within a step."""
        self.remove()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Log what is new to the same callbacks."""
        if not state.is_world_process_zero:
            return
        numbers = self._new()
        listeners = self._trainer.callback_handler.callbacks if numbers else ()
        for callback in listeners:
            if not isinstance(callback, PrinterCallback | ProgressCallback | WatchCallback):
                callback.on_log(args, state, control, **{**others, "logs": dict(numbers)})

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Put the counts into the checkpoint."""
        if args.should_save:
            save_file(self.state_dict(), _checkpoint(args, state) / FILE)


def _checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"


def _stored(args: TrainingArguments, state: TrainerState) -> dict[str, Tensor]:
    """Return the counts of the checkpoint that training goes on from."""
    path = Path(args.resume_from_checkpoint or _checkpoint(args, state)) / FILE
    if path.exists():
        return load_file(path)
    logger.warning(f"The history of relucid begins anew: the checkpoint has no {path}.")
    return {}
