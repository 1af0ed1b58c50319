"""Real architectures with planted units: all of these go, and nothing else changes.

``benchmarks/shrink_zoo.py`` asks the same of 10,000 random and 1,000 adversarial inputs.
"""

from dataclasses import dataclass
from functools import cache

import pytest
import torch

from relucid.shrink import Shrunk, shrink
from support.shrink_checks import (
    adversarial_batches,
    changed,
    check_later_life,
    largest,
    missing,
    random_batches,
    snapshot,
    wrong_gradients,
)
from support.shrink_zoo import ZOO, Case, case, cast

WORDY = {"opt", "bert", "t5", "t5-gated", "gated"}
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}


@dataclass
class Tried:
    """A case that was shrunk, and what it was before."""

    case: Case
    before: dict[str, object]
    random: torch.Tensor
    shrunk: Shrunk


@cache
def tried(name: str, dtype: torch.dtype = torch.float32) -> Tried:
    if name in WORDY:
        pytest.importorskip("transformers")
    one = case(name, dtype)
    inputs = cast(one.keywords(2), dtype)
    before, random = snapshot(one.model), torch.get_rng_state()
    return Tried(one, before, random, shrink(one.model, inputs.get("x", inputs), one.domain))


@pytest.mark.parametrize("name", ZOO)
def test_planted_units_go_and_outputs_stay(name):
    one = tried(name)
    assert changed(one.before, snapshot(one.case.model)) == []
    assert torch.equal(torch.get_rng_state(), one.random)
    assert missing(one.case, one.shrunk.receipt) == []
    assert apart(one, torch.float32) < TOLERANCE[torch.float32]


@pytest.mark.parametrize("name", ["mlp", "opt"])
def test_float64_is_as_exact_as_it_can_be(name):
    one = tried(name, torch.float64)
    assert missing(one.case, one.shrunk.receipt) == []
    assert apart(one, torch.float64) < TOLERANCE[torch.float64]


@pytest.mark.parametrize("name", ZOO)
def test_gradients_of_what_stays_are_the_same(name):
    one = tried(name)
    assert wrong_gradients(one.case, one.shrunk.model, one.shrunk.receipt) == []


@pytest.mark.parametrize("name", ["lenet", "opt"])
def test_the_copy_saves_loads_trains_and_exports(name):
    one = tried(name)
    assert type(one.shrunk.model) is type(one.case.model)
    check_later_life(one.case, one.shrunk.model)


def apart(one: Tried, dtype: torch.dtype) -> float:
    models = one.case.model, one.shrunk.model
    return max(
        largest(*models, random_batches(one.case, 24, 24, dtype)),
        largest(*models, adversarial_batches(one.case, *models, 24, 12, dtype)),
    )
