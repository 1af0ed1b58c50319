"""Small models to accelerate, and what they give."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


def sequence(*sizes: int) -> nn.Sequential:
    """Return linear layers of these widths with ReLU between them, in evaluation mode."""
    layers = [one for pair in pairwise(sizes) for one in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1]).eval()


def _numbers(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


@torch.inference_mode()
def outputs(model: nn.Module, example: Any) -> Tensor:
    """Return the (first) output of a model, without gradients."""
    given = model(**example) if isinstance(example, dict) else model(example)
    return _numbers(given).clone()
