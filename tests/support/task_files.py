"""Small files of data, written without relucid, and a run on a subject."""

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from relucid import get
from relucid.compare.experiment import Choice, Experiment, Job
from relucid.compare.subject import Subject
from relucid.compare.training import train
from relucid.records.comparison import Ending, Point

REAL = Path(__file__).parents[3] / "shared" / "data"


def real(name: str) -> Path:
    """Return real data, or skip."""
    path = REAL / name
    if not path.exists():
        pytest.skip(f"real data are not at {path}; this needs them")
    return path


def idx_bytes(values: Sequence[int], shape: Sequence[int], kind: int = 0x08) -> bytes:
    code = {0x08: "B", 0x09: "b", 0x0B: "h", 0x0C: "i", 0x0D: "f", 0x0E: "d"}[kind]
    head = struct.pack(f">BBBB{len(shape)}I", 0, 0, kind, len(shape), *shape)
    return head + struct.pack(f">{len(values)}{code}", *values)


def write_images(folder: Path, count: int = 40, side: int = 6, *, prefix: str = "") -> None:
    """Write two classes, zipped: the left half of an image is bright, or the right half."""
    labels = [3 + i % 2 for i in range(count)]
    pixels = [
        200 * ((x < side // 2) == (label == 3)) + (i * 7 + x * 3 + y) % 50
        for i, label in enumerate(labels)
        for y in range(side)
        for x in range(side)
    ]
    images = idx_bytes(pixels, (count, side, side))
    (folder / f"{prefix}images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    labelled = idx_bytes(labels, (count,))
    (folder / f"{prefix}labels-idx1-ubyte").write_bytes(labelled)


def run(subject: Subject, steps: int, activation: str = "relu") -> tuple[Point, Point]:
    """Train on one seed; return where it began and where it ended."""
    choice = Choice(activation, get(activation))
    experiment = Experiment(subject, (choice,), activation, None, (0,), steps, points=1)
    trained = train(experiment, Job(activation, 0))
    assert trained.ending is Ending.COMPLETE, trained.why
    assert trained.dead is not None  # the activations were found, whose units can be counted
    return trained.curve[0], trained.curve[-1]
