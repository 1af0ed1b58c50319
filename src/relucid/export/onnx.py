"""Writing ONNX, and running it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor

from relucid.errors import ExportError
from relucid.export.check import Run, as_arrays
from relucid.export.program import Program, quietly
from relucid.export.translate import table
from relucid.probes.batches import Batch

OPSET = 20
"""The first with Gelu; ONNX Runtime has it since 1.17."""
_SOURCE = "pkg.torch.onnx.stack_trace"
"""Of each node: lines of the user's code and the paths of their folders, which is not for others
to read, and more bytes than a small network."""


def write(program: Program, target: Path) -> None:
    """Translate a program; above 2 GB the weights go to a second file beside ``target``.

    Raises :class:`~relucid.errors.ExportError` where an operator has no translation.
    """
    try:
        with quietly():
            written = torch.onnx.export(
                program.exported,
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                custom_translation_table=table(),
            )
            assert written is not None  # it is, where no file is named
            for node in written.model.graph.all_nodes():
                node.metadata_props.pop(_SOURCE, None)
            written.save(target)
    except Exception as error:  # whatever the translation raises
        reasons = [line for line in str(error).splitlines() if "No ONNX function" in line]
        told = reasons[0] if reasons else str(error).strip().splitlines()[0]
        raise ExportError(
            f"the model cannot be written as ONNX ({type(error).__name__}: {told:.300}); replace "
            "the operator by one that ONNX has, or export a .pt2 program, which has them all"
        ) from error


def runner(path: Path, inputs: Callable[[Batch], dict[str, Tensor]]) -> Run:
    """Return what runs a file by ONNX Runtime on the CPU.

    Raises :class:`~relucid.errors.ExportError` where it does not take the file.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors, which are raised as well
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of ONNX Runtime's own, which have no common base
        raise ExportError(
            f"ONNX Runtime cannot run the file on a CPU ({str(error).strip():.300}); nothing was "
            "written. It has float32 for every operator: export model.float()"
        ) from error
    taken = {x.name for x in session.get_inputs()}

    def run(batch: Batch) -> Sequence[Tensor]:
        arrays = {n: x for n, x in as_arrays(inputs(batch)).items() if n in taken}
        return [torch.from_numpy(y) for y in session.run(None, arrays)]

    return run
