"""Facts that relucid computes from a declaration against what textbooks and mpmath say."""

from __future__ import annotations

import math
from typing import NamedTuple

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

from relucid.functions import Elementwise, Gain, Kink, activation, get
from support.cases import ELEMENTWISE, Case
from support.truth import TRUTHS
from support.ulp import joints

INF = math.inf
NONE = None


class Facts(NamedTuple):
    range: tuple[float, float]
    lipschitz: float
    monotone: str
    zero_region: tuple[float, float] | None
    smoothness: float
    piecewise_linear: bool = False


SELU = 1.0507009873554805
SELU_LOW = SELU * 1.6732632423543772
EXPECTED: dict[str, Facts] = {
    "identity": Facts((-INF, INF), 1, "increasing", NONE, INF, True),
    "relu": Facts((0, INF), 1, "increasing", (-INF, 0), 0, True),
    "leaky_relu": Facts((-INF, INF), 1, "increasing", NONE, 0, True),
    "leaky_relu-negative_slope=0.125": Facts((-INF, INF), 1, "increasing", NONE, 0, True),
    "leaky_relu-negative_slope=0": Facts((0, INF), 1, "increasing", (-INF, 0), 0, True),
    "prelu": Facts((-INF, INF), 1, "increasing", NONE, 0, True),
    "prelu-negative_slope=-0.5": Facts((0, INF), 1, "none", NONE, 0, True),
    "rrelu": Facts((-INF, INF), 1, "increasing", NONE, 0, True),
    "rrelu-lower=0.1-upper=0.3": Facts((-INF, INF), 1, "increasing", NONE, 0, True),
    "relu6": Facts((0, 6), 1, "increasing", (-INF, 0), 0, True),
    "hardtanh": Facts((-1, 1), 1, "increasing", NONE, 0, True),
    "hardtanh-min_val=-2-max_val=0.5": Facts((-2, 0.5), 1, "increasing", NONE, 0, True),
    "hardsigmoid": Facts((0, 1), 1 / 6, "increasing", (-INF, -3), 0, True),
    "hardsigmoid-shift=2.5-width=5": Facts((0, 1), 0.2, "increasing", (-INF, -2.5), 0, True),
    "threshold": Facts((0, INF), 1, "increasing", (-INF, 0), 0, True),
    "threshold-threshold=0.1-value=20": Facts((0.1, INF), INF, "none", NONE, -1, True),
    "thresholded_relu": Facts((0, INF), INF, "increasing", (-INF, 1), -1, True),
    "thresholded_relu-threshold=0.3": Facts((0, INF), INF, "increasing", (-INF, 0.3), -1, True),
    "hardshrink": Facts((-INF, INF), INF, "increasing", (-0.5, 0.5), -1, True),
    "hardshrink-lambd=1.5": Facts((-INF, INF), INF, "increasing", (-1.5, 1.5), -1, True),
    "hardshrink-lambd=0": Facts((-INF, INF), 1, "increasing", NONE, INF, True),
    "softshrink": Facts((-INF, INF), 1, "increasing", (-0.5, 0.5), 0, True),
    "softshrink-lambd=0.1": Facts((-INF, INF), 1, "increasing", (-0.1, 0.1), 0, True),
    "softshrink-lambd=0": Facts((-INF, INF), 1, "increasing", NONE, INF, True),
    "squared_relu": Facts((0, INF), INF, "increasing", (-INF, 0), 1),
    "elu": Facts((-1, INF), 1, "increasing", NONE, 1),
    "elu-alpha=0.5": Facts((-0.5, INF), 1, "increasing", NONE, 0),
    "elu-alpha=-1.5": Facts((0, INF), 1.5, "none", NONE, 0),
    "selu": Facts((-SELU_LOW, INF), SELU_LOW, "increasing", NONE, 0),
    "celu": Facts((-1, INF), 1, "increasing", NONE, 1),
    "celu-alpha=0.3": Facts((-0.3, INF), 1, "increasing", NONE, 1),
    "celu-alpha=2": Facts((-2, INF), 1, "increasing", NONE, 1),
    "softplus": Facts((0, INF), 1, "increasing", NONE, INF),
    "softplus-beta=0.7": Facts((0, INF), 1, "increasing", NONE, INF),
    "squareplus": Facts((0, INF), 1, "increasing", NONE, INF),
    "squareplus-b=0.01": Facts((0, INF), 1, "increasing", NONE, INF),
    "logsigmoid": Facts((-INF, 0), 1, "increasing", NONE, INF),
    "sigmoid": Facts((0, 1), 0.25, "increasing", NONE, INF),
    "tanh": Facts((-1, 1), 1, "increasing", NONE, INF),
    "softsign": Facts((-1, 1), 1, "increasing", NONE, 1),
    "tanhshrink": Facts((-INF, INF), 1, "increasing", NONE, INF),
    "penalized_tanh": Facts((-0.25, 1), 1, "increasing", NONE, 0),
    "penalized_tanh-slope=0.1": Facts((-0.1, 1), 1, "increasing", NONE, 0),
    "arctan": Facts((-math.pi / 2, math.pi / 2), 1, "increasing", NONE, INF),
    "silu": Facts((-0.2784645427610738, INF), 1.0998393194, "none", NONE, INF),
    "silu-beta=0.3": Facts((-0.2784645427610738 / 0.3, INF), 1.0998393194, "none", NONE, INF),
    "silu-beta=-2": Facts((-INF, 0.2784645427610738 / 2), 1.0998393194, "none", NONE, INF),
    "quick_gelu": Facts((-0.2784645427610738 / 1.702, INF), 1.0998393194, "none", NONE, INF),
    "gelu": Facts((-0.1699712074799, INF), 1.1289041452, "none", NONE, INF),
    "gelu_tanh": Facts((-0.1700407505713, INF), 1.1289930687, "none", NONE, INF),
    "mish": Facts((-0.3088434130172503, INF), 1.0884981613, "none", NONE, INF),
    "hardswish": Facts((-0.375, INF), 1.5, "none", (-INF, -3), 0),
}
FACTUAL = [case for case in ELEMENTWISE if case.id in EXPECTED]


@pytest.mark.parametrize("case", FACTUAL, ids=lambda case: case.id)
def test_facts(case: Case) -> None:
    function, expected = case.activation, EXPECTED[case.id]
    assert function.range == pytest.approx(expected.range, rel=1e-12, abs=1e-15)
    assert function.lipschitz == pytest.approx(expected.lipschitz, rel=1e-7)
    assert function.monotone == expected.monotone
    assert function.zero_region == expected.zero_region
    assert function.smoothness == expected.smoothness
    assert function.piecewise_linear == expected.piecewise_linear


def test_a_switch_of_softplus_is_a_jump() -> None:
    """At beta*x = 20 the value jumps by 2e-10; at 0.4 by 0.05, as PyTorch's does."""
    softplus = get("softplus", beta=10.0, threshold=0.4)
    assert isinstance(softplus, Elementwise)
    assert [k.at for k in softplus.kinks] == pytest.approx([0.04])
    assert softplus.smoothness == -1 and softplus.lipschitz == INF


@pytest.mark.parametrize("case", FACTUAL, ids=lambda case: case.id)
def test_lipschitz_constant_and_range_hold_on_samples(case: Case) -> None:
    function = case.activation
    x = np.random.default_rng(9).normal(size=20_000) * 10
    low, high = function.range
    values = function(x)
    assert ((values >= low - 1e-12) & (values <= high + 1e-12)).all()
    assert (np.abs(function.derivative(x)) <= function.lipschitz * (1 + 1e-12)).all()


def test_saved_for_backward() -> None:
    saves = {case.name: case.activation.saves for case in ELEMENTWISE if not case.parameters}
    assert saves["identity"] == "nothing"
    assert {n for n, kind in saves.items() if kind == "mask"} == {
        *("relu", "leaky_relu", "rrelu", "relu6", "hardtanh", "hardsigmoid"),
        *("threshold", "thresholded_relu", "hardshrink", "softshrink"),
    }


PUBLISHED = {
    # forward, backward; Poole et al. 2016 define them. ReLU: He et al. 2015.
    "relu": (1.4142, 1.4142),
    "elu": (1.2452, 1.2234),
    "gelu": (1.5335, 1.4811),
    "silu": (1.6765, 1.6233),
    "tanh": (1.5925, 1.4674),
    "squared_relu": (0.8165, 0.7071),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_gains(name: str) -> None:
    gain = Case(name).activation.gain()
    assert (round(gain.forward, 4), round(gain.backward, 4)) == PUBLISHED[name]


@pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
def test_gain_against_quadrature_of_the_textbook(case: Case) -> None:
    truth = TRUTHS[case.name]
    breaks = sorted({-30.0, -8.0, -3.0, 0.0, 3.0, 8.0, 30.0, *joints(case)})
    with mp.workdps(20):
        parameters = {n: mpf(v) for n, v in case.activation.arguments.items()}

        def root_of_moment(function: object) -> float:
            moment = mp.quad(
                lambda z: function(z, **parameters) ** 2 * mpmath.npdf(z),
                breaks,
                maxdegree=6,
            )
            return float(1 / mp.sqrt(moment))

        expected = Gain(root_of_moment(truth.value), root_of_moment(truth.derivative))
    gain = case.activation.gain()
    assert gain.forward == pytest.approx(expected.forward, rel=1e-9)
    assert gain.backward == pytest.approx(expected.backward, rel=1e-9)


def test_a_declaration_of_ones_own_has_facts_too() -> None:
    @activation(
        source="this test",
        derivative=lambda m, x: m.where(x > 2.0, 0.5, 0.0),
        kinks=[Kink(2.0, 0.0)],
    )
    def late_ramp(m: object, x: object) -> object:
        """Half of what exceeds 2."""
        return m.where(x > 2.0, 0.5 * x - 1.0, 0.0)

    assert late_ramp.limits == (0.0, INF) and late_ramp.derivative_limits == (0.0, 0.5)
    assert late_ramp.zero_region == (-INF, 2.0) and late_ramp.lipschitz == 0.5
    assert late_ramp.monotone == "increasing" and late_ramp.piecewise_linear
    assert late_ramp.summary == "Half of what exceeds 2."
