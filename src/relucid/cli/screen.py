"""Showing a run while it goes on: a view in a terminal, or a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from torch import nn

    from relucid.probes import Probe

SHORTEST = 0.2
"""Seconds between two views, at least."""
SHARE = 0.03
"""Most of the run's time that the view may take."""
LINES = 10.0
"""Seconds between two lines where there is no terminal."""


class Screen:
    """Draws in the thread that trains, before a pass, so that nothing is read while it changes.

    For as long as it is open, the model has one hook more.
    """

    def __init__(self, probe: Probe, model: nn.Module) -> None:
        from rich.console import Console
        from rich.live import Live

        self._probe, self._model, self._note = probe, model, ""
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False)
        self._hook: Any = None
        self._next = 0.0

    def tell(self, note: str) -> None:
        """Say how far the run is."""
        self._note = note

    def __enter__(self) -> Self:
        import torch

        if self._console.is_terminal:
            self._live.start()
        self._next = time.monotonic() + (0.0 if self._console.is_terminal else LINES)
        if not isinstance(self._model, torch.jit.ScriptModule):  # takes no hooks
            self._hook = self._model.register_forward_pre_hook(self._before_pass)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._hook is not None:
            self._hook.remove()
        try:
            self._draw()
        finally:
            self._live.stop()

    def _before_pass(self, module: Any, args: Any) -> None:
        import torch

        if time.monotonic() < self._next or torch.compiler.is_compiling():
            return
        began = time.monotonic()
        self._draw()
        ended = time.monotonic()
        pause = SHORTEST if self._console.is_terminal else LINES
        self._next = ended + max(pause, (ended - began) / SHARE)

    def _draw(self) -> None:
        from relucid.report import live_line, live_view

        seen = self._probe.records()
        if self._console.is_terminal:
            self._live.update(live_view(seen, self._note), refresh=True)
        else:
            self._console.print(live_line(seen, self._note), markup=False, soft_wrap=True)
