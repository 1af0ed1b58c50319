"""Progress bars, on standard error so that output can be piped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from relucid.report.progress import Tell, bars


def tracking(numbers: Iterable[int], title: str) -> Iterable[int]:
    """Yield the numbers while a bar shows how many are done."""
    from rich.console import Console
    from rich.progress import track

    return track(numbers, title, console=Console(stderr=True))


@contextmanager
def counting(title: str, total: int | None) -> Iterator[Tell]:
    """Give a function that tells a bar how many of ``total`` (None: unknown) are done."""
    with bars() as bar:
        tell = bar(title, total)
        tell(0)
        yield tell
