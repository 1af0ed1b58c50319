"""Where in the user's code a call was made."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from types import FrameType, FunctionType

import torch
from torch import nn

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_ROOMS = os.path.dirname(os.path.dirname(_OURS))
_FUNCTIONS = tuple(os.path.join(_ROOMS, room) + os.sep for room in ("functions", "nn", "kernels"))
_SKIPPED = (
    _OURS,
    *_FUNCTIONS,
    os.path.dirname(os.path.abspath(torch.__file__)) + os.sep,
    contextlib.__file__,
)


def users_frame(frame: FrameType | None = None) -> FrameType | None:
    """Return the innermost frame that belongs neither to PyTorch nor to relucid's own functions."""
    current: FrameType | None = frame or sys._getframe(1)
    while current is not None and current.f_code.co_filename.startswith(_SKIPPED):
        current = current.f_back
    return current


def called_by_torch() -> bool:
    """Whether the call that is being handled was made inside PyTorch, not by the user's code."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return frame.f_code.co_filename.startswith(_SKIPPED)


def scripted_functions(module: nn.Module) -> set[str]:
    """Names of the functions compiled by TorchScript that the module's methods refer to.

    Nothing sees such a call: no function mode, and no hook.
    """
    found: set[str] = set()
    for base in type(module).__mro__[: type(module).__mro__.index(nn.Module)]:
        for method in vars(base).values():
            if isinstance(method, FunctionType):
                used = ((name, method.__globals__.get(name)) for name in method.__code__.co_names)
                found |= {name for name, one in used if isinstance(one, torch.jit.ScriptFunction)}
    return found


def raised_here(error: BaseException) -> bool:
    """Whether the error comes from this probe's own code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_name == "__torch_function__":
        return False  # a mode passes the user's call on, and that is what failed
    return trace.tb_frame.f_code.co_filename.startswith(_OURS)


def users_line() -> str | None:
    """Return ``file.py:line`` of the innermost line of the user's code.

    The path is relative to the working directory or, for an installed package, to the folder
    that the package is installed in.
    """
    frame = users_frame(sys._getframe(1))
    return None if frame is None else f"{_short(frame.f_code.co_filename)}:{frame.f_lineno}"


def _short(filename: str) -> str:
    path = Path(filename)
    for root in (Path.cwd(), *map(Path, filter(None, sys.path))):
        with contextlib.suppress(ValueError):
            return path.relative_to(root).as_posix()
    return path.name
