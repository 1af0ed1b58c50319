"""A tape, its input and the words that record on it."""

import pytest

from relucid.kernels.program import Tape
from relucid.kernels.words import KernelWords


@pytest.fixture
def tape():
    return Tape(32)


@pytest.fixture
def x(tape):
    return tape.input("x")


@pytest.fixture
def m(tape):
    return KernelWords(tape)
