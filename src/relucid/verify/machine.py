"""On what it was measured."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("relucid", "torch", "numpy", "scipy", "mpmath", "jax", "jaxlib", "llvmlite")


def processor() -> str:
    """The processor's name, as exactly as the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", information.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def machine() -> str:
    """Processor, architecture and system."""
    return f"{processor()}, {platform.machine()}, {platform.system()}"


def versions(libraries: Iterable[str] = LIBRARIES) -> dict[str, str]:
    """Versions of Python and of those libraries that are installed; default: all that take part."""
    found = {"python": platform.python_version()}
    for library in libraries:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def slug(text: str) -> str:
    """The text as part of a file's name: ``AMD EPYC 9R14`` becomes ``amd-epyc-9r14``."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
