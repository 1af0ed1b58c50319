"""Delimited text (CSV) as rows of cells.

By :mod:`csv`, not pandas: a row of another length is refused with its line instead of filled up,
columns of one name are refused instead of renamed, memory is bounded by the draw, and workers
need no more than relucid does.
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from relucid.compare.tasks.reading.cells import is_number, missing
from relucid.compare.tasks.reading.draw import drawn
from relucid.compare.tasks.reading.limits import plain
from relucid.compare.tasks.reading.streams import LONGEST, lines
from relucid.errors import DataError

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
DELIMITERS = ",;\t|"
CELLS = 2_000_000
"""Cells that are held, at most."""
COLUMNS = 10_000
CELL = 128
"""Characters of a cell that count."""
_LOOK = 50
"""Rows below the first that say whether it is a header."""

Row = tuple[int, list[str]]
"""The line at which a row ends, and its cells."""


@dataclass(frozen=True)
class Table:
    """Columns of cells, of the rows that were drawn."""

    names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    places: tuple[int, ...]
    """Which row of the file each one is."""
    total: int
    """Rows of the file."""


def is_table(path: Path) -> bool:
    """Tell whether a file is called a table."""
    return path.name.lower().endswith(SUFFIXES)


def read_table(path: Path, header: bool | None, samples: int) -> Table:
    """Read a table, at most so many rows of it, drawn evenly.

    The first row is a header where ``header`` says so or, if that is None, where none of its
    cells is a number, and either all are different words or a column below is of numbers.

    Raises :class:`~relucid.errors.DataError` with the line of what is wrong.
    """
    with closing(_rows(path)) as rows:
        return _read(path, rows, header, samples)


def _read(path: Path, rows: Iterator[Row], header: bool | None, samples: int) -> Table:
    first = list(islice(rows, 1 + _LOOK))
    if not first:
        raise DataError(f"{str(path)!r} is empty; give a table with a row a sample")
    width = len(first[0][1])
    if not 2 <= width <= COLUMNS:
        raise DataError(
            f"{str(path)!r}: the first row has {width} cells; a table for a task has 2 to "
            f"{COLUMNS}: columns, and a target that is told from them"
        )
    named = _is_header(first) if header is None else header
    names = _names(path, first[0][1] if named else [""] * width)
    body = enumerate(_checked(path, chain(first[named:], rows), width))
    kept, total = drawn(body, max(1, min(samples, CELLS // width)))
    columns = tuple(zip(*(cells for _, cells in kept), strict=True)) or ((),) * width
    return Table(names, columns, tuple(place for place, _ in kept), total)


def _rows(path: Path) -> Generator[Row]:
    """Yield rows that are not blank, none of them longer than a line may be."""
    room = LONGEST

    def bounded() -> Generator[str]:
        nonlocal room
        for line in lines(path):
            room -= len(line)
            if room < 0:
                raise DataError(
                    f"{str(path)!r}: the row up to line {reader.line_num + 1} is longer than "
                    f"{LONGEST:,} characters; is a quotation mark not closed?"
                )
            yield line

    with closing(bounded()) as texts:  # its reader holds it in a circle, and so the file open
        reader = csv.reader(texts, delimiter=_delimiter(path))
        try:
            for cells in reader:
                room = LONGEST
                if any(map(str.strip, cells)):
                    yield reader.line_num, cells
        except csv.Error as error:
            raise DataError(f"{str(path)!r}: line {reader.line_num}: {error}") from error


def _delimiter(path: Path) -> str:
    """Return what parts the first line into most cells."""
    first = next((line for line in lines(path) if line.strip()), "")
    return max(DELIMITERS, key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))


def _is_header(rows: list[Row]) -> bool:
    head, *below = (cells for _, cells in rows)
    if any(is_number(cell) for cell in head):
        return False
    different = len(set(head)) == len(head) and not any(map(missing, head))
    return different or any(
        all(is_number(cell) or missing(cell) for cell in column) and any(map(is_number, column))
        for column in zip(*below, strict=False)
    )


def _names(path: Path, given: list[str]) -> tuple[str, ...]:
    """Name columns by their header, or where that is empty by their number from 1."""
    names = [plain(cell.strip()[:CELL]) or f"column {i}" for i, cell in enumerate(given, start=1)]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise DataError(
                f"{str(path)!r}: columns {names.index(name) + 1} and {place + 1} are both called "
                f"{name!r}; rename one, or say header=False (--no-header) if the first row is data"
            )
    return tuple(names)


def _checked(path: Path, rows: Iterator[Row], width: int) -> Iterator[list[str]]:
    for line, cells in rows:
        if len(cells) != width:
            raise DataError(
                f"{str(path)!r}: line {line} has {len(cells)} cells, and the first row {width}; "
                "mend the line: a cell that holds the delimiter must be quoted"
            )
        yield [cell.strip()[:CELL] for cell in cells]
