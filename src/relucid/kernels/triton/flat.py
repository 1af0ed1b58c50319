"""Loops that only map elements to elements: one block of neighbours a program.

A block that lies wholly inside the arrays is read and written without a mask, because a mask at
an odd length would break 16-byte accesses into single ones.
"""

from __future__ import annotations

from relucid.kernels.contract import Loop
from relucid.kernels.triton.text import Pieces, lines


def flat(loop: Loop) -> bool:
    """Whether the loop is one of these: no parameters, sums or flags."""
    return not (loop.parameters or loop.sums or loop.flags)


def source(loop: Loop) -> str:
    """The kernel ``NAME(pointers..., length, hidden, BLOCK)``, for a grid of length / BLOCK."""
    pieces = Pieces(loop)
    packed = bool(loop.masks or loop.mask_outputs)
    places = (
        # A row of eight is a byte of packed bits.
        ("bytes = tl.arange(0, BLOCK // 8)", "lanes = tl.arange(0, 8)[None, :]",
         "places = bytes[:, None] * 8 + lanes")
        if packed
        else ("places = tl.arange(0, BLOCK)",)
    )  # fmt: skip
    head = f"def {pieces.name}({', '.join(pieces.pointers)}, length, hidden, BLOCK: tl.constexpr):"
    return "\n".join((
        pieces.head(*((pieces.plus(),) if loop.mask_outputs else ())),
        '\n@triton.jit(do_not_specialize=["length", "hidden"])',
        head,
        lines(
            pieces.zero(),
            "start = tl.program_id(0).to(tl.int64) * BLOCK",
            places,
            "if start + BLOCK <= length:",
        ),
        lines(_body(pieces, masked=False), depth=2),
        lines("else:"),
        lines(_body(pieces, masked=True), depth=2),
        "",
    ))  # fmt: skip


def _body(pieces: Pieces, masked: bool) -> list[str]:
    inside = "inside" if masked else ""
    some = "some" if masked else ""
    checks = ["inside = places < length - start"] if masked else []
    if masked and (pieces.loop.masks or pieces.loop.mask_outputs):
        checks.append("some = bytes * 8 < length - start")
    return [
        *checks,
        *pieces.load_arrays("start + places", inside),
        *_load_bits(pieces, some),
        pieces.call(),
        *pieces.store_outputs("start + places", inside),
        *_store_bits(pieces, inside, some),
    ]


def _load_bits(pieces: Pieces, some: str) -> list[str]:
    masked = f", mask={some}" if some else ""
    return [
        line
        for i in range(len(pieces.loop.masks))
        for line in (
            f"packed{i} = tl.load(mask{i} + start // 8 + bytes{masked}).to(tl.int32)[:, None]",
            f"in{pieces.first_mask + i} = ((packed{i} >> lanes) & 1) != 0",
        )
    ]


def _store_bits(pieces: Pieces, inside: str, some: str) -> list[str]:
    masked = f", mask={some}" if some else ""
    result = []
    for pointer, value in pieces.bits:
        wanted = f"{value} & {inside}" if inside else value
        result += [
            f"truths = tl.broadcast_to({wanted}, [BLOCK // 8, 8]).to(tl.int32)",
            "packed = tl.reduce(truths << lanes, 1, plus)",
            f"tl.store({pointer} + start // 8 + bytes, packed.to(tl.uint8){masked})",
        ]
    return result
