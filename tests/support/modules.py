"""Activation modules for the tests: one for every row of the case table."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from relucid import nn as rnn
from support.cases import Case


def module_of(case: Case) -> rnn.ActivationModule:
    """The module of a case; functions along an axis act on the last one."""
    return rnn.make(case.name, **case.parameters)


def by_case(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """Run a test once for each case."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.id)
