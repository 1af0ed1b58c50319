"""relucid (lucid ReLUs): see, choose, repair and speed up the activations of PyTorch networks."""

from relucid import nn
from relucid.functions import Kink, Parameter, activation, catalogue, get

__version__ = "0.1.0"

__all__ = ["Kink", "Parameter", "activation", "catalogue", "get", "nn"]
