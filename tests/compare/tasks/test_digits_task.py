"""The digits are learnt by both models, with activations of all sorts."""

import pytest

from relucid.compare.tasks import task
from support.task_files import run


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu"])
@pytest.mark.parametrize("name", ["digits", "digits-cnn"])
def test_digits_are_learnt(name: str, activation: str) -> None:
    first, last = run(task(name), 100, activation)
    assert first.quality < 0.3
    assert last.quality > 0.85
    assert last.loss < 0.5
