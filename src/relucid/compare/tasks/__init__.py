"""Built-in subjects of a comparison: each module here is a kind of data, found by being here.

A kind has ``TITLE`` (what it reads), ``NAMES`` (its tasks that need no data), ``find`` (the files
at a path that are its own) and ``subject``, whose keyword arguments are its options.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from relucid.compare.subject import Subject
from relucid.compare.tasks.reading.folder import listed
from relucid.errors import DataError, ParameterError
from relucid.records.comparison import Metric


@dataclass(frozen=True)
class Kind:
    """One file of this folder."""

    name: str
    title: str
    names: tuple[str, ...]
    find: Callable[[Path], Sequence[Path]]
    subject: Callable[..., Subject]

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options."""
        return tuple(inspect.signature(self.subject).parameters)[1:]


@cache
def kinds() -> dict[str, Kind]:
    """Return all kinds by name, in alphabetical order."""
    return {
        found.name: _read(found.name) for found in pkgutil.iter_modules(__path__) if not found.ispkg
    }


def task(
    what: str | PathLike[str],
    *,
    kind: str | None = None,
    metric: Metric | None = None,
    **options: Any,
) -> Subject:
    """Return a built-in subject: a small network, data, loss and optimizer.

    Args:
        what: ``digits`` or ``digits-cnn`` for the data that are shipped with relucid, or a file or
            folder, whose kind is found from what lies there: IDX images with labels, a table, or
            text. A folder that is called ``digits`` is given as ``./digits``.
        kind: ``digits``, ``idx``, ``tables`` or ``text``: the kind, where it is not to be found.
        metric: ``"accuracy"`` or ``"loss"``, where it is not to be the task's own.
        options: of all kinds ``model`` (``"mlp"`` or ``"cnn"``) and ``samples`` (the most that are
            kept, drawn evenly, always the same ones); of some ``target`` and others.

    Raises:
        DataError: where no kind or several fit, or the data cannot be read, with the place.
        ParameterError: for an option that the kind does not have.

    """
    name = fspath(what)
    built_in = {name: kind.name for kind in kinds().values() for name in kind.names}
    if kind is None and name in built_in:
        chosen, place = _kind(built_in[name]), name
    else:
        chosen = _kind(kind) if kind is not None else _found(Path(name), tuple(built_in))
        place = name if chosen.names else str(Path(name).absolute())
    _check(chosen, options)
    given = {option: value for option, value in options.items() if value is not None}
    # With its kind and whole path, so that a worker elsewhere makes the same subject.
    source = partial(task, place, kind=chosen.name, metric=metric, **given)
    subject = chosen.subject(place, **given)
    _check_metric(subject, metric)
    return replace(subject, source=source, metric=metric or subject.metric)


def _read(name: str) -> Kind:
    module = importlib.import_module(f"{__name__}.{name}")
    return Kind(name, module.TITLE, module.NAMES, module.find, module.subject)


def _kind(name: str) -> Kind:
    if name not in kinds():
        raise ParameterError(f"there is no kind {name!r}; choose {', '.join(kinds())}")
    return kinds()[name]


def _found(path: Path, built_in: tuple[str, ...]) -> Kind:
    if not path.exists():
        raise DataError(
            f"there is no file or folder {str(path)!r}; give one, or a built-in task: "
            f"{', '.join(built_in)}"
        )
    fitting = [(kind, files) for kind in kinds().values() if (files := kind.find(path))]
    if len(fitting) == 1:
        return fitting[0][0]
    if fitting:
        seen = "; ".join(f"{kind.title}: {listed(files)}" for kind, files in fitting)
        names = " or ".join(f"kind={kind.name!r}" for kind, _ in fitting)
        raise DataError(
            f"{str(path)!r} holds several kinds of data ({seen}); give one of the files, or {names}"
        )
    raise DataError(
        f"{str(path)!r} holds nothing that is read (it {_seen(path)}); read are "
        f"{'; '.join(kind.title for kind in kinds().values() if not kind.names)}; give such a file "
        "or folder, or for other data a module:function of your own"
    )


def _seen(path: Path) -> str:
    if path.is_dir():
        return f"holds {listed(sorted(path.iterdir())) or 'no files'}"
    return "is neither of these" if path.is_file() else "is no ordinary file"


def _check(kind: Kind, options: dict[str, Any]) -> None:
    unknown = [option for option in options if option not in kind.options]
    if unknown:
        raise ParameterError(
            f"{kind.title} take no {unknown[0]!r}; their options are {', '.join(kind.options)}"
        )
    samples = options.get("samples")
    if samples is not None and (isinstance(samples, bool) or not isinstance(samples, int)):
        raise ParameterError(f"samples must be a whole number, not {samples!r}")


def _check_metric(subject: Subject, metric: Metric | None) -> None:
    if metric not in (None, "loss", "accuracy") or (metric, subject.metric) == ("accuracy", "loss"):
        known = "'loss' or 'accuracy'" if subject.metric == "accuracy" else "'loss'"
        raise ParameterError(f"the metric of {subject.name} must be {known}, not {metric!r}")
