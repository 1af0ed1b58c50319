"""Fused loops compiled from the declarations, and which route computes."""

from relucid.kernels.choose import precision, route

__all__ = ["precision", "route"]
