"""Derivatives that nobody declared: the catalogue's by every parameter, and users' formulas."""

from __future__ import annotations

import inspect
import math
import traceback
import types
from collections.abc import Callable
from itertools import count
from typing import Any

import mpmath
import numpy as np
import pytest
import torch

import relucid
from relucid.errors import DeclarationError
from relucid.functions import Elementwise, Kink, Parameter, get
from relucid.functions.libraries import numpy_words
from relucid.functions.symbolic.derived import derived_formula
from relucid.nn.words import torch_words
from support.cases import ELEMENTWISE, Case
from support.truth import PRECISION, TRUTHS

POINTS = (-30.0, -7.3, -2.9, -1.2, -0.45, -0.02, 0.03, 0.4, 1.7, 3.1, 8.5, 40.0)
_unused = count()


def snake(m: Any, x: Any, a: Any) -> Any:
    """Ziyin et al. 2020."""
    return x + m.sin(a * x) * m.sin(a * x) / a


def elish(m: Any, x: Any) -> Any:
    """Basirat and Roth 2018."""
    return m.where(x >= 0, x, m.expm1(m.minimum(x, 0.0))) / (1.0 + m.exp(-x))


def naive_softplus(m: Any, x: Any, beta: Any) -> Any:
    return m.log(1.0 + m.exp(beta * x)) / beta


def stable_softplus(m: Any, x: Any) -> Any:
    return m.maximum(x, 0.0) + m.log1p(m.exp(-m.abs(x)))


def bump(m: Any, x: Any) -> Any:
    return m.exp(-(x**2))


def ladder(m: Any, x: Any, low: Any, high: Any) -> Any:
    return m.where(x < -2.0, low * x, m.where(x < 1.0, x * x, m.where(x < 3.0, high * x, 9.0)))


def folded(m: Any, x: Any) -> Any:
    return m.abs(x) * m.tanh(m.abs(2.0 - x)) + m.hypot(x, 1.0) + m.arctan(x) * m.cos(x)


def naive_silu(m: Any, x: Any) -> Any:
    return x / (1.0 + m.exp(-x))


def erfs(m: Any, x: Any) -> Any:
    return x * m.erf(x) + m.erfc(x / 2.0) + m.sqrt(1.0 + x * x) - m.erfcx(m.abs(x)) * 0.5


USERS: dict[Callable[..., Any], dict[str, float]] = {
    snake: {"a": 0.7},
    elish: {},
    naive_softplus: {"beta": 1.3},
    stable_softplus: {},
    bump: {},
    ladder: {"low": 0.2, "high": 0.4},
    folded: {},
    naive_silu: {},
    erfs: {},
}


def declare(formula: Callable[..., Any], **options: Any) -> Elementwise:
    """Declare a formula under a name of its own."""
    formula.__name__ = (
        f"{formula.__name__.rpartition('_own')[0] or formula.__name__}_own{next(_unused)}"
    )
    return relucid.activation(source="a test", **options)(formula)


@pytest.mark.parametrize("variable", ["x", "parameters"])
@pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
def test_catalogue_by_every_argument_against_mpmath(case: Case, variable: str) -> None:
    activation = get(case.name, **case.parameters)
    assert isinstance(activation, Elementwise)
    arguments = activation.arguments
    x = np.array(POINTS)
    for name in ["x"] if variable == "x" else activation.parameters:
        expected = [_by_mpmath(case.name, name, point, arguments) for point in POINTS]
        derived = derived_formula(activation.formula, name)
        with np.errstate(all="ignore"):
            found = np.broadcast_to(derived(numpy_words(), x, **arguments), x.shape)
        np.testing.assert_allclose(found, expected, rtol=2e-9, atol=1e-14)
        tensor = torch.tensor(POINTS, dtype=torch.float64)
        of_torch = derived(torch_words(torch.float64), tensor, **arguments)
        torch.testing.assert_close(
            torch.as_tensor(of_torch, dtype=torch.float64).expand(len(x)),
            torch.tensor(expected, dtype=torch.float64),
            rtol=2e-9,
            atol=1e-14,
        )


@pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
def test_every_parameter_can_be_learned(case: Case) -> None:
    # Through the public call and autograd: declared partial derivatives and derived ones alike.
    x = torch.tensor(POINTS, dtype=torch.float64)
    arguments = case.activation.arguments
    for name, value in case.activation.parameters.items():
        learned = torch.tensor(value, dtype=torch.float64, requires_grad=True)
        get(case.name, **{**case.parameters, name: learned})(x).sum().backward()
        expected = sum(_by_mpmath(case.name, name, point, arguments) for point in POINTS)
        assert learned.grad is not None
        assert learned.grad.item() == pytest.approx(expected, rel=1e-8, abs=1e-12), name


def _by_mpmath(function: str, name: str, point: float, arguments: dict[str, float]) -> float:
    """Numerical differentiation, in high precision, of what the textbook says."""
    truth = TRUTHS[function].value
    with mpmath.workprec(PRECISION):
        exact = {n: mpmath.mpf(v) for n, v in arguments.items()}
        if name == "x":
            return float(mpmath.diff(lambda v: truth(v, **exact), mpmath.mpf(point)))
        if not math.isfinite(arguments[name]):
            return 0.0  # a switch that is never reached
        return float(
            mpmath.diff(lambda v: truth(mpmath.mpf(point), **{**exact, name: v}), exact[name])
        )


@pytest.mark.parametrize("formula", USERS, ids=lambda f: f.__name__)
def test_users_formulas_against_torch_autograd(formula: Callable[..., Any]) -> None:
    words = torch_words(torch.float64)
    for name in ("x", *USERS[formula]):
        x = torch.tensor([p for p in POINTS if abs(p) < 20], dtype=torch.float64)
        values = {n: torch.full_like(x, v) for n, v in USERS[formula].items()}
        leaves = {"x": x, **values}
        leaves[name].requires_grad_()
        formula(words, **leaves).sum().backward()
        derived = derived_formula(formula, name)
        found = derived(words, x.detach(), **{n: v.detach() for n, v in values.items()})
        expected = leaves[name].grad
        assert expected is not None
        torch.testing.assert_close(found.expand(len(x)), expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("formula", USERS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("far", [1e3, 1e10, 1e30, math.inf])
def test_tails_are_not_nan(formula: Callable[..., Any], far: float) -> None:
    if formula in (snake, folded) and math.isinf(far):
        pytest.skip("a wave has no limit")
    derived = derived_formula(formula, "x")
    for dtype in (torch.float32, torch.float64):
        x = torch.tensor([-far, far], dtype=dtype)
        assert not derived(torch_words(dtype), x, **USERS[formula]).isnan().any()


def test_faded_products_have_their_limit() -> None:
    x = np.array([-np.inf, -1e200, -800.0, 800.0, 1e200, np.inf])
    with np.errstate(all="ignore"):
        assert derived_formula(bump, "x")(numpy_words(), x).tolist() == [0.0] * 6
        slopes = derived_formula(naive_silu, "x")(numpy_words(), x)
    assert slopes.tolist() == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]


def test_where_smooth_pieces_meet_the_derivative_is_theirs() -> None:
    # Written with abs and maximum, whose own derivatives jump at 0; softplus' does not.
    derived = derived_formula(stable_softplus, "x")
    assert derived(numpy_words(), np.array([0.0])).tolist() == [0.5]


@pytest.mark.parametrize(
    ("formula", "at", "slope"),
    [
        (lambda m, x: m.maximum(x, 0.0), 0.0, 0.0),
        (lambda m, x: m.where(x >= 0, x, 0.0), 0.0, 0.0),
        (lambda m, x: m.where(0.0 < x, x, 0.0), 0.0, 0.0),
        (lambda m, x: m.minimum(-x, 0.0), 0.0, 0.0),
        (lambda m, x: m.abs(x - 1.0), 1.0, -1.0),
        (lambda m, x: x * m.sign(x), 0.0, -1.0),
        (lambda m, x: m.where((x > -1.0) & (x < 1.0), x, 0.0), 1.0, 1.0),
    ],
)
def test_at_a_kink_the_left_slope_is_taken(formula: Any, at: float, slope: float) -> None:
    assert derived_formula(formula, "x")(numpy_words(), np.array([at])).tolist() == [slope]


def test_kinks_and_seams_that_were_not_declared_are_found() -> None:
    def bent(m: Any, x: Any, width: Any) -> Any:
        return m.where(x > width, x, m.where(x < 0.0, -x * x, 0.0))

    own = declare(bent, parameters={"width": Parameter(1.0)})
    assert own.kinks == (Kink(1.0, 0.0),)
    assert own.with_parameters(width=3.0).kinks == (Kink(3.0, 0.0),)
    assert own.with_parameters(width=torch.tensor(2.0)).kinks == (Kink(2.0, 0.0),)
    assert own.with_parameters(width=torch.ones(3)).kinks == ()
    assert own.seams == (0.0,)
    assert own.smoothness == -1


def test_a_declared_kink_says_what_the_derivative_is_there() -> None:
    own = declare(lambda m, x: m.maximum(x, 0.0), kinks=[Kink(0.0, 0.5)])
    assert own.derivative(np.array([-1.0, 0.0, 1.0])).tolist() == [0.0, 0.5, 1.0]
    x = torch.zeros(1, requires_grad=True)
    own(x).backward()
    assert x.grad is not None and x.grad.item() == 0.5


# No kernel speaks sin and cos: snake runs in plain operations, and says so.
@pytest.mark.filterwarnings("ignore:snake:relucid.errors.KernelWarning")
@pytest.mark.parametrize("formula", [snake, elish, bump, stable_softplus], ids=lambda f: f.__name__)
def test_declared_by_users_differentiates_twice_and_by_parameters(formula: Any) -> None:
    parameters = {n: Parameter(v) for n, v in USERS[formula].items()}
    names = tuple(parameters)
    own = declare(_copy(formula), parameters=parameters)
    x = torch.tensor([-1.5, -0.3, 0.4, 2.0], dtype=torch.float64, requires_grad=True)
    values = [
        torch.tensor(USERS[formula][n], dtype=torch.float64, requires_grad=True) for n in names
    ]

    def run(x: torch.Tensor, *values: torch.Tensor) -> Any:
        return own(x, **dict(zip(names, values, strict=True)))

    assert torch.autograd.gradcheck(run, (x, *values))
    assert torch.autograd.gradgradcheck(run, (x, *values))


def _copy(formula: Any) -> Any:
    """The same function under a name that can be declared anew."""
    return types.FunctionType(formula.__code__, formula.__globals__, formula.__name__)


def test_torch_compile_follows_the_generated_source() -> None:
    derived = derived_formula(snake, "x")
    words = torch_words(torch.float64)
    compiled = torch.compile(lambda x: derived(words, x, a=0.7), fullgraph=True, backend="eager")
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    torch.testing.assert_close(compiled(x), derived(words, x, a=0.7))


def test_the_generated_source_is_readable_and_shown_in_tracebacks() -> None:
    derived = derived_formula(bump, "x")
    source = inspect.getsource(derived)
    assert source.startswith("def bump_by_x(m, x):")
    assert "m.exp(" in source
    with pytest.raises(AttributeError) as caught:
        derived(object(), 1.0)
    assert "m.exp(" in "".join(traceback.format_exception(caught.value))


def by_branch(m: Any, x: Any) -> Any:
    if x > 0:
        return x
    return 0.0


@pytest.mark.parametrize(
    "formula",
    [
        by_branch,
        lambda m, x: float(x) * 2.0,
        lambda m, x: math.exp(x),
        lambda m, x: np.exp(x),
        lambda m, x: torch.exp(x),
        lambda m, x: max(x, 0.0),
        lambda m, x: m.softplus(x),
        lambda m, x: x.clamp(0.0),
        lambda m, x: None,
    ],
)
def test_what_is_not_symbolic_is_refused_with_place_and_cure(formula: Any) -> None:
    with pytest.raises(DeclarationError) as caught:
        derived_formula(formula, "x")
    message = str(caught.value)
    assert formula.__name__ in message
    assert "test_derived.py:" in message
    assert "derivative=" in message


def test_the_line_named_is_the_one_at_fault() -> None:
    with pytest.raises(DeclarationError, match=f"test_derived.py:{_line_of(by_branch, 'if x')}"):
        derived_formula(by_branch, "x")


def _line_of(function: Any, text: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(lines) if text in line)


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(DeclarationError, match="no argument 'beta'"):
        derived_formula(bump, "beta")


def test_a_derivative_is_derived_when_declared_so_mistakes_show_at_once() -> None:
    with pytest.raises(DeclarationError, match="derivative="):
        declare(lambda m, x: float(x))
