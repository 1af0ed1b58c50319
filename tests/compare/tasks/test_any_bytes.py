"""Whatever bytes a file holds: a subject with finite data, or an error that says what is wrong."""

import gzip
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relucid.compare.tasks import task
from relucid.errors import DataError
from support.task_files import idx_bytes

TABLE = b"size,colour,goal\n" + b"".join(b"%d,red,%d\n" % (i * i % 17, i % 3) for i in range(30))
IMAGES = idx_bytes([i * i % 251 for i in range(20 * 16)], (20, 4, 4))
LABELS = idx_bytes([i % 2 for i in range(20)], (20,))
TEXT = b"To be, or not to be, that is the question.\n" * 12

damage = st.lists(
    st.tuples(st.integers(0, 2**16), st.binary(max_size=6), st.integers(0, 6)), max_size=4
)
"""Places at which bytes are put in and others taken away."""


def _damaged(data: bytes, damage: list[tuple[int, bytes, int]]) -> bytes:
    for place, added, taken in damage:
        at = place % (len(data) + 1)
        data = data[:at] + added + data[at + taken :]
    return data


def _check(place: Path, kind: str) -> None:
    try:
        subject = task(place, kind=kind, samples=40)
    except DataError as error:
        assert str(error).isprintable()
        return
    inputs, targets = subject.data
    assert subject.name.isprintable()
    output = subject.build()(inputs[:2])
    assert torch.isfinite(subject.loss(output, targets[:2]))


@pytest.mark.parametrize("zipped", [False, True])
@given(damage=damage, second=damage)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_files(
    tmp_path: Path,
    zipped: bool,
    damage: list[tuple[int, bytes, int]],
    second: list[tuple[int, bytes, int]],
) -> None:
    def write(name: str, data: bytes) -> Path:
        # Either what is zipped is damaged, or its zip file is.
        done = gzip.compress(_damaged(data, damage)) if zipped else _damaged(data, damage)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(_damaged(done, second) if zipped else done)
        return path

    _check(write("table.csv", TABLE), "tables")
    _check(write("text.txt", TEXT), "text")
    write("images/a-labels-idx1-ubyte", LABELS)
    _check(write("images/a-images-idx3-ubyte", IMAGES).parent, "idx")
    write("classes/a.txt", TEXT)
    _check(write("classes/b.txt", TEXT.upper()).parent, "text")
