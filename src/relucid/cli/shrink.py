"""``relucid shrink``: the same network, smaller, with a receipt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relucid.cli.told import Data, check_page, domain_of

if TYPE_CHECKING:
    from relucid.cli.subject import Subject
    from relucid.export import Exported
    from relucid.shrink import Shrunk

DIGITS = "Digits, trained sparse"
DIGITS_STEPS = 1500
DIGITS_STRENGTH = 0.002
SUFFIXES = (".onnx", ".pt2", ".safetensors")


class Int8(StrEnum):
    """How an ONNX file is quantised."""

    DYNAMIC = "dynamic"
    STATIC = "static"


def shrink(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:FUNCTION]",
            help="A function that returns (model, data), perhaps with a loss behind them. Naming "
            "it here runs its code. Without it, a small network is trained on shipped digits so "
            "that its units die on purpose.",
        ),
    ] = None,
    data: Data = None,
    domain: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH",
            help="The range of every input: what holds for all inputs in it is proved. Without "
            "it, only what holds for any input is (for the digits: 0,1).",
        ),
    ] = None,
    observed: Annotated[
        bool,
        typer.Option("--observed", help="Also remove what is constant on all of the data."),
    ] = False,
    rarely: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Also prune units that fire at most at this rate."),
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Also prune each layer to this share of its units, such as 0.9."
        ),
    ] = None,
    tune: Annotated[
        int, typer.Option(min=0, help="Steps of training on the data after pruning.")
    ] = 0,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            help="Write the smaller model: .pt2 (a program of torch.export), .onnx, or "
            ".safetensors (weights). May be repeated."
        ),
    ] = None,
    onnx: Annotated[Path | None, typer.Option(help="Write it as ONNX; see --int8.")] = None,
    int8: Annotated[
        Int8 | None,
        typer.Option(help="Quantise the ONNX file; static takes its ranges from the data."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the receipt as one self-contained page.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the receipt as JSON instead of text.")
    ] = False,
) -> None:
    """Remove what a network does not need, with the same outputs, and say by which guarantee.

    Exit status: 0 when it ran, 2 on wrong use.
    """
    check_page(html)
    files = [*(out or ()), *([] if onnx is None else [onnx])]
    _check_files(files, int8)
    box = domain_of(domain)
    found = _digits(data) if subject is None else _own(subject, data)
    pruning = {"rarely": rarely, "keep": keep, "tune": tune}
    shrunk = _shrunk(found, box, observed, pruning)
    _tell(shrunk, html, json)
    for file in files:
        with _working(f"Exporting {file.name}"):
            exported = _exported(shrunk, found, file, int8)
        if not json:
            exported.show()


def _check_files(files: Sequence[Path], int8: Int8 | None) -> None:
    """Refuse now, and not after the work, what cannot be written."""
    from relucid.errors import ParameterError
    from relucid.report import check_writable

    for file in files:
        if file.suffix.lower() not in SUFFIXES:
            raise ParameterError(
                f"cannot tell what to write to {str(file)!r}: end the name in {', '.join(SUFFIXES)}"
            )
        check_writable(file)
    if int8 is not None and not any(file.suffix.lower() == ".onnx" for file in files):
        raise ParameterError("--int8 quantises an ONNX file: name one with --onnx small.onnx")


def _own(name: str, data: str | None) -> Subject:
    from relucid.cli.subject import load_subject

    found = load_subject(name, data)
    used_up = isinstance(found.data, Iterator)  # by the first that reads it
    return replace(found, data=list(found.data)) if used_up else found


def _digits(data: str | None) -> Subject:
    """The demonstration network, trained so that units die."""
    from torch.nn.functional import cross_entropy

    from relucid.cli.progress import tracking
    from relucid.cli.subject import Subject
    from relucid.demo import HEALTHY, load_digits, train
    from relucid.errors import SubjectError
    from relucid.nn import sparsify_

    if data is not None:
        raise SubjectError("--data needs a subject: relucid shrink module:function --data FILE")
    digits = load_digits()
    network = train(
        HEALTHY,
        digits,
        DIGITS_STEPS,
        watch=lambda numbers: tracking(numbers, "Training so that units die"),
        within=lambda network: sparsify_(network, strength=DIGITS_STRENGTH),
    )
    held_out = zip(digits.test_images.split(100), digits.test_labels.split(100), strict=True)
    return Subject(DIGITS, network, list(held_out), cross_entropy)


def _shrunk(
    found: Subject, domain: tuple[float, float] | None, observed: bool, pruning: dict[str, Any]
) -> Shrunk:
    from relucid.shrink import shrink as smaller

    beyond = any(value is not None for name, value in pruning.items() if name != "tune")
    shrunk = smaller(
        found.model,
        found.data,
        (0.0, 1.0) if domain is None and found.name == DIGITS else domain,
        found.data if observed or beyond else None,
        loss=found.loss if beyond else None,
        **pruning,
    )
    return replace(shrunk, receipt=replace(shrunk.receipt, title=found.name))


def _exported(shrunk: Shrunk, found: Subject, file: Path, int8: Int8 | None) -> Exported:
    from relucid.export import export

    way: Any = int8.value if int8 is not None and file.suffix.lower() == ".onnx" else False
    return export(shrunk.model, file, found.data, int8=way, data=found.data if way else None)


@contextmanager
def _working(title: str) -> Iterator[None]:
    """Say on a terminal what is being done; how long it takes cannot be told."""
    from rich.console import Console

    with Console(stderr=True).status(title):
        yield


def _tell(shrunk: Shrunk, html: Path | None, json: bool) -> None:
    if html is not None:
        shrunk.save(html)
    if json:
        typer.echo(shrunk.to_json())
        return
    shrunk.show()
    if html is not None:
        typer.echo(f"Receipt with pictures: {html}")
