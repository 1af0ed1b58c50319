"""IDX files as of MNIST: images with labels, in a folder, gzip or not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from relucid.compare.samples import MEMORY
from relucid.compare.subject import Subject
from relucid.compare.tasks.networks.choose import Build, chosen
from relucid.compare.tasks.networks.dense import mlp
from relucid.compare.tasks.networks.images import cnn
from relucid.compare.tasks.networks.optimizer import adam
from relucid.compare.tasks.reading.draw import drawn
from relucid.compare.tasks.reading.folder import files_at
from relucid.compare.tasks.reading.idx import Header, is_idx, read_header, rows
from relucid.compare.tasks.reading.limits import check_enough, numbered, plain
from relucid.compare.tasks.reading.pair import pair_at
from relucid.errors import DataError

TITLE = "IDX images and labels, as of MNIST"
NAMES = ()
_NAME = re.compile(r"idx\d")
_FLOAT = 4


def find(path: Path) -> Sequence[Path]:
    """Return the files that begin like IDX, or are called so and may be damaged."""
    return [file for file in files_at(path) if _NAME.search(file.name) or is_idx(file)]


def subject(
    what: str, *, model: str = "cnn", target: str | None = None, samples: int = 10_000
) -> Subject:
    """Tell images apart, by a small CNN or ``model="mlp"``.

    Images are float32 of shape (N, 1, height, width), with mean 0 and variance 1 over all pixels.

    Args:
        what: the folder with images and labels, or the file of images with the labels beside it.
            Of several pairs the one to train on is taken.
        model: ``"cnn"`` or ``"mlp"``.
        target: the name of the file of labels, where several fit.
        samples: the most images that are kept.

    Raises:
        DataError: where files are damaged (with the byte) or do not belong together.

    """
    path = Path(what)
    beside = find(path if path.is_dir() else path.parent)
    images, labels = pair_at(path, {path, *beside} if path.is_file() else beside, target)
    header = read_header(images)
    _check_size(images, header, samples)
    kept, _ = drawn(zip(rows(images), rows(labels), strict=True), samples)
    check_enough(len(kept), images, "images")
    classes, outputs = numbered(read_header(labels).array([row for _, row in kept]), labels)
    height, width = header.shape[1:]
    networks: dict[str, Build] = {
        "cnn": partial(cnn, shape=(height, width), outputs=outputs),
        "mlp": partial(mlp, inputs=height * width, outputs=outputs, widths=(128, 64)),
    }
    return Subject(
        f"{plain(images.parent.name)}, {model.upper()}",
        chosen(networks, model, TITLE),
        (_scaled(images, header, [row for row, _ in kept]), classes),
        functional.cross_entropy,
        adam,
        "accuracy",
    )


def _check_size(images: Path, header: Header, samples: int) -> None:
    count, height, width = header.shape
    room = MEMORY // (height * width * _FLOAT)
    if min(samples, count) > room:
        cure = f"add samples={room}" if room else "give smaller ones"
        raise DataError(
            f"{str(images)!r}: {count} images of {height} x {width} do not fit into "
            f"{MEMORY // 2**30} GiB; {cure}"
        )


def _scaled(images: Path, header: Header, kept: list[bytes]) -> Tensor:
    with np.errstate(over="ignore"):  # from float64, whose infinity is refused below
        values = torch.from_numpy(header.array(kept).astype(np.float32))
    spread, mean = torch.std_mean(values, correction=0)
    if not 0.0 < float(spread) < torch.inf:
        why = "all pixels are equal" if float(spread) == 0.0 else "some pixels are not finite"
        raise DataError(f"{str(images)!r}: {why}; there is nothing to tell apart")
    return ((values - mean) / spread).unsqueeze(1)
