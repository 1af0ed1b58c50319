"""IDX as struct writes it, and everything that may be wrong with it."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from relucid.compare.tasks import task
from relucid.compare.tasks.reading.draw import drawn
from relucid.compare.tasks.reading.idx import read_header, rows
from relucid.errors import DataError
from support.task_files import idx_bytes, real, run, write_images

COUNT, SIDE = 40, 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_images(tmp_path, COUNT, SIDE)
    return tmp_path


def _images(folder: Path) -> Path:
    return folder / "images-idx3-ubyte.gz"


def _labels(folder: Path) -> Path:
    return folder / "labels-idx1-ubyte"


def test_pixels_and_labels_are_those_of_the_file(folder: Path) -> None:
    stored = np.array([*gzip.decompress(_images(folder).read_bytes())[16:]], np.float64)
    images, labels = task(folder).data
    assert images.shape == (COUNT, 1, SIDE, SIDE)
    expected = (stored - stored.mean()) / stored.std()
    np.testing.assert_allclose(images.double().flatten(), expected, rtol=1e-5, atol=1e-6)
    assert labels.tolist() == [label - 3 for label in _labels(folder).read_bytes()[8:]]


def test_a_draw_keeps_images_with_their_labels(folder: Path) -> None:
    images, labels = task(folder, samples=20).data
    assert len(images) == 20
    left, right = images[..., :3].mean((1, 2, 3)), images[..., 3:].mean((1, 2, 3))
    assert torch.equal(left < right, labels == 1)


@pytest.mark.parametrize("kind", [0x08, 0x09, 0x0B, 0x0C, 0x0D, 0x0E])
def test_all_element_types(tmp_path: Path, kind: int) -> None:
    file = tmp_path / "numbers"
    file.write_bytes(idx_bytes([1, 2, 100, 3, 4, 5], (3, 2), kind))
    header = read_header(file)
    assert header.array([*rows(file)]).tolist() == [[1, 2], [100, 3], [4, 5]]


@pytest.mark.parametrize("model", ["cnn", "mlp"])
def test_two_classes_are_learnt(folder: Path, model: str) -> None:
    _, last = run(task(folder, model=model), 30)
    assert last.quality == 1.0


def test_of_two_pairs_the_one_to_train_on(tmp_path: Path) -> None:
    write_images(tmp_path, 40, prefix="train-")
    write_images(tmp_path, 40, prefix="t10k-")
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes([1] * 40, (40,)))
    assert len(task(tmp_path).data[1].unique()) == 2
    with pytest.raises(DataError, match=r"t10k-labels.*all 40 samples are of one class, '1'"):
        task(tmp_path / "t10k-images-idx3-ubyte.gz")
    chosen = task(tmp_path / "t10k-images-idx3-ubyte.gz", target="train-labels-idx1-ubyte")
    assert len(chosen.data[1].unique()) == 2


def test_what_lies_there_zipped_and_not_is_one_pair(folder: Path) -> None:
    expected, _ = task(folder).data
    _images(folder).with_suffix("").write_bytes(gzip.decompress(_images(folder).read_bytes()))
    (folder / "labels-idx1-ubyte.gz").write_bytes(gzip.compress(_labels(folder).read_bytes()))
    assert torch.equal(task(folder).data[0], expected)


def test_two_that_fit_alike_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path, 40, prefix="a-")
    write_images(tmp_path, 40, prefix="b-")
    with pytest.raises(DataError, match=r"several that fit: 'a-images.*give the file of images"):
        task(tmp_path)


def test_a_wrong_magic_is_shown(folder: Path) -> None:
    _labels(folder).write_bytes(b"\0\1\x08\1" + _labels(folder).read_bytes()[4:])
    with pytest.raises(DataError, match=r"labels-idx1-ubyte.*bytes 0 to 3 are 00 01 08 01"):
        task(folder)


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (2, "ends at byte 2, within the magic"),
        (11, "ends at byte 11, within the sizes of its 3 dimensions"),
        (100, f"ends at byte 100 of {16 + 36 * COUNT}: it holds 2 of its 40 samples"),
    ],
)
def test_a_file_that_is_cut_off(folder: Path, kept: int, said: str) -> None:
    whole = gzip.decompress(_images(folder).read_bytes())
    _images(folder).write_bytes(gzip.compress(whole[:kept]))
    with pytest.raises(DataError, match=said):
        task(folder)


def test_a_gzip_stream_that_is_cut_off(folder: Path) -> None:
    _images(folder).write_bytes(_images(folder).read_bytes()[:-30])
    with pytest.raises(DataError, match=r"damaged after byte \d+ .*fetch or zip it again"):
        task(folder)


def test_a_file_that_goes_on(folder: Path) -> None:
    _labels(folder).write_bytes(_labels(folder).read_bytes() + b"x")
    with pytest.raises(DataError, match="goes on after byte 48, where its 40 samples end"):
        task(folder)


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (
            idx_bytes([], (0, 6, 6)),
            idx_bytes([1], (1,)),
            r"holds nothing: its sizes are \(0, 6, 6\)",
        ),
        (idx_bytes([0] * 8, (2, 2, 2)), idx_bytes([1, 2], (2,)), "2 images are too few"),
        (idx_bytes([0] * 8, (2, 2, 2)), idx_bytes([1, 2, 3], (3,)), "differ in number"),
        (idx_bytes([0] * 8, (8,)), idx_bytes([1] * 8, (8,)), "holds no such images"),
        (idx_bytes([0] * 8, (2, 2, 2)), idx_bytes([1, 2], (2,), 0x0D), "holds no such labels"),
        (
            struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 2**31, 2**31),
            idx_bytes([1, 2], (2,)),
            "2 images of 2147483648 x 2147483648 do not fit into 1 GiB; give smaller ones",
        ),
        (
            idx_bytes([7] * 40, (10, 2, 2)),
            idx_bytes([0, 1] * 5, (10,)),
            "all pixels are equal; there is nothing to tell apart",
        ),
        (
            idx_bytes([7.0] * 39 + [float("nan")], (10, 2, 2), 0x0D),
            idx_bytes([0, 1] * 5, (10,)),
            "some pixels are not finite",
        ),
    ],
)
def test_images_that_cannot_be_learnt(
    tmp_path: Path, images: bytes, labels: bytes, said: str
) -> None:
    (tmp_path / "a").write_bytes(images)
    (tmp_path / "b").write_bytes(labels)
    with pytest.raises(DataError, match=said):
        task(tmp_path, kind="idx")


def test_mnist_is_read_exactly_and_learnt() -> None:
    place = real("mnist-10k")
    with gzip.open(place / "images-idx3-ubyte.gz") as stream:
        stored = np.frombuffer(stream.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(place / "labels-idx1-ubyte.gz") as stream:
        numbers = np.frombuffer(stream.read(), np.uint8, offset=8)
    kept, total = drawn(range(10_000), 3000)
    assert total == 10_000
    subject = task(place, samples=3000)
    images, labels = subject.data
    assert np.array_equal(labels, numbers[kept])
    pixels = stored[kept].astype(np.float32)
    np.testing.assert_allclose(images[:, 0], (pixels - pixels.mean()) / pixels.std(), atol=1e-4)
    _, last = run(subject, 100)
    assert last.quality > 0.8
