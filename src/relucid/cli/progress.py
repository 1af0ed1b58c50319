"""Progress bars, on standard error so that output can be piped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


def tracking(numbers: Iterable[int], title: str) -> Iterable[int]:
    """Yield the numbers while a bar shows how many are done."""
    from rich.console import Console
    from rich.progress import track

    return track(numbers, title, console=Console(stderr=True))


@contextmanager
def counting(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Give a function that tells a bar how many of ``total`` (None: unknown) are done."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.update(task, completed=done)
