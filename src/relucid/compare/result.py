"""What a comparison gives its user."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relucid.errors import MissingDependencyError
from relucid.records.comparison import Comparison, Standing

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Compared:
    """The outcome of :func:`relucid.compare`; ``record`` holds everything that was measured."""

    record: Comparison

    @property
    def advice(self) -> str:
        """One sentence with its evidence."""
        return self.record.advice

    @property
    def standings(self) -> tuple[Standing, ...]:
        """The candidates, best first."""
        return self.record.standings

    def show(self, console: Console | None = None) -> None:
        """Print advice and ranking to the terminal, or to a given Rich console."""
        from rich.console import Console as Terminal

        from relucid.report import comparison_text

        (console or Terminal()).print(comparison_text(self.record))

    def save(self, path: str | PathLike[str]) -> Path:
        """Write a report: ``.html`` for one self-contained page, ``.json`` for the records.

        Raises :class:`~relucid.errors.OutputError` where the path cannot be written or has another
        suffix. An existing file is replaced as a whole or not at all.
        """
        from relucid.report import render_comparison_html, save_by_suffix

        return save_by_suffix(
            path, html=lambda: render_comparison_html(self.record), json=self.to_json
        )

    def frame(self, *, points: bool = False) -> Any:
        """Return a pandas DataFrame with one row a run, or one for each point of each curve.

        Raises :class:`~relucid.errors.MissingDependencyError` without pandas.
        """
        from relucid.report import comparison_rows

        try:
            import pandas
        except ImportError as error:
            raise MissingDependencyError(
                "a frame needs pandas, which is not installed; run: pip install pandas"
            ) from error
        return pandas.DataFrame(comparison_rows(self.record, points=points))

    def to_json(self) -> str:
        """Return the records as a JSON text, which :meth:`from_json` reads back."""
        from relucid.records import comparison_to_json

        return comparison_to_json(self.record)

    @classmethod
    def from_json(cls, text: str) -> Compared:
        """Read what :meth:`to_json` wrote."""
        from relucid.records import comparison_from_json

        return cls(comparison_from_json(text))

    def __repr__(self) -> str:
        return f"<relucid comparison of {self.record.title}: {self.advice}>"
