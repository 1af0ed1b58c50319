"""Activation modules, initialisation gains, and the route to PyTorch."""

import relucid.nn.autograd  # teaches the declared functions to act on tensors
