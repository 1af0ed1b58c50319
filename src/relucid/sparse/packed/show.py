"""A packing's record as a table."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table

from relucid.report.words import size
from relucid.sparse.packed.record import PackingRecord


def rendered(record: PackingRecord) -> Group:
    """Return the table, and the sentence of the greatest amounts."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("kept as")
    for name in ("storages", "before", "after", "times smaller"):
        table.add_column(name, justify="right")
    for kept in (*record.packed, *record.left):
        smaller = f"{kept.before / kept.after:.2f}" if kept.packed and kept.after else ""
        how = kept.how if kept.packed else f"it is: {kept.how}"
        table.add_row(how, str(kept.memories), size(kept.before), size(kept.after), smaller)
    peak = (
        f"Saved activations at most {size(record.peak_before)}, kept in {size(record.peak_after)}"
    )
    return Group(table, f"{peak}: {record.ratio:.2f} times smaller.")
