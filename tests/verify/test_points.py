"""Which inputs are measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from relucid.functions import get
from relucid.verify.plan import BLOCK, Plan
from relucid.verify.points import edges, roots, stratified
from support import ulp
from support.cases import ELEMENTWISE, Case


def test_the_blocks_are_all_patterns_once() -> None:
    plan = Plan(get("relu"))
    assert plan.blocks * BLOCK == 1 << 32
    for block in (0, 1, plan.blocks // 2 - 1, plan.blocks // 2, plan.blocks - 1):
        bits = torch.cat(plan.chunks(block)).numpy().view(np.uint32)
        expected = np.arange(block * BLOCK, (block + 1) * BLOCK, dtype=np.int64)
        np.testing.assert_array_equal(bits, expected)


def test_a_sample_has_every_exponent_and_sign_evenly_and_once() -> None:
    patterns = stratified(get("silu"), 200_000)
    assert (np.diff(patterns.astype(np.int64)) > 0).all()
    counts = np.bincount(patterns >> 23, minlength=512)
    assert counts.min() >= 190  # 100,000 in 512 strata, less doubles
    np.testing.assert_array_equal(patterns, stratified(get("silu"), 200_000))


def test_a_sample_has_the_neighbours_of_kinks_and_roots() -> None:
    x = stratified(get("hardswish"), 1000).view(np.float32)
    for mark in (-3.0, -1.5, 0.0, 3.0):
        for neighbour in ulp.around(mark, np.float32, 40):
            assert neighbour in x


def test_the_blocks_of_a_sample_are_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relucid.verify.plan.BLOCK", 4096)
    plan = Plan(get("silu"), sample=20_000)
    chunks = [chunk for block in range(plan.blocks) for chunk in plan.chunks(block)]
    bits = torch.cat(chunks).numpy().view(np.uint32)
    np.testing.assert_array_equal(bits, stratified(get("silu"), 20_000))


@pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
def test_roots_are_those_of_the_textbooks_derivative(case: Case) -> None:
    expected = ulp.roots(case.name, tuple(case.parameters.items()))
    np.testing.assert_allclose(roots(case.activation), expected, rtol=1e-12)


def test_edges_are_where_a_function_crosses_a_level() -> None:
    patterns = stratified(get("silu"), 20_000)
    with np.errstate(over="ignore"):
        found = edges(np.exp, patterns, 2.0**-126).view(np.float32)
    exact = np.float32(-126 * np.log(2.0))
    for neighbour in ulp.around(exact, np.float32, 1):
        assert neighbour in found
    assert (np.abs(found / exact - 1) < 1e-5).all()
