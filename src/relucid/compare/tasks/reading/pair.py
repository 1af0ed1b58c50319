"""Which IDX files are images and labels that belong together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, product
from pathlib import Path

from relucid.compare.tasks.reading.folder import listed
from relucid.compare.tasks.reading.idx import Header, read_header
from relucid.errors import DataError

Pair = tuple[Path, Path]
Headers = Mapping[Path, Header]
_VARYING = re.compile(r"images|labels|idx\d|\.gz$", re.IGNORECASE)


def pair_at(path: Path, files: Iterable[Path], target: str | None) -> Pair:
    """Return the file of images and that of labels: of the folder, or for the images at ``path``.

    Raises :class:`~relucid.errors.DataError` where there are none, several, or damaged ones.
    """
    headers = {file: read_header(file) for file in files}
    images = [f for f, h in headers.items() if len(h.shape) == 3 and (path.is_dir() or f == path)]
    labels = [f for f, h in headers.items() if _are_labels(h) and target in (None, f.name)]
    for found, what in ((images, "images"), (labels, "labels")):
        if not found:
            raise DataError(
                f"{str(path)!r} holds no such {what}: images have 3 dimensions, and labels are "
                f"whole numbers of 1 dimension; there are {_described(headers)}"
            )
    return _only(path, headers, list(product(images, labels)))


def _only(path: Path, headers: Headers, pairs: Sequence[Pair]) -> Pair:
    """Choose by the number of samples, by alike names, the part to train on, unzipped."""
    fitting = [(i, n) for i, n in pairs if headers[i].shape[0] == headers[n].shape[0]]
    if not fitting:
        seen = {file: headers[file] for file in chain(*pairs)}
        raise DataError(
            f"images and labels in {str(path)!r} differ in number, so that they do not belong "
            f"together: {_described(seen)}"
        )
    for rule in (_alike, _to_train, _unzipped):
        fitting = [pair for pair in fitting if rule(pair)] or fitting
    if len(fitting) > 1:
        raise DataError(
            f"{str(path)!r} holds several that fit: {'; '.join(map(listed, fitting))}; give the "
            "file of images, and target= the name of the file of labels"
        )
    return fitting[0]


def _alike(pair: Pair) -> bool:
    first, second = (_VARYING.sub("", file.name) for file in pair)
    return first == second


def _to_train(pair: Pair) -> bool:
    return pair[0].name.lower().startswith("train")


def _unzipped(pair: Pair) -> bool:
    return not any(file.suffix.lower() == ".gz" for file in pair)


def _are_labels(header: Header) -> bool:
    return len(header.shape) == 1 and header.dtype.kind in "iu"


def _described(headers: Headers) -> str:
    files = [
        f"{file.name!r} of {' x '.join(map(str, header.shape))} {header.dtype.name}"
        for file, header in headers.items()
    ]
    return "; ".join(files) or "no IDX files"
