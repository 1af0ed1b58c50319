"""What a worker in another process is sent: the experiment, and what it is run with."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, fields
from typing import Any, cast

import cloudpickle

from relucid.compare.engines.workers.settings import Settings
from relucid.compare.experiment import Experiment
from relucid.errors import EngineError
from relucid.functions import Activation, register


@dataclass(frozen=True)
class Parcel:
    """What a worker is sent once."""

    settings: Settings
    experiment: bytes
    """By cloudpickle, which sends functions and classes of a script or notebook whole."""

    @classmethod
    def of(cls, experiment: Experiment, settings: Settings) -> Parcel:
        """Pack an experiment: of a subject that knows its source, without the data.

        Raises :class:`~relucid.errors.EngineError` where something in it cannot be sent.
        """
        try:
            return cls(settings, _pickled(experiment))
        except Exception as error:  # whatever the __reduce__ of a user's object raises
            raise EngineError(
                f"the model's builder, data, loss or optimizer cannot be sent to another process "
                f"({type(error).__name__}: {error}); take out of them what belongs to this process "
                "(open files, locks, generators), or compare with engine='sequential'"
            ) from error

    def opened(self) -> Experiment:
        """Unpack the experiment; here a subject's source is called."""
        return cast(Experiment, pickle.loads(self.experiment))


def _pickled(thing: Any) -> bytes:
    text = io.BytesIO()
    _Pickler(text).dump(thing)
    return text.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Sends activations that are declared in a script or notebook whole, as it sends functions.

    By themselves they are pickled by name, to be found again where they are declared.
    """

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, Activation) and thing.home == "__main__":
            parts = {field.name: getattr(thing, field.name) for field in fields(thing)}
            return _declared, (type(thing), {**parts, "values": {}}, thing._state())
        return super().reducer_override(thing)


def _declared(kind: type[Activation], parts: dict[str, Any], state: dict[str, Any]) -> Activation:
    return register(kind(**parts))._restored(state)
