"""The handwritten digits that are shipped with relucid: a multilayer perceptron and a CNN."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional

from relucid.compare.subject import Subject
from relucid.compare.tasks.networks.choose import Build, chosen
from relucid.compare.tasks.networks.dense import mlp
from relucid.compare.tasks.networks.images import cnn
from relucid.compare.tasks.networks.optimizer import adam
from relucid.compare.tasks.reading.draw import drawn
from relucid.compare.tasks.reading.limits import check_enough
from relucid.demo import load_digits
from relucid.errors import DataError

TITLE = "the shipped digits"
NAMES = ("digits", "digits-cnn")
SIDE = 8
CLASSES = 10


def find(path: Path) -> Sequence[Path]:
    """Return nothing: these data lie in relucid."""
    return ()


def subject(what: str, *, model: str | None = None, samples: int = 1797) -> Subject:
    """Tell 10 digits of 8x8 pixels apart.

    Images are float32 of shape (N, 1, 8, 8) in 0..1.
    """
    if what not in NAMES:
        raise DataError(f"{what!r} are no digits; choose {' or '.join(NAMES)}")
    digits = load_digits()
    images = torch.cat([digits.train_images, digits.test_images]).view(-1, 1, SIDE, SIDE)
    labels = torch.cat([digits.train_labels, digits.test_labels])
    rows, _ = drawn(range(len(labels)), samples)
    check_enough(len(rows), "digits", "samples")
    name = model or ("cnn" if what == "digits-cnn" else "mlp")
    networks: dict[str, Build] = {
        "mlp": partial(mlp, inputs=SIDE * SIDE, outputs=CLASSES, widths=(128, 64, 32)),
        "cnn": partial(cnn, shape=(SIDE, SIDE), outputs=CLASSES),
    }
    return Subject(
        f"Digits, {name.upper()}",
        chosen(networks, name, TITLE),
        (images[rows], labels[rows]),
        functional.cross_entropy,
        adam,
        "accuracy",
    )
