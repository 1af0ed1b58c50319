"""An export from end to end: write beside the target, run, compare, and only then rename."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from relucid.errors import DataError, ExportError, MissingDependencyError, ParameterError
from relucid.export.check import Differences, check, compared, outputs_of
from relucid.export.program import Program, captured, quietly, repeated
from relucid.export.result import Exported
from relucid.probes.batches import Batch, check_not_empty, read_batches, samples_in
from relucid.probes.refusals import Refusal
from relucid.probes.tensors import bytes_of
from relucid.probes.undisturbed import undisturbed
from relucid.report.files import check_writable, explained
from relucid.report.words import listed

BATCHES = 100
"""Batches of the data that ranges are taken from and that are compared, at most."""
WAYS = (False, True, "dynamic", "static")
FORMS = {
    False: "ONNX",
    "dynamic": "ONNX, weights of matrix products in int8",
    "static": "ONNX, weights and activations in int8",
}
_PACKAGES = {
    ".onnx": ("onnx", "onnxscript", "onnxruntime"),
    ".safetensors": ("safetensors",),
    ".pt2": (),
}


def perform(model: nn.Module, path: Any, example: Any, *, int8: Any, data: Any) -> Exported:
    """Export a model, as :func:`relucid.export` says."""
    target = Path(path)
    way = _asked(target, int8, data)
    check_writable(target)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".relucid-") as folder:
        draft = Path(folder) / target.name
        if target.suffix.lower() == ".safetensors":
            found, program, form = _weights(model, draft), None, "weights (safetensors)"
        else:
            batches = _batches(model, example, data)
            samples = samples_in(batches[0])
            with undisturbed(model, evaluate=True):
                whole = target.suffix.lower() == ".onnx"
                program = captured(model, batches[0], samples, whole=whole)
            tried = [*batches, *_another(program, batches[0], samples)]
            write = _onnx if whole else _pt2
            found, form = write(model, program, draft, tried, way)
        return _handed_over(model, target, draft, found, program, form)


def _asked(target: Path, int8: Any, data: Any) -> Any:
    """Refuse what does not go together, before any work."""
    suffix = target.suffix.lower()
    if suffix not in _PACKAGES:
        raise ParameterError(
            f"cannot tell what to export to {str(target)!r}: end the name in .onnx, .pt2 (a "
            "program of torch.export) or .safetensors (weights)"
        )
    if int8 not in WAYS:
        raise ParameterError(f"int8 is False, 'dynamic' or 'static', and not {int8!r}")
    if int8 and suffix != ".onnx":
        raise ParameterError(f"int8 is written as ONNX only, and not as {suffix}; name a .onnx")
    if int8 == "static" and data is None:
        raise ParameterError(
            "int8='static' needs data=, some batches from which the ranges of activations are "
            "taken; or use int8='dynamic', which needs none"
        )
    missing = [name for name in _PACKAGES[suffix] if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"exporting {suffix} needs {listed(missing)}; run: pip install 'relucid[export]'"
        )
    return "dynamic" if int8 is True else int8


def _batches(model: nn.Module, example: Any, data: Any) -> list[Batch]:
    """The example first, then the data."""
    given = [(example, 1), (data, BATCHES)]
    batches = [b for x, most in given if x is not None for b in islice(read_batches(x), most)]
    if not batches:
        raise DataError("exporting needs an example, a batch of what the model is called with")
    for index, batch in enumerate(batches):
        check_not_empty(batch, index)
    with Refusal(model, batches[0], 0):
        outputs_of(model, batches[0])
    return batches


def _another(program: Program, batch: Batch, samples: int) -> list[Batch]:
    """Return a batch of another size, where the file is to take any."""
    return [] if program.batch is not None else [repeated(batch, samples, 3)]


def _onnx(
    model: nn.Module, program: Program, draft: Path, batches: Sequence[Batch], way: Any
) -> tuple[Differences, str]:
    from relucid.export.check import as_arrays
    from relucid.export.onnx import runner, write

    plain = draft if not way else draft.with_name(f"plain-{draft.name}")
    write(program, plain)
    found = compared(model, runner(plain, program.inputs), batches)
    check(found, rounded=False)
    if way:
        from relucid.export.quantise import quantise_dynamic, quantise_static

        if way == "static":
            quantise_static(plain, draft, (as_arrays(program.inputs(b)) for b in batches))
        else:
            quantise_dynamic(plain, draft)
        found = compared(model, runner(draft, program.inputs), batches)
        check(found, rounded=True)
    return found, FORMS[way]


def _pt2(
    model: nn.Module, program: Program, draft: Path, batches: Sequence[Batch], _: Any
) -> tuple[Differences, str]:
    from torch.utils._pytree import tree_leaves

    with quietly():
        torch.export.save(program.exported, draft)
        loaded = torch.export.load(draft).module()

    def run(batch: Batch) -> list[torch.Tensor]:
        with torch.no_grad():
            return [x for x in tree_leaves(batch.call(loaded)) if isinstance(x, torch.Tensor)]

    found = compared(model, run, batches)
    check(found, rounded=False)
    return found, "program of torch.export"


def _weights(model: nn.Module, draft: Path) -> Differences:
    """Write the weights, and read them back."""
    from safetensors.torch import load_file, save_model

    save_model(model, str(draft))
    stored, state = load_file(draft), model.state_dict()
    for name, tensor in stored.items():
        if not torch.equal(_bits(tensor), _bits(state[name].detach().cpu())):
            raise ExportError(f"the weight {name!r} was not read back as it is; try another disk")
    return Differences()


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """What is stored, in which NaN equals itself."""
    return tensor.reshape(-1).contiguous().view(torch.uint8)


def _handed_over(
    model: nn.Module,
    target: Path,
    draft: Path,
    found: Differences,
    program: Program | None,
    form: str,
) -> Exported:
    files = _in_order(draft)
    size = sum(file.stat().st_size for file in files)
    with explained(target):
        for file in files:
            os.replace(file, target.with_name(file.name))
    return Exported(
        path=target,
        form=form,
        bytes=size,
        weights=bytes_of(model),
        samples=found.samples,
        largest=found.largest,
        rms=found.rms if found.samples else 0.0,
        batch=None if program is None else program.batch,
        notes=tuple(_notes(program)),
    )


def _in_order(draft: Path) -> list[Path]:
    """The file's weights, where they are in a second one, go first."""
    beside = draft.with_name(f"{draft.name}.data")
    return [file for file in (beside, draft) if file.exists()]


def _notes(program: Program | None) -> Iterable[str]:
    if program is not None and program.batch is not None:
        yield (
            f"It takes batches of {program.batch} alone: forward fixes the size, by a number "
            "written into a reshape or by what it reads from the shape of its input."
        )
