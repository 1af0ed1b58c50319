"""What every watched model must show: the oracle's sites, the same numbers, and no trace."""

import random

import numpy as np
import torch
from torch.nn.modules import module as global_hooks

from relucid.functions import bridge
from relucid.probes import watch
from support.aten_oracle import AtenOracle

HOOKS = (
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
)


def seed():
    """Set every random state that a model may draw from."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def random_states():
    """Every random state that a model may draw from."""
    return random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()


def state(model):
    """All that hangs on every module, tensors by identity."""
    kept = {}
    for path, module in model.named_modules():
        kept[path] = (type(module), {k: _frozen(v) for k, v in vars(module).items()})
    return kept


def _frozen(value):
    if isinstance(value, dict):
        return {k: _frozen(v) for k, v in value.items()}
    return value if isinstance(value, bool | int | float | str | None) else id(value)


def process_state():
    """All that a watch might leave in PyTorch itself."""
    return (
        torch.overrides._get_current_function_mode_stack(),
        torch.utils._python_dispatch._get_current_dispatch_mode_stack(),
        [len(getattr(global_hooks, name)) for name in HOOKS],
        bridge.torch_routes(),
        torch.backends.mha.get_fastpath_enabled(),
        torch.is_grad_enabled(),
    )


def tensors(value):
    """Yield the tensors in an output, however it is nested."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from tensors(one)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from tensors(one)


def step(model, batch):
    """One training step's outputs and gradients, and the random states after it."""
    seed()
    model.zero_grad()
    floats = [x for x in tensors(model(**batch)) if x.is_floating_point()]
    sum(x.square().sum() for x in floats if x.requires_grad).backward()
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    return [x.detach() for x in floats], gradients, random_states()


def check_sites(model, batch, unobserved=()):
    """Compare the sites with the operators below, call by call; return the record.

    ``unobserved`` are the names that must be listed, each with a reason; where one stands for
    operators inside a fused call, the oracle must have seen those under the same path.
    """
    seed()
    with AtenOracle(model) as oracle, torch.no_grad():
        model(**batch)
    seed()
    with watch(model, gradients=False, values=None) as probe, torch.no_grad():
        model(**batch)
    record = probe.records()
    found = [(s.site.module, s.elements * max(s.site.units, 1)) for s in record.sites]
    assert found == [(seen.path, seen.elements) for seen in oracle.open]
    missed = {one.name: one.reason for one in record.unobserved}
    assert set(missed) == set(unobserved) and all(missed.values())
    assert {name.rpartition(".")[0] for name in missed} == set(oracle.hidden)
    assert found or missed
    return record


def check_undisturbed(model, batch):
    """Compare a training step with and without a watch, to the last bit, and look for traces."""
    step(model, batch)  # what a model builds at its first call
    buffers = [b.clone() for b in model.buffers()]
    plain, around, before = step(model, batch), process_state(), state(model)
    after = [b.clone() for b in model.buffers()]
    with torch.no_grad():
        for buffer, value in zip(model.buffers(), buffers, strict=True):
            buffer.copy_(value)
    with watch(model) as probe:
        watched = step(model, batch)
    for one, other in zip(plain[:2], watched[:2], strict=True):
        assert len(one) == len(other) and all(map(torch.equal, one, other))
    assert plain[2] == watched[2], "random states"
    assert all(map(torch.equal, after, model.buffers()))
    assert state(model) == before and process_state() == around
    return probe.records()
