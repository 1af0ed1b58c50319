"""Lines of words and windows of characters, from texts of all kinds."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest

from relucid.compare.tasks import task
from relucid.errors import DataError
from support.task_files import real, run


def _write(folder: Path, **texts: str | bytes) -> Path:
    for name, text in texts.items():
        data = text if isinstance(text, bytes) else text.encode()
        (folder / f"{name}.txt").write_bytes(data)
    return folder


def test_words_are_hashed_in_their_order(tmp_path: Path) -> None:
    good, bad = "It's GOOD, really\n\n" * 6, "bad\n  \n" * 6
    words, classes = task(_write(tmp_path, good=good, bad=bad)).data
    assert classes.tolist() == [0] * 6 + [1] * 6  # in the order of the names; blank lines are none
    expected = [zlib.crc32(word) % 8191 + 1 for word in (b"it's", b"good", b",", b"really")]
    assert words[6:].tolist() == [expected] * 6
    assert words[:6].tolist() == [[zlib.crc32(b"bad") % 8191 + 1, 0, 0, 0]] * 6


def test_long_lines_are_cut(tmp_path: Path) -> None:
    words, _ = task(_write(tmp_path, a="long " * 10_000 + "\n" + "a\n" * 9, b="b\n")).data
    assert words.shape == (11, 64)


@pytest.mark.parametrize("model", ["cnn", "mlp"])
def test_padding_changes_nothing(tmp_path: Path, model: str) -> None:
    subject = task(_write(tmp_path, a="one two three\n" * 6, b="four\n" * 6), model=model)
    network = subject.build()
    words, _ = subject.data
    wider = np.pad(words.numpy(), ((0, 0), (0, 5)))
    scores = network(words)
    again = network(words.new_tensor(wider))
    np.testing.assert_allclose(scores.detach(), again.detach(), rtol=1e-4, atol=1e-5)


def test_bytes_that_are_no_utf8_are_latin(tmp_path: Path) -> None:
    same = _write(tmp_path, a=b"caf\xe9 na\xc3\xafve\n" * 6, b="café naïve\n".encode() * 6)
    words, _ = task(same).data
    assert (words == words[0]).all()


def test_characters_and_what_follows_each(tmp_path: Path) -> None:
    text = "".join(chr(97 + (i * i) % 13) for i in range(33 * 20 + 7))
    (tmp_path / "text.txt").write_text(text)
    seen, following = task(tmp_path / "text.txt").data
    assert seen.shape == following.shape == (20, 32)
    assert (seen[:, 1:] == following[:, :-1]).all()
    numbers = np.concatenate([seen, following[:, -1:]], axis=1).reshape(-1)
    assert len(set(zip(text[:660], numbers, strict=True))) == len(set(text[:660]))  # one to one
    assert numbers.min() == 1


@pytest.mark.parametrize("model", ["cnn", "mlp"])
def test_a_character_model_sees_only_the_past(tmp_path: Path, model: str) -> None:
    (tmp_path / "text.txt").write_text("To be, or not to be, that is the question. " * 20)
    subject = task(tmp_path, model=model)
    network, (seen, _) = subject.build(), subject.data
    changed = seen.clone()
    changed[:, 20:] = 1
    before, after = network(seen).detach(), network(changed).detach()
    assert np.array_equal(before[..., :20], after[..., :20])
    assert not np.array_equal(before[..., 20:], after[..., 20:])


def test_rare_characters_share_a_number(tmp_path: Path) -> None:
    text = "".join(chr(0x4E00 + i) for i in range(3000)) + "ab" * 100
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    subject = task(tmp_path / "text.txt")
    assert int(subject.data[0].max()) <= 127
    assert (subject.data[0] == 0).any()
    assert subject.build()(subject.data[0]).shape[1] == 128


@pytest.mark.parametrize("model", ["cnn", "mlp"])
def test_two_classes_are_learnt(tmp_path: Path, model: str) -> None:
    lines = {
        name: "".join(f"{'the film ' * (i % 4)}{name}{i % 5} it was\n" for i in range(60))
        for name in ("dull", "bright")
    }
    _, last = run(task(_write(tmp_path, **lines), model=model), 60)
    assert last.quality > 0.95


@pytest.mark.parametrize("model", ["cnn", "mlp"])
def test_a_text_that_repeats_is_learnt(tmp_path: Path, model: str) -> None:
    (tmp_path / "text.txt").write_text("The quick brown fox jumps over the lazy dog. " * 80)
    _, last = run(task(tmp_path / "text.txt", model=model), 100)
    assert last.quality > 0.9  # the first characters of a piece cannot be known


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"a": "line\n" * 20, "b": ""}, "no line with words in 'b.txt'; take it out"),
        ({"a": "line\n" * 5, "b": "line\n"}, "6 lines with words are too few"),
        ({"a": ""}, "0 pieces of 33 characters are too few"),
        ({"a": "short"}, "0 pieces of 33 characters are too few"),
        ({"a": "a" * 1000}, "holds one character only"),
        ({"a": "x" * 2**21, "b": "y\n" * 20}, "a.txt': line 1 is longer than 1,048,576 characters"),
        ({"a": "x\n" * 80_000 + "\0\n", "b": "y\n"}, "line 80001 holds a byte 0, .* UTF-16"),
        ({"a": "xy" * 80_000 + "\0" * 99}, "behind character 159984 holds a byte 0"),
    ],
)
def test_texts_that_cannot_be_learnt(tmp_path: Path, texts: dict[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        task(_write(tmp_path, **texts))


def test_a_damaged_gzip_says_where(tmp_path: Path) -> None:
    text = "".join(f"{i * i}\n" for i in range(60_000)).encode()
    (tmp_path / "text.txt.gz").write_bytes(gzip.compress(text)[:-2000])
    with pytest.raises(DataError, match=r"damaged after byte \d{5,}"):
        task(tmp_path / "text.txt.gz")
    (tmp_path / "text.txt.gz").write_bytes(gzip.compress(text))
    assert task(tmp_path / "text.txt.gz").name == "text.txt.gz: the next character, MLP"


@pytest.mark.parametrize("model", ["cnn", "mlp"])
def test_movie_reviews_are_told_apart(model: str) -> None:
    place = real("movie-reviews")
    subject = task(place, model=model)
    written = [
        line
        for name in ("rt-polarity.neg", "rt-polarity.pos")
        for line in (place / name).read_bytes().split(b"\n")
        if line.strip()
    ]
    assert len(subject.data[1]) == len(written) == 10_662
    assert subject.data[1].float().mean() == 0.5
    first, last = run(subject, 150)
    assert last.quality > 0.65
    assert last.loss < np.log(2) < first.loss


@pytest.mark.parametrize("model", ["cnn", "mlp"])
def test_shakespeare_is_learnt(model: str) -> None:
    path = real("tiny-shakespeare") / "input.txt"
    subject = task(path, model=model)
    text = path.read_text()
    assert len(subject.data[0]) == 5000 < len(text) // 33
    counts = np.bincount(subject.data[1].flatten())
    parts = counts[counts > 0] / counts.sum()
    entropy = -(parts * np.log(parts)).sum()  # what the frequencies alone would give
    _, last = run(subject, 100)
    assert last.loss < 0.8 * entropy
