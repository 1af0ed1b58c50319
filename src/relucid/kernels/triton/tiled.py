"""Loops with parameters, sums, flags or strides: a program takes some rows, some columns of them.

In layout ``rows`` a long row is cut into strips of ``STRIP`` columns, each with sums and flags of
its own, which the launcher adds up. Which elements are added in which order depends on the row's
length alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from relucid.kernels.contract import BLOCK, Loop
from relucid.kernels.triton.text import Pieces, lines

_SHAPE = "[ROWS, WIDTH]"


def source(loop: Loop) -> str:
    """The kernel ``NAME(pointers, length, row, channels, strides, hidden, ROWS, WIDTH, STRIP)``.

    Its grid is one-dimensional: groups of ``ROWS`` rows times strips in layout ``rows``, blocks
    of rows times ``WIDTH`` columns in layout ``columns``.
    """
    pieces = Pieces(loop)
    constants = ", ".join(f"{name}: tl.constexpr" for name in ("ROWS", "WIDTH", "STRIP"))
    strides = ", ".join(f"stride{i}" for i in pieces.streams)
    numbers = f"length, row, channels, {strides}, hidden, {constants}"
    helpers = (pieces.plus(),) if loop.sums or loop.flags or loop.mask_outputs else ()
    return "\n".join((
        pieces.head(*helpers),
        '\n@triton.jit(do_not_specialize=["length", "channels", "hidden"])',
        f"def {pieces.name}({', '.join(pieces.pointers)}, {numbers}):",
        lines(pieces.zero(), (_rows if loop.layout == "rows" else _columns)(pieces)),
        "",
    ))  # fmt: skip


def _rows(pieces: Pieces) -> Iterable[str]:
    yield "strips = (row + STRIP - 1) // STRIP"
    yield "top = (tl.program_id(0) // strips).to(tl.int64) * ROWS"
    yield "left = (tl.program_id(0) % strips).to(tl.int64) * STRIP"
    yield "lines = top + tl.arange(0, ROWS)"
    yield from _parameters(pieces, "lines % channels", "[:, None]", "")
    yield from _cleared(pieces)
    yield "for offset in range(0, STRIP, WIDTH):"
    yield "    start = top * row + left + offset"
    yield "    columns = tl.arange(0, WIDTH)[None, :]"
    for i in pieces.streams:
        yield f"    start{i} = top * stride{i} + left + offset"
        yield f"    places{i} = (tl.arange(0, ROWS) * stride{i})[:, None] + columns"
    yield "    if (left + offset + WIDTH <= row) & ((top + ROWS) * row <= length):"
    yield lines(_tile(pieces, masked=False), depth=2)
    yield "    else:"
    yield "        reached = columns + (left + offset)"
    yield "        inside = (reached < row) & (reached < (length - lines * row)[:, None])"
    yield lines(_tile(pieces, masked=True), depth=2)
    place = "lines * strips + left // STRIP, "
    for pointer, total, _ in pieces.sums:
        added = f"tl.reduce({total}, 1, plus)"
        yield f"tl.store({pointer} + {place}{added}, mask=lines * row < length)"
    for pointer, count, _ in pieces.flags:
        found = f"(tl.reduce({count}, 1, plus) != 0).to(tl.uint8)"
        yield f"tl.store({pointer} + {place}{found}, mask=lines * row < length)"


def _columns(pieces: Pieces) -> Iterable[str]:
    yield "across = (row + WIDTH - 1) // WIDTH"
    yield "block = (tl.program_id(0) // across).to(tl.int64)"
    yield "columns = (tl.program_id(0) % across) * WIDTH + tl.arange(0, WIDTH)"
    yield from _parameters(pieces, "columns", "[None, :]", ", mask=columns < row")
    yield from _cleared(pieces)
    yield f"for offset in range(0, {BLOCK}, ROWS):"
    yield f"    top = block * {BLOCK} + offset"
    for i in pieces.streams:
        yield f"    start{i} = top * stride{i}"
        yield f"    places{i} = (tl.arange(0, ROWS) * stride{i})[:, None] + columns[None, :]"
    yield "    lines = (top + tl.arange(0, ROWS))[:, None]"
    yield "    inside = (lines * row < length) & (columns < row)[None, :]"
    yield lines(_tile(pieces, masked=True))
    for pointer, total, _ in pieces.sums:
        added = f"tl.reduce({total}, 0, plus)"
        yield f"tl.store({pointer} + block * row + columns, {added}, mask=columns < row)"


def _parameters(pieces: Pieces, place: str, spread: str, masked: str) -> Iterable[str]:
    for i in range(len(pieces.loop.parameters)):
        number = f"tl.load(parameter{i} + {place}{masked})"
        yield f"in{i} = {number}.to({pieces.float}){spread}"


def _cleared(pieces: Pieces) -> Iterable[str]:
    for _, total, _ in pieces.sums:
        yield f"{total} = tl.full({_SHAPE}, 0.0, tl.float64)"
    for _, count, _ in pieces.flags:
        yield f"{count} = tl.full({_SHAPE}, 0, tl.int32)"


def _tile(pieces: Pieces, masked: bool) -> list[str]:
    """One tile of ``ROWS`` by ``WIDTH`` elements: loaded, computed, stored, added up."""
    inside = "inside" if masked else ""
    result = [
        *pieces.load_arrays("start# + places#", inside),
        *_load_bits(pieces, inside),
        pieces.call(),
        *pieces.store_outputs("start# + places#", inside),
        *_store_bits(pieces, inside),
    ]
    for _, total, value in pieces.sums:
        wide = f"{value}.to(tl.float64)"
        result.append(
            f"{total} += tl.where(inside, {wide}, 0.0)" if masked else f"{total} += {wide}"
        )
    for _, count, value in pieces.flags:
        found = f"({value} & inside)" if masked else value
        result.append(f"{count} += {found}.to(tl.int32)")
    return result


def _load_bits(pieces: Pieces, inside: str) -> Iterable[str]:
    masked = f", mask={inside}" if inside else ""
    if pieces.loop.masks:
        yield "places = start + (tl.arange(0, ROWS) * row)[:, None] + columns"
    for i in range(len(pieces.loop.masks)):
        yield f"packed{i} = tl.load(mask{i} + places // 8{masked}).to(tl.int32)"
        yield f"in{pieces.first_mask + i} = ((packed{i} >> (places % 8).to(tl.int32)) & 1) != 0"


def _store_bits(pieces: Pieces, inside: str) -> Iterable[str]:
    """Pack the bits of a tile; its rows are whole bytes."""
    if not pieces.loop.mask_outputs:
        return
    yield "lanes = tl.arange(0, 8)[None, None, :]"
    yield "bytes = tl.arange(0, WIDTH // 8)[None, :]"
    yield "packed_places = (tl.arange(0, ROWS) * (row // 8))[:, None] + bytes"
    if inside:
        yield "first = left + offset + bytes * 8"
        yield "some = (first < row) & (first < (length - lines * row)[:, None])"
    masked = ", mask=some" if inside else ""
    for pointer, value in pieces.bits:
        wanted = f"{value} & {inside}" if inside else value
        yield f"truths = tl.broadcast_to({wanted}, {_SHAPE}).to(tl.int32)"
        yield "truths = tl.reshape(truths, [ROWS, WIDTH // 8, 8])"
        yield "packed = tl.reduce(truths << lanes, 2, plus)"
        yield f"tl.store({pointer} + start // 8 + packed_places, packed.to(tl.uint8){masked})"
