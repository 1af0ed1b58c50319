"""The contenders: relucid, and the peers that it is measured beside."""

from relucid.bench.sides.lineup import Cell, Lineup
from relucid.bench.sides.subject import Form, Subject

__all__ = ["Cell", "Form", "Lineup", "Subject"]
