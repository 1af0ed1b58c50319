"""Files as bytes and as text, unzipped where they are gzip."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from io import BufferedReader, FileIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from relucid.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Stream = BufferedReader | gzip.GzipFile
LONGEST = 2**20
"""Characters of a line, at most."""
_GZIP = b"\x1f\x8b"
_BEGINNING = 2**16

Tell = Callable[[int, int], object]
_TELL = ContextVar[Tell | None]("told how far a file is read", default=None)
_LARGE = 2**24
"""Bytes of a file of which it is told how far it is read. Smaller ones take less than a second."""
_AT_ONCE = 2**20


@contextmanager
def telling(tell: Tell) -> Iterator[None]:
    """Have ``tell`` told how many bytes of a large file are read, and of how many."""
    token = _TELL.set(tell)
    try:
        yield
    finally:
        _TELL.reset(token)


class _Told(FileIO):
    """A file that tells how far it is read."""

    def __init__(self, path: Path, tell: Tell, size: int) -> None:
        super().__init__(path)
        self._told, self._size = tell, size

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        count = super().readinto(buffer)
        self._told(self.tell(), self._size)
        return count


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """Open a file to read its bytes.

    Raises :class:`~relucid.errors.DataError` where it cannot be opened, or read to its end.
    """
    try:
        with _raw(path) as raw:
            if raw.peek(2)[:2] != _GZIP:
                yield raw
                return
            with gzip.GzipFile(fileobj=raw) as stream:
                try:
                    yield stream
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    raise DataError(
                        f"{str(path)!r} is damaged after byte {stream.tell()} of what it unzips to "
                        f"({error}); fetch or zip it again"
                    ) from error
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error


def _raw(path: Path) -> BufferedReader:
    tell, size = _TELL.get(), path.stat().st_size
    if tell is None or size < _LARGE:
        return path.open("rb")
    return BufferedReader(_Told(path, tell, size), _AT_ONCE)


def beginning(path: Path, size: int) -> bytes | None:
    """Return the first bytes of a file, or None where it cannot be read."""
    try:
        with opened(path) as stream:
            return stream.read(size)
    except DataError:
        return None


def is_text(path: Path) -> bool:
    """Tell whether a file can be read, and has no byte 0 where it begins."""
    first = beginning(path, _BEGINNING)
    return first is not None and b"\0" not in first


@contextmanager
def opened_text(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Open a file to read its text: UTF-8, in which a byte that is none is read as Latin-1."""
    with opened(path) as stream:
        text = TextIOWrapper(stream, "utf-8-sig", _LATIN, newline)
        try:
            yield text
        finally:
            text.detach()  # `opened` closes the stream, after it has asked where it stands


def lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text with their ends.

    Raises :class:`~relucid.errors.DataError` with its number for a line that is no text.
    """
    with opened_text(path, newline="") as text:
        number = 0
        while line := text.readline(LONGEST):
            number += 1
            check_text(line, path, f"line {number}")
            if len(line) == LONGEST and line[-1] not in "\r\n":
                raise DataError(
                    f"{str(path)!r}: line {number} is longer than {LONGEST:,} characters; this is "
                    "no text in lines"
                )
            yield line


def check_text(text: str, path: Path, where: str) -> None:
    """Raise :class:`~relucid.errors.DataError` for text with a byte 0 in it."""
    if "\0" in text:
        raise DataError(
            f"{str(path)!r}: {where} holds a byte 0, so that it is no text, or UTF-16; save it as "
            "UTF-8"
        )


def _as_latin(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


_LATIN = "relucid-latin-1"
codecs.register_error(_LATIN, _as_latin)
