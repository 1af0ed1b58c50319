"""Matched experiments: models that differ in one thing, trained on the same batches.

``relucid.compare`` is the function below; ``from relucid.compare import ...`` works as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from relucid.compare.changes import add_normalisation, reinitialise_dead, right_gain
    from relucid.compare.plan import Trial
    from relucid.compare.result import Compared
    from relucid.compare.trial import try_prescriptions

__all__ = [
    "Trial",
    "add_normalisation",
    "compare",
    "reinitialise_dead",
    "right_gain",
    "try_prescriptions",
]

DEFAULT = ("relu", "leaky_relu", "elu", "gelu", "silu", "mish")
"""What is compared where nothing is named."""


def compare(
    build: Any,
    data: Any = None,
    *,
    among: Sequence[Any] = DEFAULT,
    baseline: Any = None,
    swap: Any = None,
    loss: Callable[[Any, Any], Any] | None = None,
    optimizer: Callable[[Any], Any] | None = None,
    metric: Literal["accuracy", "loss"] | None = None,
    seeds: int | Sequence[int] = 5,
    steps: int | None = None,
    epochs: float | None = None,
    budget: float | None = None,
    right_gain: bool = True,
    prune: bool = False,
    engine: str = "auto",
    workers: int | None = None,
    ray: str | None = None,
    gpus: float = 0.0,
    store: str | PathLike[str] | None = None,
    title: str | None = None,
    progress: Callable[[float, int], object] | None = None,
) -> Compared:
    """Train a model with each activation, everything else the same, and say which does best.

    Every candidate is trained from the same initial weights, on the same batches in the same
    order, once for each seed; a fifth of the samples is kept apart to judge by. Differences are
    paired by seed, with 95% intervals that hold for all candidates together. Over the second half
    of the steps the learning rate falls to zero.

    Args:
        build: a function that builds a fresh model. One with an argument ``activation`` is given a
            function that makes a module; in the model of any other the activation is swapped
            (:func:`relucid.swap`). Or a built-in task: ``"digits"``, ``"digits-cnn"``, or the path
            of IDX files, a CSV table or texts; with options, what
            :func:`relucid.compare.tasks.task` returns.
        data: as for :func:`relucid.checkup`, with targets: a ``DataLoader``, a pair of tensors, or
            batches. They are read once and mixed anew for each seed.
        among: names (``"elu:alpha=0.5"``), classes, modules or declarations.
        baseline: what the others are compared with; the model's own activation where there is one,
            else the first of ``among``.
        swap: the activation of the model whose place candidates take; the one it has most of.
        loss: of (output, target), a scalar.
        optimizer: a function of parameters that makes one; Adam at learning rate 0.001.
        metric: ``"accuracy"`` or ``"loss"`` (default), on the held-out samples.
        seeds: how many, or which.
        steps: training steps of a run.
        epochs: passes over the training samples instead (10).
        budget: seconds after which what is done is ranked.
        right_gain: scale initial weights by the candidate's gain over that of what it replaces.
        prune: give hopeless runs up early, by successive halving.
        engine: ``"stacked"`` (all at once as one batched network), ``"processes"``, ``"ray"``,
            ``"sequential"``, or ``"auto"``.
        workers: processes, where those are used.
        ray: address of a Ray cluster, or ``"auto"`` for a running one.
        gpus: graphics processors that a run takes on the Ray cluster, or the part of one.
        store: file or URL of the Optuna storage that keeps every finished run, from which the same
            comparison goes on. By default a file of relucid's in the user's data folder.
        title: name of the subject in the report.
        progress: called with the runs done, those under way in part, and the runs in all.

    Returns:
        The result: ``.show()``, ``.frame()``, ``.save("compare.html")``, ``.to_json()``,
        ``.advice``.

    Raises:
        RelucidError: with what is wrong and what to do, before anything is trained.

    """
    from relucid.compare.asking import experiment_of, subject_of
    from relucid.compare.comparing import Way, carry_out
    from relucid.compare.result import Compared
    from relucid.probes.undisturbed import same_random_numbers

    subject = subject_of(build, data, loss, optimizer, metric, title)
    where = None if store is None else str(store)
    way = Way(engine, workers, ray, gpus, where, prune, budget, progress)
    with same_random_numbers():
        experiment = experiment_of(
            subject,
            among,
            baseline=baseline,
            swap=swap,
            seeds=seeds,
            steps=steps,
            epochs=epochs,
            right_gain=right_gain,
        )
        return Compared(carry_out(experiment, way))


_ROOMS = {
    "Trial": "plan",
    "add_normalisation": "changes",
    "reinitialise_dead": "changes",
    "right_gain": "changes",
    "try_prescriptions": "trial",
}


def __getattr__(name: str) -> Any:
    """Load the rest when it is first asked for: it takes a third of the import."""
    from importlib import import_module

    if name in _ROOMS:
        return getattr(import_module(f"relucid.compare.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'relucid.compare' has no attribute {name!r}")
