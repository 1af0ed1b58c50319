"""Data for a verb from ``--data``: a file of arrays, or another ``module:function``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relucid.cli.user_code import call
from relucid.errors import DataError

BATCH = 256


def load_data(source: str) -> Any:
    """Return batches from a file, or what a ``module:function`` returns.

    A file holds ``inputs`` and, if a loss is to be computed, ``targets``, with samples along the
    first axis: ``.npz``, ``.safetensors`` or ``.pt`` (a dict of tensors, read with
    ``weights_only=True``); ``.npy`` holds the inputs alone.
    """
    path = Path(source)
    if not path.exists() and ":" in source:
        return call(source)
    if not path.is_file():
        raise DataError(
            f"there is no data file {source!r}; give a .npz, .npy, .safetensors or .pt file, or "
            "module:function"
        )
    readers = {".npz": _numpy, ".npy": _numpy, ".safetensors": _safetensors, ".pt": _torch}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"cannot read {source!r}: its name must end in {', '.join(readers)}")
    return _batches(source, reader(path))


def _numpy(path: Path) -> dict[str, Any]:
    import numpy as np
    import torch

    try:
        stored = np.load(path, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise DataError(f"{str(path)!r} cannot be read: {error}") from error
    arrays = {"inputs": stored} if isinstance(stored, np.ndarray) else dict(stored)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise DataError(
            "reading .safetensors needs the package safetensors: pip install safetensors"
        ) from error
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error}") from error


def _torch(path: Path) -> dict[str, Any]:
    import pickle

    import torch

    try:
        stored = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise DataError(
            f"{str(path)!r} cannot be read as tensors only: {error}; save it with "
            "torch.save({'inputs': x, 'targets': y}, path)"
        ) from error
    return stored if isinstance(stored, dict) else {"inputs": stored}


def _batches(source: str, tensors: dict[str, Any]) -> Any:
    if "inputs" not in tensors:
        raise DataError(
            f"{source!r} holds {', '.join(map(repr, tensors)) or 'nothing'} and no 'inputs'; name "
            "the array of samples 'inputs' and that of targets 'targets'"
        )
    inputs, targets = tensors["inputs"], tensors.get("targets")
    if targets is None:
        return list(inputs.split(BATCH))
    if len(inputs) != len(targets):
        raise DataError(
            f"{source!r} holds {len(inputs)} inputs and {len(targets)} targets; they must match"
        )
    return list(zip(inputs.split(BATCH), targets.split(BATCH), strict=True))
