"""Plots on matplotlib axes: what is drawn, broken and marked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
import pytest

import relucid
from relucid.errors import MissingDependencyError, ParameterError, UnknownActivationError

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # after the choice of a backend


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


def lines(axes: Any) -> list[Any]:
    """The lines that are drawn as lines."""
    return [line for line in axes.lines if line.get_linestyle() != "None"]


def dots(axes: Any) -> dict[bool, set[tuple[float, float]]]:
    """The marked points, by whether they are filled."""
    found: dict[bool, set[tuple[float, float]]] = {True: set(), False: set()}
    for line in axes.lines:
        if line.get_linestyle() == "None":
            filled = line.get_markerfacecolor() == line.get_color()
            found[filled] |= set(zip(line.get_xdata(), line.get_ydata(), strict=True))
    return found


def test_it_draws_on_the_current_axes_and_returns_them() -> None:
    _, (_, right) = plt.subplots(1, 2)
    plt.sca(right)
    assert relucid.plot("relu", "elu") is right
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["relu", "elu"]


def test_it_draws_on_given_axes() -> None:
    _, (left, right) = plt.subplots(1, 2)
    assert relucid.plot("gelu", ax=left, span=(-1, 2)) is left
    assert not right.lines
    (line,) = left.lines
    x, y = line.get_data()
    assert (x[0], x[-1]) == (-1.0, 2.0)
    np.testing.assert_allclose(y, relucid.get("gelu")(x))


def test_a_continuous_function_is_one_line_without_dots() -> None:
    axes = relucid.plot("relu")
    assert len(lines(axes)) == 1
    assert dots(axes) == {True: set(), False: set()}


def test_a_derivative_that_jumps_is_broken_and_marked() -> None:
    axes = relucid.plot("relu", derivative=True)
    value, left, right = lines(axes)
    assert left.get_color() == value.get_color()
    assert left.get_linestyle() == right.get_linestyle() == "--"
    assert set(left.get_ydata()) == {0.0} and set(right.get_ydata()) == {1.0}
    assert dots(axes) == {True: {(0.0, 0.0)}, False: {(0.0, 1.0)}}


def test_the_dot_is_the_derivative_that_is_used() -> None:
    axes = relucid.plot(relucid.get("relu").at_kink(0.5), derivative=True)
    assert dots(axes) == {True: {(0.0, 0.5)}, False: {(0.0, 0.0), (0.0, 1.0)}}


def test_a_value_that_jumps_is_broken_and_marked() -> None:
    axes = relucid.plot("hardshrink")
    assert len(lines(axes)) == 3
    found = dots(axes)
    assert found[True] == {(-0.5, 0.0), (0.5, 0.0)}
    np.testing.assert_allclose(sorted(found[False]), [(-0.5, -0.5), (0.5, 0.5)])


def test_kinks_outside_the_span_are_not_drawn() -> None:
    assert dots(relucid.plot("relu", derivative=True, span=(1, 2))) == {True: set(), False: set()}


def test_the_label_has_the_parameters() -> None:
    axes = relucid.plot(relucid.get("elu", alpha=0.5), "swiglu")
    assert [t.get_text() for t in axes.get_legend().get_texts()] == [
        "elu, alpha=0.5",
        "swiglu gate",
    ]


def test_a_users_own_activation() -> None:
    @relucid.activation(source="a test")
    def kinked_for_the_plot(m: Any, x: Any) -> Any:
        return m.where(x > 1.0, 2.0 * x, x)

    axes = relucid.plot(kinked_for_the_plot, derivative=True)
    assert dots(axes)[True] == {(1.0, 1.0)}  # where x > 1 fails: the left piece


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    with pytest.raises(MissingDependencyError, match="pip install matplotlib"):
        relucid.plot("relu")


def test_wrong_use() -> None:
    with pytest.raises(ParameterError, match="whole vector"):
        relucid.plot("softmax")
    with pytest.raises(UnknownActivationError, match="did you mean"):
        relucid.plot("rellu")
    for span in ((2, 1), (0, float("inf")), (0, float("nan"))):
        with pytest.raises(ParameterError, match="span"):
            relucid.plot("relu", span=span)
