"""Whether kernels can run on a device, and what to do where they cannot."""

from __future__ import annotations

import importlib.util
import os
from functools import lru_cache

import torch

from relucid.errors import KernelError, MissingDependencyError

_INSTALL = "the package triton is not installed; pip install triton, or use the plain route"


def available(device: torch.device) -> str | None:
    """None if the route "triton" runs on ``device``, else a sentence that says why not.

    CPU tensors are run by Triton's interpreter, for tests, if TRITON_INTERPRET=1 is set.
    """
    if not _installed():
        return _INSTALL
    if device.type == "cuda" or (device.type == "cpu" and interpreting()):
        return None
    return (
        f'the route "triton" runs on GPUs, and the tensor is on {device}; move it there with '
        '.to("cuda"), or use another route'
    )


def require(device: torch.device) -> None:
    """Raise what :func:`available` says.

    Raises:
        MissingDependencyError: if triton is not installed.
        KernelError: if it does not run on this device.

    """
    reason = available(device)
    if reason is not None:
        raise (KernelError if _installed() else MissingDependencyError)(reason)


def interpreting() -> bool:
    """Whether Triton's interpreter is asked for."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "yes", "y")


@lru_cache(maxsize=1)
def _installed() -> bool:
    return importlib.util.find_spec("triton") is not None
