"""Drawing activation functions on matplotlib axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relucid.errors import MissingDependencyError, ParameterError
from relucid.functions import Elementwise, TwoInput, get

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relucid.functions.curves import Graph


def plot(
    *activations: Any,
    derivative: bool = False,
    ax: Axes | None = None,
    span: tuple[float, float] = (-4.0, 4.0),
) -> Axes:
    """Draw activations, and their derivatives (dashed) if asked, and return the axes.

    Lines break where a function or derivative jumps. A dot marks what it is exactly there, a
    ring a one-sided limit that it does not take.

    Args:
        activations: names, classes, instances or activations, as :func:`relucid.get` takes them.
            Of a two-input activation its gate's function is drawn.
        derivative: also draw each derivative, dashed in the same colour.
        ax: axes to draw on; the current ones where it is left out, as matplotlib's own functions
            do.
        span: the least and greatest x.

    Raises:
        MissingDependencyError: without matplotlib.
        ParameterError: for a span that is no interval, or a function of a whole vector, which
            has no graph.

    """
    from relucid.functions.curves import graph

    low, high = map(float, span)
    if not low < high < float("inf") or low == -float("inf"):
        raise ParameterError(f"span must be two numbers, the lesser first, and is {span!r}")
    chosen = [_drawable(get(activation)) for activation in activations]
    axes = _current_axes() if ax is None else ax
    for label, activation in chosen:
        line = _draw(axes, graph(activation, (low, high)), label)
        if derivative:
            slopes = graph(activation, (low, high), derivative=True)
            _draw(axes, slopes, f"{label} derivative", color=line.get_color(), linestyle="--")
    if chosen:
        axes.legend()
    return axes


def _drawable(activation: Any) -> tuple[str, Elementwise]:
    label = activation.name + "".join(f", {n}={v:g}" for n, v in activation.changed.items())
    if isinstance(activation, TwoInput):
        return f"{label} gate", activation.gate
    if not isinstance(activation, Elementwise):
        raise ParameterError(
            f"{activation.name} is a function of a whole vector and has no graph; plot elementwise "
            "functions"
        )
    return label, activation


def _current_axes() -> Axes:
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "relucid.plot draws with matplotlib, which is not installed: pip install matplotlib"
        ) from error
    return pyplot.gca()


def _draw(axes: Axes, drawn: Graph, label: str, **style: Any) -> Any:
    first, *others = drawn.pieces
    (line,) = axes.plot(*first, label=label, **style)
    colour: Any = line.get_color()
    for piece in others:
        axes.plot(*piece, label="_nolegend_", color=colour, linestyle=line.get_linestyle())
    for points, face in ((drawn.filled, colour), (drawn.open, axes.get_facecolor())):
        if points:
            x, y = zip(*points, strict=True)
            dots: Any = {"color": colour, "markerfacecolor": face, "markersize": 5, "zorder": 3}
            axes.plot(x, y, "o", **dots)
    return line
