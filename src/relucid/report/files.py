"""Writing a result to a path: wholly or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from relucid.errors import OutputError
from relucid.records import Checkup, comparison_to_json, receipt_to_json, to_json
from relucid.records.comparison import Comparison
from relucid.records.receipt import Receipt

FilePath = str | os.PathLike[str]


def save_json(checkups: Checkup | Sequence[Checkup], path: FilePath) -> Path:
    """Write checkups to ``path`` as JSON that :func:`relucid.records.from_json` reads.

    Returns the path. Raises :class:`~relucid.errors.OutputError` where it cannot be written.
    """
    several = (checkups,) if isinstance(checkups, Checkup) else checkups
    return write_atomically(path, to_json(several))


def save_comparison_json(comparison: Comparison, path: FilePath) -> Path:
    """Write a comparison to ``path`` as JSON for :func:`relucid.records.comparison_from_json`.

    Returns the path. Raises :class:`~relucid.errors.OutputError` where it cannot be written.
    """
    return write_atomically(path, comparison_to_json(comparison))


def save_receipt_json(receipt: Receipt, path: FilePath) -> Path:
    """Write a receipt to ``path`` as JSON for :func:`relucid.records.receipt_from_json`.

    Returns the path. Raises :class:`~relucid.errors.OutputError` where it cannot be written.
    """
    return write_atomically(path, receipt_to_json(receipt))


def write_atomically(path: FilePath, text: str) -> Path:
    """Write ``text`` as UTF-8 to a temporary file beside ``path``, then rename it to ``path``.

    A failure leaves what was at ``path`` as it was. UTF-8 has no lone surrogates: they are
    written as a backslash, ``u`` and their code, which JSON reads back as the same letter.
    Raises :class:`~relucid.errors.OutputError`.
    """
    target = Path(path)
    with explained(target):
        _replace(target, text.encode("utf-8", "backslashreplace"))
    return target


def check_writable(path: FilePath) -> None:
    """Raise :class:`~relucid.errors.OutputError` where ``path`` could not be written now.

    What is at ``path`` is not touched. For use before long work whose result goes there.
    """
    target = Path(path)
    with explained(target):
        _refuse_folder(target)
        handle, name = _temporary(target)
        os.close(handle)
        os.unlink(name)


@contextmanager
def explained(target: Path) -> Iterator[None]:
    """Turn the system's errors into :class:`~relucid.errors.OutputError`, which names the cure."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {str(target)!r}: {reason}; name a file in a folder that exists, "
            "that you may write to, and that has room left"
        ) from error


def _refuse_folder(target: Path) -> None:
    if target.is_dir():
        raise IsADirectoryError(None, "it is a folder")


def _temporary(target: Path) -> tuple[int, str]:
    return tempfile.mkstemp(dir=target.parent, prefix=".relucid-", suffix=".tmp")


def _replace(target: Path, content: bytes) -> None:
    _refuse_folder(target)
    handle, name = _temporary(target)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(name, _mode(target))
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _mode(target: Path) -> int:
    """Return the permissions that an ordinary ``open(target, "w")`` would leave."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
