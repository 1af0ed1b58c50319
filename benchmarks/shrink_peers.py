"""relucid.shrink beside Torch-Pruning and Simplify, on the zoo with planted units.

``python benchmarks/shrink_peers.py [--tools relucid torch-pruning simplify] [NAME ...]`` prints a
table in Markdown: the share of the parameters that stays, and the largest output difference on
1,000 random inputs, relative to the largest output for the same input. Needed are ``torch-pruning``
and ``torch-simplify``; without torchvision, stand-ins serve for the three classes of it that
Simplify asks whether the model is of.

The peers do not look for units that do nothing, so that they are told. Torch-Pruning gets the units
that were planted as constant, and removes them through its graph of dependencies. Simplify removes
units whose weights are all 0, so that their incoming weights are set to 0; their biases, with which
they are as constant as before, stay. relucid is told the domain. Units that are always on are left
to relucid alone, since neither of the others has a notion of them.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from relucid.shrink import shrink

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.shrink_checks import largest, random_batches
from support.shrink_zoo import ZOO, Case, case, run

RANDOM, EXACT = 1_000, 1e-6
ASKED_FOR: dict[str, tuple[str, ...]] = {
    "torchvision": (),
    "torchvision.models": ("MobileNetV3", "ShuffleNetV2"),
    "torchvision.models.densenet": ("_DenseLayer",),
}


def relucid(one: Case) -> nn.Module:
    """Shrink over the domain."""
    return shrink(one.model, one.inputs(2), one.domain).model


def torch_pruning(one: Case) -> nn.Module:
    """Remove the planted constant units, with all that depends on them."""
    import torch_pruning as tp

    model = copy.deepcopy(one.model)
    graph = tp.DependencyGraph().build_dependency(model, one.keywords(2), forward_fn=run)
    for planted in one.planted:
        layer = model.get_submodule(planted.path)
        whole = one.model.get_submodule(planted.path).weight.shape[0]
        if not planted.constant or layer.weight.shape[0] < whole:
            continue  # it went with a layer that it is tied to
        prune = graph.get_pruner_of_module(layer).prune_out_channels
        group = graph.get_pruning_group(layer, prune, list(planted.constant))
        if graph.check_pruning_group(group):
            group.prune()
    return model


def simplify(one: Case) -> nn.Module:
    """Set the planted constant units' incoming weights to 0, and simplify."""
    with _torchvision():
        from simplify import simplify as simplified

    model = copy.deepcopy(one.model)
    with torch.no_grad():
        for planted in one.planted:
            model.get_submodule(planted.path).weight[list(planted.constant)] = 0.0
    example = next(iter(one.keywords(1).values()))
    return simplified(model, torch.zeros_like(example)).eval()


@contextmanager
def _torchvision() -> Iterator[None]:
    """Stand in for torchvision where it is not installed."""
    found = importlib.util.find_spec("torchvision") is not None
    made = {} if found else {name: types.ModuleType(name) for name in ASKED_FOR}
    for name, module in made.items():
        vars(module).update({one: type(one, (nn.Module,), {}) for one in ASKED_FOR[name]})
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


TOOLS: dict[str, Callable[[Case], nn.Module]] = {
    "relucid": relucid, "torch-pruning": torch_pruning, "simplify": simplify,
}  # fmt: skip


def cell(one: Case, tool: str) -> str:
    """Return what a tool made of a model, in a cell of the table."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            smaller = TOOLS[tool](one)
    except Exception as error:  # a tool may fail in any way; that is what the table tells
        return f"fails: {_told(error)}"
    share = _parameters(smaller) / _parameters(one.model)
    if share == 1.0:
        return "removes nothing"
    try:
        found = largest(one.model, smaller, random_batches(one, RANDOM, 250, torch.float32))
    except Exception as error:  # what a tool left may break anywhere; the table tells that too
        return f"{share:.1%}, fails when run: {_told(error)}"
    return f"{share:.1%}, {'equal' if found <= EXACT else 'differs'} ({found:.1e})"


def _told(error: Exception) -> str:
    text = " ".join(str(error).split()).replace("|", "/")
    return f"{type(error).__name__} {text:.60}".strip()


def _parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ZOO))
    parser.add_argument("--tools", nargs="*", choices=list(TOOLS), default=list(TOOLS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"| network | {' | '.join(given.tools)} |\n|{' --- |' * (len(given.tools) + 1)}")
    for name in given.names or ZOO:
        one = case(name)
        print(f"| {one.name} | {' | '.join(cell(one, tool) for tool in given.tools)} |", flush=True)


if __name__ == "__main__":
    main()
