"""relucid (lucid ReLUs): see, choose, repair and speed up the activations of PyTorch networks."""

from typing import TYPE_CHECKING, Any

from relucid import nn
from relucid.checkup import Health, checkup
from relucid.compare import compare
from relucid.export import export
from relucid.functions import Kink, Parameter, activation, catalogue, get
from relucid.kernels import precision, route
from relucid.plot import plot
from relucid.shrink import shrink
from relucid.sparse import accelerate
from relucid.sparse.packed import pack
from relucid.swap import swap

if TYPE_CHECKING:
    from relucid.compare.plan import Trial
    from relucid.probes import watch

__version__ = "0.1.0"

__all__ = [
    "Health",
    "Kink",
    "Parameter",
    "Trial",
    "accelerate",
    "activation",
    "catalogue",
    "checkup",
    "compare",
    "export",
    "get",
    "nn",
    "pack",
    "plot",
    "precision",
    "route",
    "shrink",
    "swap",
    "watch",
]


def __getattr__(name: str) -> Any:
    """Load the probes when they are first asked for: they take a third of the import."""
    if name == "watch":
        from relucid.probes import watch

        return watch
    if name == "Trial":
        from relucid.compare.plan import Trial

        return Trial
    raise AttributeError(f"module 'relucid' has no attribute {name!r}")
