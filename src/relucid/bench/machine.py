"""The machine, the versions and the code that a benchmark ran on."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

from relucid.bench.record import Machine
from relucid.machine import cores
from relucid.verify import fingerprint, versions
from relucid.verify.machine import processor

_UNKNOWN_CACHE = 64 << 20
"""Bytes taken for the last-level cache where the system does not tell: too many do no harm."""
_ROOT = Path(__file__).parents[1]
_MEASURED = tuple(f"{room}/**/*.py" for room in ("functions", "kernels", "nn", "bench/sides"))
"""What decides how fast relucid is, and what it is measured beside."""


def this_machine() -> Machine:
    """Describe the machine, the installed versions and the code that is measured."""
    found = versions()
    return Machine(
        cpu=processor(),
        cores=cores(),
        cache=last_level_cache(),
        system=f"{platform.system()} {platform.machine()}",
        versions=found,
        commit=_commit(),
        source=fingerprint(found, _MEASURED),
    )


def last_level_cache() -> int:
    """Bytes of the largest cache of the first processor."""
    folder = Path("/sys/devices/system/cpu/cpu0/cache")
    return max(map(_bytes, folder.glob("index*/size")), default=_UNKNOWN_CACHE)


def _bytes(size: Path) -> int:
    text = size.read_text(encoding="ascii").strip()
    return int(text[:-1]) << {"K": 10, "M": 20, "G": 30}[text[-1]]


def _commit() -> str:
    """The commit of the checkout that relucid runs from, with a mark if files were changed."""
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
