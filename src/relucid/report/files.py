"""Writing a result to a path: wholly or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from relucid.errors import OutputError

FilePath = str | os.PathLike[str]


def save_by_suffix(
    path: FilePath, *, html: Callable[[], str], json: Callable[[], str], otherwise: str = ""
) -> Path:
    """Write a page to a path that ends in .html or .htm, records to one that ends in .json.

    Returns the path. ``otherwise`` is the rest of the message for another suffix: what writes such
    a file. Raises :class:`~relucid.errors.OutputError`, for another suffix before either text is
    made.
    """
    target = Path(path)
    texts = {".html": html, ".htm": html, ".json": json}
    if target.suffix.lower() not in texts:
        raise OutputError(
            f"cannot tell what to write to {str(target)!r}: end the name in .html for a report "
            f"or .json for the records{otherwise}"
        )
    return write_atomically(target, texts[target.suffix.lower()]())


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
