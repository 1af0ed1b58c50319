"""Running the function that ``module:function`` names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relucid.errors import SubjectError


def call(name: str, **arguments: Any) -> Any:
    """Call the function that ``module:function`` names."""
    return function_of(name)(**arguments)


def function_of(name: str) -> Callable[..., Any]:
    """Return the function that ``module:function`` names, with the current folder importable."""
    module_name, colon, function_name = name.partition(":")
    if not (module_name and colon and function_name):
        raise SubjectError(
            f"{name!r} is no module:function; write for example train:subject for the function "
            "subject in train.py"
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name.removesuffix(".py"))
    except ModuleNotFoundError as error:
        if error.name != module_name.partition(".")[0]:
            raise SubjectError(f"importing {module_name!r} failed: {error}") from error
        raise SubjectError(
            f"there is no module {module_name!r} in {here} or among the installed packages; run "
            f"relucid in the folder that holds {module_name}.py"
        ) from error
    function: Callable[..., Any] | None = getattr(module, function_name, None)
    if not callable(function):
        offered = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise SubjectError(
            f"{module_name} has no function {function_name!r}; it offers: "
            f"{', '.join(offered[:8]) or 'none'}"
        )
    return function
