"""Progress bars, on standard error so that output can be piped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

Tell = Callable[..., None]
"""Told how much is done and, where it has become known, of how much."""
TellStage = Callable[[str, int, int | None], object]
"""Told a stage of the work, how much of it is done, and of how much if that is known."""


@contextmanager
def bars(transient: bool = False) -> Iterator[Callable[..., Tell]]:
    """Give a function that makes a bar from a title and a total, which need not be known yet.

    The bar appears with the first thing that it is told: how much is done and perhaps of how
    much. ``transient`` bars are taken away at the end.
    """
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=transient) as progress:

        def bar(title: str, total: int | None = None) -> Tell:
            tasks: list[TaskID] = []

            def tell(done: int, of: int | None = total) -> None:
                if not tasks:
                    tasks.append(progress.add_task(title, total=of))
                progress.update(tasks[0], completed=done, total=of)

            return tell

        yield bar


@contextmanager
def stages(after: float) -> Iterator[TellStage]:
    """Give a function that tells bars how far a work is, stage by stage.

    They are shown in a terminal alone, when the work has taken ``after`` seconds, and taken away
    when it is done.
    """
    from rich.console import Console

    in_terminal, begun = Console(stderr=True).is_terminal, time.monotonic()
    tells: dict[str, Tell] = {}
    bar: Callable[..., Tell] | None = None
    with ExitStack() as stack:

        def tell(stage: str, done: int, of: int | None) -> None:
            nonlocal bar
            if not in_terminal or time.monotonic() - begun < after:
                return
            bar = bar or stack.enter_context(bars(transient=True))
            if stage not in tells:
                tells[stage] = bar(stage)
            tells[stage](done, of)

        yield tell
