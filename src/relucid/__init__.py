"""relucid (lucid ReLUs): see, choose, repair and speed up the activations of PyTorch networks."""

from relucid import nn
from relucid.checkup import Health, checkup
from relucid.functions import Kink, Parameter, activation, catalogue, get
from relucid.plot import plot
from relucid.probes import watch

__version__ = "0.1.0"

__all__ = [
    "Health",
    "Kink",
    "Parameter",
    "activation",
    "catalogue",
    "checkup",
    "get",
    "nn",
    "plot",
    "watch",
]
