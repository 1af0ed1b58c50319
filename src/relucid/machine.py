"""The machine that this process runs on, and what relucid is installed there."""

from __future__ import annotations

import os
from functools import cache
from importlib import metadata


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache  # reading a package's metadata takes 0.4 ms, the first time 10
def own_version() -> str:
    """Return the version of relucid; ``unknown`` where it is a folder that was not installed."""
    try:
        return metadata.version("relucid")
    except metadata.PackageNotFoundError:
        return "unknown"
