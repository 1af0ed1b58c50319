"""Compiled code on disk, in the user's cache folder or the one that ``RELUCID_CACHE`` names.

A file holds the digest of its content before the content, so that a damaged one is compiled
again instead of run.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path

import platformdirs

_DIGEST = hashlib.sha256().digest_size


class KernelCacheWarning(UserWarning):
    """Compiled kernels cannot be kept on disk."""


def folder() -> Path:
    """Where compiled kernels are kept."""
    chosen = os.environ.get("RELUCID_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("relucid")) / "kernels"


def load(key: str) -> bytes | None:
    """Return what was stored under ``key``, or None if that is nothing whole."""
    try:
        content = (folder() / key).read_bytes()
    except OSError:
        return None
    digest, code = content[:_DIGEST], content[_DIGEST:]
    return code if hashlib.sha256(code).digest() == digest else None


def store(key: str, code: bytes) -> None:
    """Keep ``code`` under ``key``; where that fails, say so once and go on."""
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(place / key, hashlib.sha256(code).digest() + code)
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


@lru_cache(maxsize=8)
def _complain(place: str, error: str) -> None:
    warnings.warn(
        f"compiled kernels cannot be kept in {place} ({error}), so every process compiles them "
        "again; set RELUCID_CACHE to a folder that can be written",
        KernelCacheWarning,
        stacklevel=2,
    )
