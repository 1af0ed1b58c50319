"""ONNX Runtime's quantiser: int8 in matrix products and convolutions, and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

PRODUCTS = ["MatMul", "Gemm"]
CONVOLUTIONS = ["Conv", "ConvTranspose"]


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # the package has no types
    def __init__(self, batches: Iterable[dict[str, Any]]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def quantise_dynamic(source: Path, target: Path) -> None:
    """Store the weights of matrix products in int8; activations are rounded as they come."""
    with _quietly():
        quantize_dynamic(
            _prepared(source),
            target,
            op_types_to_quantize=PRODUCTS,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )


def quantise_static(source: Path, target: Path, batches: Iterable[dict[str, Any]]) -> None:
    """Weights and activations of products and convolutions in int8, with ranges from batches.

    Only there: an addition in the midst of an activation's formula would lose what it is for.
    """
    with _quietly():
        quantize_static(
            _prepared(source),
            target,
            _Batches(batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=PRODUCTS + CONVOLUTIONS,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )


def _prepared(source: Path) -> onnx.ModelProto:
    """Infer shapes and fold what can be folded, as the quantiser asks for.

    It transposes the weights of a Gemm and leaves their noted shapes as they were, which its own
    inference then refuses (ONNX Runtime 1.31): so notes on weights go.
    """
    prepared = source.with_name(f"prepared-{source.name}")
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    model = onnx.load(prepared)
    weights = {tensor.name for tensor in model.graph.initializer}
    noted = [value for value in model.graph.value_info if value.name not in weights]
    del model.graph.value_info[:]
    model.graph.value_info.extend(noted)
    return model


@contextmanager
def _quietly() -> Iterator[None]:
    """Without its remarks in the root logger."""
    root = logging.getLogger()
    level = root.level
    try:
        root.setLevel(logging.ERROR)
        yield
    finally:
        root.setLevel(level)
