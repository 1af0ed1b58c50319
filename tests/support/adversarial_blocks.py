"""Feed-forward blocks whose numbers are chosen to break proofs that units are zero.

Weights and inputs are drawn by kinds: huge, tiny, denormal, cancelling, with outliers, such that
rounding to 8 or 16 bits errs as much as it can and always in one direction. Half of the biases put
the pre-activation within a few roundings of the level. The truth is exact: products of two
float32 (or bfloat16) numbers are exact in float64, and ``math.fsum`` rounds their sum once.
"""

import math
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from relucid.sparse.calibrate import Calibration
from relucid.sparse.certified import CertifiedLinear
from relucid.sparse.partner import PartnerLinear
from relucid.sparse.skipping import SkippingLinear

LEVELS = (0.0, 0.0, 0.0, 0.0, 0.5, 1e-30, 6.0)
ROWS, OUTPUTS = 24, 5
ALLOWED = {torch.float32: 1e-6, torch.bfloat16: 2.0**-7}
"""How much larger than the dense layer's the relative error may be."""
LARGEST = {torch.float32: 3.4e38, torch.bfloat16: 3.38e38}
OVERFLOWS = 1e38
"""Sums of magnitudes from which a float32 sum may overflow in some order."""


def gaussian(random, *shape):
    return random.standard_normal(shape)


def scaled(factor):
    return lambda random, *shape: factor * random.standard_normal(shape)


def mixed(random, *shape):
    return random.choice([-1.0, 1.0], shape) * np.exp2(random.uniform(-40.0, 40.0, shape))


def outlier(random, *shape):
    """One number of each row is so large that 8 bits leave nothing of the others."""
    numbers = random.standard_normal(shape)
    numbers[..., random.integers(shape[-1])] *= 10.0 ** random.integers(2, 9)
    return numbers


def equal(random, *shape):
    return np.broadcast_to(random.standard_normal((*shape[:-1], 1)), shape).copy()


def signs(random, *shape):
    return random.choice([-1.0, 1.0], shape)


def sparse(random, *shape):
    return random.standard_normal(shape) * (random.random(shape) < 0.1)


def integers(random, *shape):
    return random.integers(-9, 10, shape).astype(float)


def halves(random, *shape):
    """Numbers half-way between those of 8 bits: one of each row is 127, the others k + 1/2."""
    numbers = random.integers(-126, 126, shape) + 0.5
    numbers[..., random.integers(shape[-1])] = 127.0
    return numbers * 2.0 ** random.integers(-20, 20)


def cancelling(random, *shape):
    """Neighbours that cancel but for a rounding."""
    numbers = random.standard_normal(shape)
    pairs = shape[-1] // 2
    numbers[..., 1 : 2 * pairs : 2] = -numbers[..., 0 : 2 * pairs : 2] * (1.0 + 2.0**-23)
    return numbers


def zero(random, *shape):
    return np.zeros(shape)


NUMBERS = {
    "gaussian": gaussian,
    "huge": scaled(1e30),
    "tiny": scaled(1e-30),
    "denormal": scaled(1e-41),
    "mixed": mixed,
    "outlier": outlier,
    "equal": equal,
    "signs": signs,
    "sparse": sparse,
    "integers": integers,
    "halves": halves,
    "cancelling": cancelling,
    "zero": zero,
}


def against_weights(weights):
    """An input along the rounding error of a row's 8-bit copy: Cauchy-Schwarz is an equality."""
    row = weights[0]
    scale = np.abs(row).max() / 127.0
    error = row - np.round(row / scale) * scale if scale else row
    return error / (np.abs(error).max() or 1.0)


def against_input(random, weights, x):
    """Rows along the error of the input's rounding to 16 bits, for the width that it has."""
    padded = -(-len(x) // 64) * 64
    reach = min((2**31 - 1) // (127 * padded), 2**15 - 2)
    scale = np.abs(x).max() / reach
    error = x - np.round(x / scale) * scale if scale else x
    signs = np.sign(error) * np.array([[1.0], [-1.0]])
    weights[:2] = signs * np.abs(weights[:2]).max()
    return weights


@dataclass(frozen=True)
class Block:
    """``down(f(up(x)))`` with f(z) = max(z - level, 0), and ``other``, another product of x."""

    kind: str
    up: nn.Linear
    other: nn.Linear
    down: nn.Linear
    x: torch.Tensor
    """(tokens, width)"""
    level: float


def linear(weight, bias, dtype):
    made = nn.Linear(weight.shape[1], weight.shape[0], device="meta", dtype=dtype)
    made.weight = nn.Parameter(finite(weight, dtype), requires_grad=False)
    made.bias = nn.Parameter(finite(bias, dtype), requires_grad=False)
    return made.eval()


def finite(numbers, dtype):
    largest = LARGEST[dtype]
    return torch.from_numpy(np.clip(numbers, -largest, largest)).to(dtype).contiguous()


def drawn(seed, width=None, hidden=None):
    """Draw a block, of another width or hidden width than most; the seed decides all else."""
    random = np.random.default_rng(seed)
    dtype = torch.bfloat16 if seed % 4 == 3 else torch.float32
    width = width or int(np.exp(random.uniform(0.0, math.log(300.5))))
    rows = hidden or (4 if width > 300 else int(random.integers(1, ROWS + 1)))
    tokens = 1 if width * rows > 300 * ROWS else int(random.choice([1, 1, 1, 2, 5, 17]))
    kinds = [str(random.choice(list(NUMBERS))) for _ in range(2)]
    weights, x = NUMBERS[kinds[0]](random, rows, width), NUMBERS[kinds[1]](random, tokens, width)
    weights, x = (finite(numbers, dtype).double().numpy() for numbers in (weights, x))
    aimed = int(random.integers(6))
    if aimed == 0:
        x[0] = against_weights(weights)
    elif aimed == 1 and rows > 1:
        weights = against_input(random, weights, x[0])
    level = float(np.float32(random.choice(LEVELS)))
    up = linear(weights, np.zeros(rows), dtype)
    inputs = finite(x, dtype)
    up.bias.copy_(biases(random, up.weight, inputs[0], level))
    last = NUMBERS[str(random.choice(["gaussian", "equal", "cancelling", "outlier"]))]
    down = linear(last(random, OUTPUTS, rows), random.standard_normal(OUTPUTS), dtype)
    other = linear(random.standard_normal((rows, width)), np.zeros(rows), dtype)
    return Block(f"{' x '.join(kinds)}, aimed {aimed}", up, other, down, inputs, level)


def biases(random, weight, x, level):
    """Biases: 0, normal, or such that the pre-activation is the level but for some roundings."""
    dtype = weight.dtype
    found = []
    for row in weight:
        kind = random.integers(4)
        if kind < 2:
            near = finite(np.array([level - exact(row, x)]), dtype)
            for _ in range(int(random.integers(4))):
                away = torch.full_like(near, random.choice([-math.inf, math.inf]))
                near = torch.nextafter(near, away)
            found.append(near.nan_to_num().item())
        else:
            found.append(0.0 if kind == 2 else random.standard_normal())
    return finite(np.array(found), dtype)


def exact(row, x, *more):
    """The sum of the products and more, rounded once: its sign is right."""
    return math.fsum([*(row.double() * x.double()).tolist(), *more])


def magnitude(layer, x):
    """Sums of absolute values: what errors of a product are relative to."""
    return x.double().abs() @ layer.weight.double().abs().T + layer.bias.double().abs()


def activated(z, level):
    """max(z - level, 0)"""
    return torch.relu(z - level)


def dense(layer, x, dtype=None):
    weight, bias = (t.to(dtype or x.dtype) for t in (layer.weight, layer.bias))
    return nn.functional.linear(x.to(weight.dtype), weight, bias)


def engines(block):
    """The first layer, a partner of it, and the second, told that leaving out work pays."""
    first = CertifiedLinear(deepcopy(block.up), block.level)
    layers = (
        first,
        PartnerLinear(deepcopy(block.other), first),
        SkippingLinear(deepcopy(block.down)),
    )
    free = Calibration(dense=1e9, points=((0.0, 1.0), (1.0, 1.0)))
    for layer in layers:
        layer.calibrate = lambda tokens: free
    return layers


def skipped(block):
    """Which units are left out, (tokens, rows): when the copy is taken, weights become NaN."""
    first = engines(block)[0]
    first.weight.data.fill_(math.nan)  # version counters do not see it
    with torch.inference_mode():
        return ~first(block.x).isnan()


def wrongly(block, left_out):
    """How many of these units are above the level in exact arithmetic."""
    biases = block.up.bias.tolist()
    return sum(
        exact(block.up.weight[unit], block.x[token], biases[unit], -block.level) > 0.0
        for token, unit in left_out.nonzero().tolist()
    )


@dataclass(frozen=True)
class Check:
    """What was seen of one block."""

    units: int
    zero: int
    """Units at or below the level in float64."""
    skipped: int
    wrong: int
    """Units that were skipped and are above the level, in exact arithmetic."""
    denied: int
    """Units that were skipped, and that the dense product of this dtype puts above the level."""
    sparse: bool
    """Whether work was left out at all; else the layer was dense, as with overflow."""
    excess: dict[str, float]
    """By product: the error relative to the sum of magnitudes, less that of the dense one."""


def checked(block):
    """Compare a block's engines with exact sums, and with float64 beside the dense layers."""
    left_out = skipped(block)
    denied = int((dense(block.up, block.x) > block.level)[left_out].sum())
    first, partner, second = engines(block)
    with torch.inference_mode():
        z, u = first(block.x), partner(block.x)
        y = second(activated(z, block.level))
    truth = dense(block.up, block.x, torch.float64)
    excess = {}
    if first.seen.sparse:
        excess = _excess(block, left_out, z, u, y, truth)
    else:
        assert torch.equal(z.view(-1).isnan(), dense(block.up, block.x).view(-1).isnan())
    zero = int((truth <= block.level).sum())
    return Check(
        truth.numel(), zero, int(left_out.sum()), wrongly(block, left_out), denied,
        first.seen.sparse > 0, excess,
    )  # fmt: skip


def _excess(block, left_out, z, u, y, truth):
    """Errors beyond the dense ones, where no sum can overflow."""
    assert not activated(z, block.level)[left_out].any()  # what stands for it is in the zero region
    plain = activated(dense(block.up, block.x), block.level)
    on = activated(z, block.level) > 0.0
    h = activated(truth, block.level)
    scale = magnitude(block.up, block.x)
    through = (scale + abs(block.level)) @ block.down.weight.double().abs().T
    sides = {
        "first": (z, dense(block.up, block.x), truth, scale, ~left_out),
        "partner": (u, dense(block.other, block.x), dense(block.other, block.x, torch.float64),
                    magnitude(block.other, block.x), on),
        "block": (y, dense(block.down, plain), dense(block.down, h, torch.float64),
                  through + block.down.bias.double().abs(), torch.ones_like(y, dtype=torch.bool)),
    }  # fmt: skip
    floor = max(block.x.shape[1], h.shape[1]) * 2.0**-126
    found = {}
    for name, (ours, theirs, right, sums, where) in sides.items():
        if sums.max() < OVERFLOWS and where.any():
            errors = [
                ((side.double() - right).abs() / (sums + floor))[where].max().item()
                for side in (ours, theirs)
            ]
            found[name] = errors[0] - errors[1]
    return found
