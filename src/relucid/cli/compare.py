"""``relucid compare``: which activation is best for a model and its data."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relucid.cli.told import check_page

if TYPE_CHECKING:
    from relucid.compare.result import Compared
    from relucid.compare.subject import Subject


class Metric(StrEnum):
    """By what candidates are judged, on the samples that are kept apart."""

    ACCURACY = "accuracy"
    LOSS = "loss"


class EngineName(StrEnum):
    """How runs are carried out."""

    AUTO = "auto"
    STACKED = "stacked"
    PROCESSES = "processes"
    RAY = "ray"
    SEQUENTIAL = "sequential"


def compare(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:FUNCTION|FOLDER|FILE|TASK]",
            help="A function that returns (model, data, loss), perhaps with a function of "
            "parameters that makes the optimizer behind them; naming it here runs its code. Or "
            "digits, digits-cnn, or the path of IDX files, a CSV table or texts. Without it: "
            "digits.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data instead of the subject's own: a .npz, .npy, .safetensors or .pt file with "
            "'inputs' and 'targets', or MODULE:FUNCTION."
        ),
    ] = None,
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
    store: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            help="The Optuna storage that keeps every finished run, and from which the same "
            "command goes on. Default: a file of relucid's in the user's data folder.",
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
    ran, 130 when it was interrupted, 2 on wrong use.
    """
    check_page(html)
    from relucid.cli.progress import bars
    from relucid.compare import compare as comparison

    with bars() as bar:
        compared = comparison(
            _subject(subject, data, metric),
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
            store=store,
            metric=None if metric is None else metric.value,
            progress=bar("Training"),
        )
    _tell(compared, html, json, recommend)
    if compared.record.stopped == "it was interrupted":
        raise typer.Exit(130)


def _subject(name: str | None, data: str | None, metric: Metric | None) -> Subject | str:
    """The user's own, or what names a built-in task."""
    from relucid.errors import SubjectError

    if name is not None and re.fullmatch(r"[\w.]+:\w+", name) and not Path(name).exists():
        return _own(name, data, metric)
    if data is not None:
        raise SubjectError("--data needs a subject of its own: relucid compare module:function")
    return name or "digits"


def _own(name: str, data: str | None, metric: Metric | None) -> Subject:
    """The user's function builds a model at every call; data and loss are those of the first."""
    from functools import partial

    from relucid.cli.subject import load_subject
    from relucid.cli.user_code import call
    from relucid.compare.subject import Subject
    from relucid.errors import LossError, SubjectError

    first = load_subject(name, data)
    if first.loss is None:
        raise LossError(f"{name} returned no loss; return (model, data, loss)")
    if hasattr(first.optimizer, "param_groups"):
        raise SubjectError(
            f"{name} returned an optimizer of one model, and every run needs its own; return a "
            "function of parameters that makes one, such as lambda p: torch.optim.SGD(p, lr=0.1)"
        )

    def build() -> Any:
        returned = call(name)
        return returned[0] if isinstance(returned, tuple) else returned

    return Subject(
        name,
        build,
        first.data,
        first.loss,
        first.optimizer,
        "loss" if metric is None else metric.value,
        source=partial(_own, name, data, metric),
    )


def _seconds(text: str | None) -> float | None:
    """Read ``90s``, ``10m`` or ``2h``; a bare number is seconds."""
    from relucid.errors import ParameterError

    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if found is None or not float(found[1]):
        raise ParameterError(f"--budget takes a time such as 90s, 10m or 2h, and not {text!r}")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


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
