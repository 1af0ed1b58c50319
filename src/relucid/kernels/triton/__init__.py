"""Kernels for NVIDIA and AMD GPUs: loops as Triton functions.

Triton is imported when the first kernel is made.
"""

from relucid.kernels.triton.availability import available, require
from relucid.kernels.triton.launch import launch
from relucid.kernels.triton.operator import operator

__all__ = ["available", "launch", "operator", "require"]
