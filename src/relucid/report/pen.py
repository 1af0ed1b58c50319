"""Writing untrusted text so that neither Rich nor the terminal obeys it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relucid.report.words import ascii_only, plain

if TYPE_CHECKING:
    from rich.padding import Padding
    from rich.text import Text


@dataclass(frozen=True)
class Pen:
    """Knows which letters the terminal has."""

    narrow: bool
    """The terminal takes ASCII alone."""

    def write(self, text: str, style: str = "") -> Text:
        """Return ``text`` as it is, markup and control codes included, in letters to be seen."""
        from rich.text import Text

        seen = plain(text)
        return Text(ascii_only(seen) if self.narrow else seen, style=style)

    def indent(self, text: str, columns: int, style: str = "") -> Padding:
        """Return ``text`` as :meth:`write` does, set in from the left."""
        from rich.padding import Padding

        return Padding(self.write(text, style), (0, 0, 0, columns), expand=False)

    def sign(self, pair: Sequence[str]) -> str:
        """Return the first of a pair of signs, or the second on an ASCII terminal."""
        return pair[1] if self.narrow else pair[0]
