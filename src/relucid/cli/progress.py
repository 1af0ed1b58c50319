"""Progress bars, on standard error so that output can be piped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

Tell = Callable[..., None]
"""Told how much is done and, where it has become known, of how much."""


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


@contextmanager
def bars() -> Iterator[Callable[..., Tell]]:
    """Give a function that makes a bar from a title and a total, which need not be known yet.

    The bar appears with the first thing that it is told: how much is done and perhaps of how
    much.
    """
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:

        def bar(title: str, total: int | None = None) -> Tell:
            tasks: list[TaskID] = []

            def tell(done: int, of: int | None = total) -> None:
                if not tasks:
                    tasks.append(progress.add_task(title, total=of))
                progress.update(tasks[0], completed=done, total=of)

            return tell

        yield bar
