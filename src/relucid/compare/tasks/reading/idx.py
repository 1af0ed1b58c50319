"""IDX, the format of MNIST: 4 bytes of magic, big-endian sizes, then the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relucid.compare.tasks.reading.streams import Stream, beginning, opened
from relucid.errors import DataError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""Element types by the third byte."""
_SIZE = 4


@dataclass(frozen=True)
class Header:
    """What an IDX file says of itself."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]

    @property
    def row(self) -> int:
        """Bytes of one sample."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def start(self) -> int:
        """The byte at which the numbers begin."""
        return _SIZE * (1 + len(self.shape))

    def array(self, rows: list[bytes]) -> NDArray[np.generic]:
        """Return samples as an array (rows, ...)."""
        flat = np.frombuffer(b"".join(rows), self.dtype)
        return flat.reshape(len(rows), *self.shape[1:])


def is_idx(path: Path) -> bool:
    """Tell whether a file begins like IDX."""
    first = beginning(path, _SIZE) or b""
    return len(first) == _SIZE and first[:2] == b"\0\0" and first[2] in TYPES and first[3] > 0


def read_header(path: Path) -> Header:
    """Read what a file says of itself.

    Raises :class:`~relucid.errors.DataError` with the place where it is no IDX.
    """
    with opened(path) as stream:
        return _header(path, stream)


def rows(path: Path) -> Iterator[bytes]:
    """Yield the bytes of one sample after the other.

    Raises :class:`~relucid.errors.DataError` where the file ends too early, or goes on.
    """
    with opened(path) as stream:
        header = _header(path, stream)
        for index in range(header.shape[0]):
            row = stream.read(header.row)
            if len(row) < header.row:
                raise DataError(_cut_off(path, header, index, len(row)))
            yield row
        if stream.read(1):
            raise DataError(
                f"{str(path)!r} goes on after byte {header.start + header.shape[0] * header.row}, "
                f"where its {header.shape[0]} samples end; the sizes in bytes 4 to "
                f"{header.start - 1} are wrong, or it is no IDX file"
            )


def _header(path: Path, stream: Stream) -> Header:
    magic = stream.read(_SIZE)
    if len(magic) < _SIZE:
        raise DataError(f"{str(path)!r} ends at byte {len(magic)}, within the magic of 4 bytes")
    if magic[:2] != b"\0\0" or magic[2] not in TYPES or magic[3] == 0:
        raise DataError(
            f"{str(path)!r} is no IDX file: bytes 0 to 3 are {magic.hex(' ')}, and must be 00 00, "
            f"a type ({', '.join(f'{code:02x}' for code in TYPES)}) and the number of dimensions"
        )
    sizes = stream.read(_SIZE * magic[3])
    if len(sizes) < _SIZE * magic[3]:
        raise DataError(
            f"{str(path)!r} ends at byte {_SIZE + len(sizes)}, within the sizes of its "
            f"{magic[3]} dimensions; fetch it again"
        )
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    if 0 in shape:
        raise DataError(f"{str(path)!r} holds nothing: its sizes are {shape}")
    return Header(np.dtype(TYPES[magic[2]]), shape)


def _cut_off(path: Path, header: Header, whole: int, rest: int) -> str:
    end = header.start + whole * header.row
    return (
        f"{str(path)!r} ends at byte {end + rest} of "
        f"{header.start + header.shape[0] * header.row}: it holds {whole} of its "
        f"{header.shape[0]} samples; fetch it again"
    )
