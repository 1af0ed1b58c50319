"""The 1,797 handwritten digits of 8x8 pixels that are shipped with relucid."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor

_HELD_OUT = 397


@dataclass(frozen=True)
class Digits:
    """Images as float32 in 0..1, 64 pixels a row, and their digits as int64, in two parts."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load_digits() -> Digits:
    """Return the digits, 1,400 to train on and 397 held out, always the same ones.

    Source: Alpaydin and Kaynak 1998, UCI, licensed CC BY 4.0; see ``data/LICENSE-digits.txt``.
    """
    with files("relucid.demo").joinpath("data/digits.npz").open("rb") as stream:
        stored = np.load(stream, allow_pickle=False)
        images = torch.from_numpy(stored["images"]).flatten(1).float() / 16.0
        labels = torch.from_numpy(stored["labels"]).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, test = order[:-_HELD_OUT], order[-_HELD_OUT:]
    return Digits(images[train], labels[train], images[test], labels[test])
