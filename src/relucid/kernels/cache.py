"""Compiled code on disk, in the user's cache folder or the one that ``RELUCID_CACHE`` names.

A file holds the digest of its content before the content, so that a damaged one is compiled
again instead of run.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import platformdirs

_DIGEST = hashlib.sha256().digest_size

KEPT = 4096
"""Files above which those used longest ago are deleted: about 40 MB."""


class KernelCacheWarning(UserWarning):
    """Compiled kernels cannot be kept on disk."""


def folder() -> Path:
    """Where compiled kernels are kept."""
    chosen = os.environ.get("RELUCID_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("relucid")) / "kernels"


def load(key: str) -> bytes | None:
    """Return what was stored under ``key``, or None if that is nothing whole."""
    path = folder() / key
    try:
        content = path.read_bytes()
    except OSError:
        return None
    with suppress(OSError):  # a folder may be readable only
        os.utime(path)  # the latest use, by which files are kept
    digest, code = content[:_DIGEST], content[_DIGEST:]
    return code if hashlib.sha256(code).digest() == digest else None


def store(key: str, code: bytes) -> None:
    """Keep ``code`` under ``key``; where that fails, say so once and go on."""
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(place / key, hashlib.sha256(code).digest() + code)
        _thin_out(place)
    except OSError as error:
        _complain(str(place), error.strerror or str(error))


def _write(path: Path, content: bytes) -> None:
    """Write a file that is whole at every moment at which it can be seen."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(content)
            file.close()
            os.replace(file.name, path)
        except OSError:
            os.unlink(file.name)
            raise


def _thin_out(place: Path) -> None:
    """Where there are too many files, delete the half that was used longest ago."""
    with os.scandir(place) as entries:
        files = list(entries)
    if len(files) > KEPT:
        files.sort(key=_used)
        for entry in files[: len(files) // 2]:
            Path(entry).unlink(missing_ok=True)


def _used(entry: os.DirEntry[str]) -> float:
    """The time of the latest use; 0 for a file that another process has just deleted."""
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:
        return 0.0


@lru_cache(maxsize=8)
def _complain(place: str, error: str) -> None:
    warnings.warn(
        f"compiled kernels cannot be kept in {place} ({error}), so every process compiles them "
        "again; set RELUCID_CACHE to a folder that can be written",
        KernelCacheWarning,
        stacklevel=2,
    )
