"""How an engine says that it cannot carry out an experiment."""

from __future__ import annotations

from relucid.errors import EngineError


def refused(reason: str) -> EngineError:
    """Return the error of runs that cannot be trained as one."""
    return EngineError(
        f"the runs cannot be stacked into one network, since {reason}; engine='processes' and "
        "engine='sequential' train each by itself"
    )
