"""One case table for all property tests: every catalogue function, at its defaults and others.

A new activation adds its row here; ``test_cases.py`` fails until it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from relucid.functions import Activation, get


@dataclass(frozen=True)
class Case:
    """A catalogue function with values for its parameters."""

    name: str
    parameters: Mapping[str, float] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The name under which pytest lists it: ``elu-alpha=0.5``."""
        return "-".join([self.name, *(f"{n}={v:g}" for n, v in self.parameters.items())])

    @property
    def activation(self) -> Activation:
        return get(self.name, **self.parameters)


def _cases(name: str, *variants: dict[str, float]) -> list[Case]:
    return [Case(name), *(Case(name, variant) for variant in variants)]


ELEMENTWISE: tuple[Case, ...] = (
    *_cases("identity"),
    *_cases("relu"),
    *_cases("leaky_relu", {"negative_slope": 0.125}, {"negative_slope": 0.0}),
    *_cases("prelu", {"negative_slope": -0.5}),
    *_cases("rrelu", {"lower": 0.1, "upper": 0.3}),
    *_cases("relu6"),
    *_cases("hardtanh", {"min_val": -2.0, "max_val": 0.5}),
    *_cases("hardsigmoid", {"shift": 2.5, "width": 5.0}),
    *_cases("threshold", {"threshold": 0.1, "value": 20.0}),
    *_cases("thresholded_relu", {"threshold": 0.3}),
    *_cases("hardshrink", {"lambd": 1.5}, {"lambd": 0.0}),
    *_cases("softshrink", {"lambd": 0.1}, {"lambd": 0.0}),
    *_cases("squared_relu"),
    *_cases("elu", {"alpha": 0.5}, {"alpha": -1.5}),
    *_cases("selu"),
    *_cases("celu", {"alpha": 0.3}, {"alpha": 2.0}),
    *_cases("softplus", {"beta": 0.7}, {"beta": 10.0, "threshold": 20.0}),
    *_cases("squareplus", {"b": 0.01}),
    *_cases("logsigmoid"),
    *_cases("sigmoid"),
    *_cases("tanh"),
    *_cases("softsign"),
    *_cases("tanhshrink"),
    *_cases("penalized_tanh", {"slope": 0.1}),
    *_cases("arctan"),
    *_cases("silu", {"beta": 0.3}, {"beta": -2.0}),
    *_cases("gelu"),
    *_cases("gelu_tanh"),
    *_cases("quick_gelu"),
    *_cases("mish"),
    *_cases("hardswish"),
)
TWO_INPUT: tuple[Case, ...] = tuple(map(Case, ("glu", "reglu", "geglu", "swiglu")))
VECTOR: tuple[Case, ...] = (
    *map(Case, ("softmax", "log_softmax", "softmin", "hardmax")),
    *_cases("maxout", {"pieces": 3.0}),
)
CASES: tuple[Case, ...] = ELEMENTWISE + TWO_INPUT + VECTOR
