"""Random shapes, strides, types and numbers: kernels against plain operations in float64."""

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import relucid
from relucid import nn as rnn
from support.kernels import DTYPES

# One of each kind of backward: nothing, a bit, the input, a learned parameter, two inputs, an axis.
MODULES = {
    name: rnn.make(name) for name in ("identity", "relu6", "gelu", "prelu", "swiglu", "softmax")
}
UNITS = 4.0
"""Bound in units in the last place of the largest magnitude that is added up."""


@st.composite
def views(draw):
    """A view of some memory: permuted, stepped, offset, expanded, perhaps empty."""
    sizes = draw(st.lists(st.sampled_from([0, 1, 2, 2, 3, 5, 17]), min_size=1, max_size=4))
    steps = [draw(st.sampled_from([1, 1, 2])) for _ in sizes]
    seed, offset = draw(st.integers(0, 99)), draw(st.integers(0, 3))
    dtype = draw(st.sampled_from(list(DTYPES.values())))
    whole = [size * step for size, step in zip(sizes, steps, strict=True)]
    count = torch.Size(whole).numel()
    numbers = torch.randn(offset + count, generator=torch.Generator().manual_seed(seed)) * 3
    x = numbers.to(dtype)[offset:].view(whole)
    x = x[tuple(slice(None, None, step) for step in steps)]
    x = x.permute(draw(st.permutations(range(x.ndim))))
    if draw(st.booleans()):
        x = x.unsqueeze(0).expand(draw(st.integers(1, 3)), *x.shape)
    return x


def results(module, x, seed):
    leaf = x.detach().requires_grad_()
    y = module(leaf)
    g = gradient(y.shape, seed).to(y.dtype)
    return y.detach(), *torch.autograd.grad(y, [leaf, *module.parameters()], g)


def gradient(shape, seed):
    """Numbers that every type holds."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(torch.bfloat16)


def softmax_exactly(x, axis, seed):
    """In NumPy's longest float: that of PyTorch's float64 is off by up to 4.7 units itself."""
    z, g = (one.double().numpy().astype(np.longdouble) for one in (x, gradient(x.shape, seed)))
    powers = np.exp(z - z.max(axis, keepdims=True))
    y = powers / powers.sum(axis, keepdims=True)
    dx = y * (g - (g * y).sum(axis, keepdims=True))
    return [torch.from_numpy(one.astype(np.float64)) for one in (y, dx)]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(x=views(), name=st.sampled_from(sorted(MODULES)), seed=st.integers(0, 9))
def test_any_view_gives_what_plain_operations_give(x, name, seed):
    module = MODULES[name]
    if name == "swiglu":
        x = torch.cat([x, x.flip(-1)], dim=-1)
        module.dim = x.ndim - 1 - seed % x.ndim if x.shape[seed % x.ndim - 1] % 2 == 0 else -1
        module.dim = module.dim if x.shape[module.dim] % 2 == 0 else -1
    if name == "softmax":
        module.dim = seed % x.ndim
    with relucid.route("llvm"):
        ours = results(module, x, seed)
    with relucid.route("plain"):
        exact = results(module.double(), x.double(), seed)
    if name == "softmax" and x.numel():
        exact = softmax_exactly(x, module.dim, seed)
    module.float()
    unit = torch.finfo(x.dtype).eps
    assert ours[0].dtype == ours[1].dtype == x.dtype
    for one, other in zip(ours[:2], exact[:2], strict=True):
        assert one.shape == other.shape
        scale = other.abs().clamp(min=1.0)
        assert ((one.double() - other).abs() <= UNITS * unit * scale).all()
    for one, other in zip(ours[2:], exact[2:], strict=True):
        scale = 50.0 * max(x.numel(), 1) ** 0.5  # of a sum of products of normal numbers
        assert ((one.double() - other).abs() <= UNITS * 2.0**-24 * scale).all()
