"""The split is a partition, the same for all; the order is one of the seed alone."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

from relucid.compare.samples import Samples, split


def _rows(batches: Any) -> list[int]:
    return [int(x) for batch in batches for x in batch.args[0][:, 0]]


def _numbered(count: int) -> tuple[Tensor, Tensor]:
    return torch.arange(float(count))[:, None], torch.arange(count)


def test_every_sample_is_in_one_part_with_its_target() -> None:
    inputs, targets = _numbered(103)
    samples = split(list(zip(inputs.split(10), targets.split(10), strict=True)))
    training, apart = _rows(samples.training), _rows(samples.held_out)
    assert sorted(training + apart) == list(range(103))
    assert (samples.training_size, samples.held_out_size) == (len(training), len(apart)) == (82, 21)
    for batch in (*samples.training, *samples.held_out):
        assert torch.equal(batch.args[0][:, 0].long(), batch.target)


def test_the_order_is_the_seeds_alone() -> None:
    samples = split(_numbered(200))
    state = torch.get_rng_state()
    first, again, other = (
        _rows(islice(samples.in_order(seed), 6)) for seed in (3, 3, 4)
    )  # fmt: skip
    assert first == again != other
    assert torch.equal(state, torch.get_rng_state())
    # 160 training samples give two whole batches of 64 an epoch, without repetition.
    assert samples.batch == 64
    assert len(set(first[:128])) == 128
    assert len(first) == 6 * 64


def test_a_batch_of_the_given_size_and_never_an_incomplete_one() -> None:
    inputs, targets = _numbered(130)
    samples = split(list(zip(inputs.split(30), targets.split(30), strict=True)))
    sizes = {len(batch.target) for batch in islice(samples.in_order(0), 20)}
    assert sizes == {30}


def test_dictionaries_keep_the_batch_as_target() -> None:
    data = [{"x": torch.ones(40, 3), "mask": torch.ones(40, 2), "flag": True} for _ in range(3)]
    (batch,) = islice(split(data).in_order(0), 1)
    assert batch.kwargs["x"].shape == (40, 3)
    assert batch.kwargs["mask"].shape == (40, 2)
    assert batch.kwargs["flag"] is True
    assert batch.target is not None
    assert batch.target["x"].shape == (40, 3)


@pytest.mark.parametrize(
    "data",
    [
        [(torch.ones(8, n), torch.ones(8)) for n in range(3, 13)],
        [({"x": torch.ones(8, 3), "flag": n > 4}, torch.ones(8)) for n in range(10)],
    ],
)
def test_batches_that_do_not_fit_together_are_kept_whole(data: Any) -> None:
    samples = split(data)
    assert samples.batch == 0
    assert (len(samples.training), len(samples.held_out)) == (8, 2)
    assert (samples.training_size, samples.held_out_size) == (64, 16)


def test_no_more_is_held_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[split.__module__], "MEMORY", 1000)
    samples: Samples = split([(torch.ones(10, 10), torch.ones(10)) for _ in range(5)])
    assert samples.left_out
    assert samples.training_size + samples.held_out_size == 20
    assert split(((torch.ones(50), torch.ones(50)) for _ in range(5)), 3).training_size == 120
