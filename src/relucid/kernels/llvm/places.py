"""Addresses and loops in LLVM code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

I32, I64 = ir.IntType(32), ir.IntType(64)


def place(builder: ir.IRBuilder, address: Any, index: Any, element: ir.Type) -> Any:
    """The address of element ``index`` of an array."""
    return builder.gep(address, [index], source_etype=element)


def word(builder: ir.IRBuilder, words: Any, slot: int) -> Any:
    """One of the 8-byte words that a function was given."""
    return builder.load(place(builder, words, I64(slot), I64), typ=I64)


def own_share(
    builder: ir.IRBuilder, words: Any, parts: Any, asked: Sequence[int]
) -> tuple[Any, Any, Any]:
    """What of ``parts`` the calling OpenMP thread does: from where, to before where; its number.

    ``asked`` are the words with the addresses of ``omp_get_thread_num``, ``omp_get_num_threads``.
    """
    kind = ir.FunctionType(I32, ()).as_pointer()
    me, threads = (
        builder.zext(builder.call(builder.inttoptr(word(builder, words, slot), kind), ()), I64)
        for slot in asked
    )
    first = builder.udiv(builder.mul(parts, me), threads)
    last = builder.udiv(builder.mul(parts, builder.add(me, I64(1))), threads)
    return first, last, me


@contextmanager
def counted(builder: ir.IRBuilder, first: Any, last: Any, step: int) -> Iterator[Any]:
    """Emit the body as a loop, with the index from ``first`` to before ``last``."""
    before = builder.block
    head = builder.append_basic_block()
    body = builder.append_basic_block()
    after = builder.append_basic_block()
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(I64)
    index.add_incoming(first, before)
    builder.cbranch(builder.icmp_unsigned("<", index, last), body, after)
    builder.position_at_end(body)
    yield index
    index.add_incoming(builder.add(index, I64(step)), builder.block)
    builder.branch(head)
    builder.position_at_end(after)
