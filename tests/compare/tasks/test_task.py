"""What is at a path is found, said, and can be made anew elsewhere."""

import gzip
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from relucid.compare.tasks import kinds, task
from relucid.compare.tasks.reading import streams
from relucid.demo import load_digits
from relucid.errors import DataError, ParameterError
from support.task_files import write_images

TABLE = "length,colour,kind\n" + "".join(
    f"{i % 7},{'red' if i % 3 else 'blue'},{'a' if i % 7 > 3 else 'b'}\n" for i in range(40)
)
LINES = "one fine line\nand another\n" * 40


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    """One folder a kind, and one file of two."""
    for name in ("images", "classes", "empty", "binary"):
        (tmp_path / name).mkdir()
    write_images(tmp_path / "images")
    (tmp_path / "table.csv").write_text(TABLE)
    (tmp_path / "text.txt").write_text(LINES)
    (tmp_path / "classes" / "README.md").write_text("about")
    (tmp_path / "classes" / "good.txt").write_text(LINES)
    (tmp_path / "classes" / "bad.txt").write_text(LINES.upper())
    (tmp_path / "binary" / "weights.bin").write_bytes(bytes(100))
    return tmp_path


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("images", "images, CNN"),
        ("images/images-idx3-ubyte.gz", "images, CNN"),
        ("table.csv", "table.csv: kind (2 classes) from 2 columns, MLP"),
        ("classes", "classes: 2 classes of lines, MLP"),
        ("text.txt", "text.txt: the next character, MLP"),
    ],
)
def test_the_kind_is_found(everything: Path, place: str, name: str) -> None:
    assert task(everything / place).name == name


@pytest.mark.parametrize("place", ["digits", "images", "table.csv", "classes", "text.txt"])
def test_a_worker_makes_the_same_subject(
    everything: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(everything)
    subject = task(place, samples=25)
    monkeypatch.chdir("/")
    sent = pickle.dumps(subject)
    assert len(sent) < 1000  # how it is made, and not the data
    again = pickle.loads(sent)
    assert again.name == subject.name and again.metric == subject.metric
    for ours, theirs in zip(subject.data, again.data, strict=True):
        assert len(ours) == 25
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize("place", ["digits", "images", "classes", "text.txt"])
def test_models_take_the_activation_and_nothing_random(
    everything: Path, place: str, model: str
) -> None:
    subject = task(place if place == "digits" else everything / place, model=model)
    assert subject.takes_activation
    network = subject.build(activation=nn.Mish)
    found = [type(module) for module in network.modules()]
    assert nn.Mish in found and nn.ReLU not in found
    random = (nn.Dropout, nn.BatchNorm1d, nn.BatchNorm2d)
    assert not any(issubclass(kind, random) for kind in found)
    inputs, targets = subject.data
    assert torch.isfinite(subject.loss(network(inputs), targets))


def test_the_digits_are_those_of_the_demonstration() -> None:
    digits = load_digits()
    images, labels = task("digits").data
    assert images.shape == (1797, 1, 8, 8)
    assert torch.equal(images[:1400].flatten(1), digits.train_images)
    assert torch.equal(labels[1400:], digits.test_labels)
    assert task("digits-cnn").name == "Digits, CNN" == task("digits", model="cnn").name


def test_every_module_is_a_kind() -> None:
    assert list(kinds()) == ["digits", "idx", "tables", "text"]
    for kind in kinds().values():
        assert {"model", "samples"} <= set(kind.options)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere", "no file or folder .*nowhere.*; give one, or a built-in task: digits"),
        ("empty", "holds nothing that is read .it holds no files.; read are IDX"),
        ("binary", "it holds 'weights.bin'"),
        ("binary/weights.bin", "it is neither of these"),
    ],
)
def test_what_does_not_fit_is_said(everything: Path, place: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        task(everything / place)


def test_several_kinds_in_one_folder(everything: Path) -> None:
    shutil.copy(everything / "table.csv", everything / "images")
    with pytest.raises(
        DataError, match=r"several kinds .*'table.csv'.*kind='idx' or kind='tables'"
    ):
        task(everything / "images")
    assert task(everything / "images", kind="tables").metric == "accuracy"
    assert task(everything / "images", kind="idx").name == "images, CNN"


def test_a_forced_kind_reads_a_table_as_text(everything: Path) -> None:
    subject = task(everything / "table.csv", kind="text")
    assert subject.name == "table.csv: the next character, MLP"
    assert pickle.loads(pickle.dumps(subject)).name == subject.name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"colour": 1}, "take no 'colour'; their options are model, samples"),
        ({"model": "rnn"}, "no model 'rnn' .*; choose mlp, cnn"),
        ({"kind": "video"}, "no kind 'video'; choose digits, idx"),
        ({"samples": 0}, "from 1, not 0"),
        ({"samples": "many"}, "a whole number, not 'many'"),
    ],
)
def test_options_that_there_are_not(options: dict[str, object], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        task("digits", **options)


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_it_is_told_how_far_a_large_file_is_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bytes of the file as it lies there, zipped or not, to its end."""
    monkeypatch.setattr(streams, "_LARGE", 10_000)
    monkeypatch.setattr(streams, "_AT_ONCE", 4_000)
    file, rows = tmp_path / name, "".join(f"{i},{i * i},{i % 3}\n" for i in range(5_000))
    file.write_bytes(gzip.compress(rows.encode()) if name.endswith("gz") else rows.encode())
    told: list[tuple[int, int]] = []
    with streams.telling(lambda done, of: told.append((done, of))):
        task(file, samples=20)
    size = file.stat().st_size
    assert {of for _, of in told} == {size} and told[-1][0] == size
    assert len({done for done, _ in told}) >= size // 10_000
    count = len(told)
    task(file, samples=20)
    assert len(told) == count


def test_a_metric_reaches_workers() -> None:
    assert pickle.loads(pickle.dumps(task("digits", metric="loss"))).metric == "loss"
    with pytest.raises(ParameterError, match="must be 'loss' or 'accuracy', not 'area'"):
        task("digits", metric="area")


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(DataError, match="digits: 9 samples are too few"):
        task("digits", samples=9)
