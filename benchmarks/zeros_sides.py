"""What ``benchmarks/zeros.py`` times: products and networks that skip zeros, and the stock ways.

Every side has its weights in several copies, which together outgrow the caches, and a call takes
the next one. The stock ways take what PyTorch has: ``embedding_bag`` over the rows of the inputs
that are not zero, the same with each row in two halves (so that two threads share it), and a sparse
matrix of one row. They find the zeros themselves, in every call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.stats import norm
from torch import Tensor, nn
from torch.nn import functional

from relucid.sparse.certified import CertifiedLinear
from relucid.sparse.layer import SparseLinear
from relucid.sparse.partner import PartnerLinear
from relucid.sparse.skipping import SkippingLinear

BYTES = 200_000_000
"""The copies of the weights of a side take at least so much."""
NEVER_ZERO = -6.0
"""The bias for a share of zeros of 0, in standard deviations: one unit in a billion is 0."""

Second = Callable[[Tensor, Tensor, Tensor], Tensor]
"""h (1, hidden), neuron-major weights (hidden, width) and a bias (width) to (1, width)."""


def bag(h: Tensor, rows: Tensor, bias: Tensor) -> Tensor:
    """One bag of the rows whose input is not zero."""
    flat = h.view(-1)
    active = flat.nonzero().view(-1)
    return _bagged(active, flat[active], rows, bias)


def halves(h: Tensor, rows: Tensor, bias: Tensor) -> Tensor:
    """Two bags, of the left and of the right halves of these rows."""
    flat, (hidden, width) = h.view(-1), rows.shape
    active = flat.nonzero().view(-1)
    left = 2 * active
    found = functional.embedding_bag(
        torch.cat([left, left + 1]),
        rows.view(2 * hidden, width // 2),
        torch.tensor([0, len(active)]),
        mode="sum",
        per_sample_weights=flat[active].repeat(2),
    )
    return bias + found.view(1, width)


def csr(h: Tensor, rows: Tensor, bias: Tensor) -> Tensor:
    """A sparse matrix of one row."""
    return bias + h.to_sparse_csr() @ rows


def _bagged(active: Tensor, factors: Tensor, rows: Tensor, bias: Tensor) -> Tensor:
    begin = active.new_zeros(1)
    return bias + functional.embedding_bag(
        active, rows, begin, mode="sum", per_sample_weights=factors
    )


STOCK: dict[str, Second] = {"bag": bag, "halves": halves, "csr": csr}


def stock(dtype: torch.dtype) -> dict[str, Second]:
    """The stock ways for a dtype: PyTorch multiplies no sparse matrix in bfloat16."""
    return {name: way for name, way in STOCK.items() if name != "csr" or dtype == torch.float32}


class Plain(nn.Module):
    """``down(relu(up(x)))``."""

    def __init__(self, up: nn.Linear, down: nn.Linear) -> None:
        super().__init__()
        self.up, self.down = up, down

    def forward(self, x: Tensor) -> Tensor:
        """Of shape (batch, width), as x."""
        found: Tensor = self.down(functional.relu(self.up(x)))
        return found


class Gated(nn.Module):
    """``down(relu(gate(x)) * up(x))``."""

    def __init__(self, gate: nn.Linear, up: nn.Linear, down: nn.Linear) -> None:
        super().__init__()
        self.gate, self.up, self.down = gate, up, down

    def forward(self, x: Tensor) -> Tensor:
        """Of shape (batch, width), as x."""
        found: Tensor = self.down(functional.relu(self.gate(x)) * self.up(x))
        return found


Network = Plain | Gated


@dataclass(frozen=True)
class Shape:
    """A network whose weights are drawn so that units are zero with a given probability."""

    width: int
    hidden: int
    zeros: float
    gated: bool = False
    dtype: torch.dtype = torch.float32

    @property
    def copies(self) -> int:
        """How many copies of the network's weights take more than the caches; at least two."""
        matrices = 3 if self.gated else 2
        own = matrices * self.width * self.hidden * self.dtype.itemsize
        return max(2, math.ceil(BYTES / own))

    def linear(self, inputs: int, outputs: int, bias: float) -> nn.Linear:
        """Gaussian weights by which normal inputs give normal outputs, and a bias for each."""
        made = nn.Linear(inputs, outputs, dtype=self.dtype)
        nn.init.normal_(made.weight, std=inputs**-0.5)
        nn.init.constant_(made.bias, bias)
        return made.requires_grad_(False)

    def network(self) -> Network:
        """Draw the weights of one copy."""
        threshold = norm.ppf(self.zeros) if self.zeros else NEVER_ZERO
        first = self.linear(self.width, self.hidden, -threshold)
        down = self.linear(self.hidden, self.width, 0.1)
        if not self.gated:
            return Plain(first, down).eval()
        return Gated(first, self.linear(self.width, self.hidden, 0.0), down).eval()


def doubled(network: Network) -> Network:
    """The same network in float64, with weights of its own."""
    copies = [
        nn.Linear(layer.in_features, layer.out_features, dtype=torch.float64)
        for layer in network.children()
    ]
    for copy, layer in zip(copies, network.children(), strict=True):
        copy.load_state_dict(layer.state_dict())
    return type(network)(*copies).requires_grad_(False).eval()


def skipping(network: Network, certify: bool) -> Network:
    """Return a network that skips zeros; its last weights become neuron-major."""
    *before, down = network.children()
    if certify:
        first = CertifiedLinear(before[0])
        before = [first, *(PartnerLinear(up, first) for up in before[1:])]
    made = type(network)(*before, SkippingLinear(down))
    return out_of_cache(made).requires_grad_(False).eval()


def out_of_cache(module: nn.Module) -> nn.Module:
    """Tell the engines within that other weights push theirs out of the caches, as copies do."""
    for layer in module.modules():
        if isinstance(layer, SparseLinear):
            layer.surroundings = BYTES
    return module


def composed(network: Network, second: Second, rows: Tensor) -> Callable[[Tensor], Tensor]:
    """All products dense but the last, which takes a stock way over neuron-major ``rows``."""
    bias = network.down.bias
    if isinstance(network, Plain):
        return lambda x: second(functional.relu(network.up(x)), rows, bias)
    return lambda x: second(functional.relu(network.gate(x)) * network.up(x), rows, bias)


def gathered(network: Gated, rows: Tensor) -> Callable[[Tensor], Tensor]:
    """The gate dense, the active rows of ``up`` copied and multiplied, then one bag."""
    up, bias = network.up, network.down.bias

    def run(x: Tensor) -> Tensor:
        gate = functional.relu(network.gate(x)).view(-1)
        active = gate.nonzero().view(-1)
        some = functional.linear(x, up.weight[active], up.bias[active]).view(-1)
        return _bagged(active, gate[active] * some, rows, bias)

    return run
