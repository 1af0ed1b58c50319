"""Text: a folder with the lines of one class a file, or one text whose next character is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from relucid.compare.subject import Subject
from relucid.compare.tasks.networks.characters import DILATED, WINDOW, Characters
from relucid.compare.tasks.networks.choose import Build, chosen
from relucid.compare.tasks.networks.optimizer import adam, decayed_adam
from relucid.compare.tasks.networks.words import WordConvolution, WordMean
from relucid.compare.tasks.reading.delimited import is_table
from relucid.compare.tasks.reading.draw import drawn
from relucid.compare.tasks.reading.folder import files_at, listed
from relucid.compare.tasks.reading.limits import check_enough, numbered, plain
from relucid.compare.tasks.reading.streams import is_text, lines
from relucid.compare.tasks.reading.windows import LENGTH, characters, windows
from relucid.compare.tasks.reading.words import BUCKETS, has_words, hashed
from relucid.errors import DataError

TITLE = "text (one file, or a folder with one file a class)"
NAMES = ()
LINES = 20_000
WINDOWS = 5_000


def find(path: Path) -> Sequence[Path]:
    """Return the files where all of them are text and none is a table."""
    files = files_at(path)
    return files if all(is_text(file) and not is_table(file) for file in files) else ()


def subject(what: str, *, model: str = "mlp", samples: int | None = None) -> Subject:
    """Tell the class of a line, or the next character of a text.

    Two files or more are classes, and each line with a word in it is a sample: its first 64
    words, hashed, as int64 of shape (N, length). Of one file each 33 characters are a sample:
    32 of them, and what follows each, both int64 of shape (N, 32).

    Args:
        what: the file, or the folder; files called README or LICENSE do not count.
        model: ``"mlp"`` or ``"cnn"``.
        samples: the most lines (None: 20,000) or pieces of text (None: 5,000) that are kept.

    Raises:
        DataError: where the files are no text (with the line), or too little of it.

    """
    files = files_at(Path(what))
    if not files:
        raise DataError(f"{what!r} holds no files; give a text, or a folder with one file a class")
    if len(files) == 1:
        return _next_character(files[0], model, WINDOWS if samples is None else samples)
    return _classes(Path(what), files, model, LINES if samples is None else samples)


def _classes(folder: Path, files: Sequence[Path], model: str, samples: int) -> Subject:
    kept, _ = drawn(_labelled(files), samples)
    check_enough(len(kept), folder, "lines with words")
    _check_all(files, {name for name, _ in kept})
    labels, classes = numbered(np.array([name for name, _ in kept]), folder)
    networks: dict[str, Build] = {
        "mlp": partial(WordMean, vocabulary=BUCKETS, classes=classes),
        "cnn": partial(WordConvolution, vocabulary=BUCKETS, classes=classes),
    }
    return Subject(
        f"{plain(folder.name)}: {classes} classes of lines, {model.upper()}",
        chosen(networks, model, TITLE),
        (torch.from_numpy(hashed([line for _, line in kept])), labels),
        functional.cross_entropy,
        decayed_adam,
        "accuracy",
    )


def _labelled(files: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for file in files:
        yield from ((file.name, line) for line in lines(file) if has_words(line))


def _check_all(files: Sequence[Path], read: set[str]) -> None:
    empty = [file for file in files if file.name not in read]
    if empty:
        raise DataError(
            f"there is no line with words in {listed(empty)}; take it out of the folder"
        )


def _next_character(file: Path, model: str, samples: int) -> Subject:
    kept, _ = drawn(windows(file), samples)
    check_enough(len(kept), file, f"pieces of {LENGTH + 1} characters")
    numbers, different = characters(kept)
    if different == 1:
        raise DataError(f"{str(file)!r} holds one character only; there is nothing to tell")
    networks: dict[str, Build] = {
        "mlp": partial(Characters, vocabulary=different + 1, layers=WINDOW),
        "cnn": partial(Characters, vocabulary=different + 1, layers=DILATED),
    }
    text = torch.from_numpy(numbers)
    return Subject(
        f"{plain(file.name)}: the next character, {model.upper()}",
        chosen(networks, model, TITLE),
        (text[:, :-1].contiguous(), text[:, 1:].contiguous()),
        functional.cross_entropy,
        adam,
        "accuracy",
    )
