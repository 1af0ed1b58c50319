"""``relucid compare``: which activation is best for a model and its data."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relucid.cli.told import Data, check_page

if TYPE_CHECKING:
    from relucid.compare.result import Compared
    from relucid.compare.subject import Subject


class Metric(StrEnum):
    """By what candidates are judged, on the samples that are kept apart."""

    ACCURACY = "accuracy"
    LOSS = "loss"


class Predict(StrEnum):
    """What the target of a table is."""

    CLASS = "class"
    NUMBER = "number"


class EngineName(StrEnum):
    """How runs are carried out."""

    AUTO = "auto"
    STACKED = "stacked"
    PROCESSES = "processes"
    RAY = "ray"
    SEQUENTIAL = "sequential"


TASKS = "Built-in tasks"
"""The options that a subject of one's own has no use for."""


def compare(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="SUBJECT",
            help="A function that returns (model, data, loss), perhaps with a function of "
            "parameters that makes the optimizer behind them; naming it here runs its code. One "
            "that takes 'activation' is given a function that makes a module. Or digits, "
            "digits-cnn, or the path of IDX files, a CSV table or texts. Without it: digits.",
        ),
    ] = None,
    data: Data = None,
    among: Annotated[
        str,
        typer.Option(
            metavar="NAME[:PARAMETER=VALUE],...",
            help="The candidates, separated by commas; parameters of one by semicolons.",
        ),
    ] = "relu,leaky_relu,elu,gelu,silu,mish",
    baseline: Annotated[
        str | None,
        typer.Option(
            help="What the others are compared with; the model's own, else the first candidate."
        ),
    ] = None,
    swap: Annotated[
        str | None,
        typer.Option(help="The activation whose place candidates take; what the model has most."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each candidate.")] = 5,
    epochs: Annotated[
        float | None, typer.Option(min=0.001, help="Passes over the training samples (10).")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps, instead of --epochs.")
    ] = None,
    metric: Annotated[
        Metric | None, typer.Option(help="What is judged; the task's own, else the loss.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="The most that all may take: 90s, 10m, 2h."),
    ] = None,
    keep_gain: Annotated[
        bool, typer.Option("--keep-gain", help="Leave initial weights as the builder made them.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Give up hopeless runs early (successive halving).")
    ] = False,
    engine: Annotated[EngineName, typer.Option(help="How runs are carried out.")] = EngineName.AUTO,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes, where those are used; one a core.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Run on this Ray cluster; auto finds a running one."),
    ] = None,
    gpus: Annotated[
        float, typer.Option(min=0.0, help="Graphics processors that a run takes there, or a part.")
    ] = 0.0,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            help="The Optuna storage that keeps every finished run, and from which the same "
            "command goes on. Default: a file of relucid's in the user's data folder.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="mlp|cnn", help="The network that is trained.", rich_help_panel=TASKS),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="The most samples to keep, drawn evenly.", rich_help_panel=TASKS),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Of a table, the name of the column that is told, or its number from 1; the last "
            "by itself. Of images, the file of labels.",
            rich_help_panel=TASKS,
        ),
    ] = None,
    predict: Annotated[
        Predict | None,
        typer.Option(help="What the target of a table is; found by itself.", rich_help_panel=TASKS),
    ] = None,
    header: Annotated[
        bool | None,
        typer.Option(
            help="Whether the first row of a table names its columns; found by itself.",
            rich_help_panel=TASKS,
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the report as one self-contained page.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the records as JSON instead of text.")
    ] = False,
    recommend: Annotated[
        bool, typer.Option("--recommend", help="Print the sentence of advice only.")
    ] = False,
) -> None:
    """Train a model with each activation, all else equal, and say which is best.

    Finished runs are kept: the same command goes on where it was stopped. Exit status: 0 when it
    ran, 1 when a run could not be kept, 130 when it was interrupted, 2 on wrong use.
    """
    check_page(html)
    from relucid.compare import compare as comparison
    from relucid.compare.tasks.reading.streams import telling
    from relucid.report.progress import bars

    options = {
        "model": model,
        "samples": samples,
        "target": target,
        "predict": None if predict is None else predict.value,
        "header": header,
    }
    with bars() as bar, telling(bar("Reading")):
        compared = comparison(
            _subject(subject, data, metric, options),
            among=[part.strip().replace(";", ",") for part in among.split(",") if part.strip()],
            baseline=baseline,
            swap=swap,
            seeds=seeds,
            steps=steps,
            epochs=epochs,
            budget=_seconds(budget),
            right_gain=not keep_gain,
            prune=prune,
            engine=engine.value,
            workers=workers,
            ray=ray,
            gpus=gpus,
            store=store,
            metric=None if metric is None else metric.value,
            progress=bar("Training"),
        )
    _tell(compared, html, json, recommend)
    raise typer.Exit(_status(compared.record.stopped))


def _subject(
    name: str | None, data: str | None, metric: Metric | None, options: dict[str, Any]
) -> Subject:
    """The user's own, or a built-in task."""
    from relucid.compare.tasks import task
    from relucid.errors import SubjectError

    given = {option: value for option, value in options.items() if value is not None}
    if name is not None and re.fullmatch(r"[\w.]+:\w+", name) and not Path(name).exists():
        if given:
            raise SubjectError(
                f"--{next(iter(given))} is for built-in tasks; let {name} decide that itself"
            )
        return _own(name, data, metric)
    if data is not None:
        raise SubjectError("--data needs a subject of its own: relucid compare module:function")
    return task(name or "digits", metric=None if metric is None else metric.value, **given)


def _own(name: str, data: str | None, metric: Metric | None) -> Subject:
    """The user's function builds a model at every call; data and loss are those of the first."""
    from functools import partial

    from relucid.cli.subject import load_subject
    from relucid.cli.user_code import function_of
    from relucid.compare.subject import NAMED, Subject, takes_activation
    from relucid.errors import LossError, SubjectError
    from relucid.nn import ReLU

    function = function_of(name)
    takes = takes_activation(function)
    first = load_subject(name, data, **({NAMED: ReLU} if takes else {}))
    if first.loss is None:
        raise LossError(f"{name} returned no loss; return (model, data, loss)")
    if hasattr(first.optimizer, "param_groups"):
        raise SubjectError(
            f"{name} returned an optimizer of one model, and every run needs its own; return a "
            "function of parameters that makes one, such as lambda p: torch.optim.SGD(p, lr=0.1)"
        )
    return Subject(
        name,
        partial(_model_with if takes else _model, function),
        first.data,
        first.loss,
        first.optimizer,
        "loss" if metric is None else metric.value,
        source=partial(_own, name, data, metric),
    )


def _model(function: Callable[..., Any], **arguments: Any) -> Any:
    """Return the model alone, the first of what the user's function returns."""
    returned = function(**arguments)
    return returned[0] if isinstance(returned, tuple) else returned


def _model_with(function: Callable[..., Any], activation: Callable[[], Any]) -> Any:
    """Return the model with an activation, for a function that takes it by this name."""
    return _model(function, activation=activation)


def _seconds(text: str | None) -> float | None:
    """Read ``90s``, ``10m`` or ``2h``; a bare number is seconds."""
    from relucid.errors import ParameterError

    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if found is None or not float(found[1]):
        raise ParameterError(f"--budget takes a time such as 90s, 10m or 2h, and not {text!r}")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def _status(stopped: str) -> int:
    from relucid.compare.comparing import INTERRUPTED, OVER

    if stopped == INTERRUPTED:
        return 130
    return 0 if not stopped or stopped.endswith(OVER) else 1


def _tell(compared: Compared, html: Path | None, json: bool, recommend: bool) -> None:
    if html is not None:
        compared.save(html)
    if json:
        typer.echo(compared.to_json())
        return
    if recommend:
        typer.echo(compared.advice)
        return
    compared.show()
    if html is not None:
        typer.echo(f"Report with pictures: {html}")
