"""Sick and healthy networks on real digits, each for any seed, and what is to be found in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from relucid.diagnose import diagnose
from relucid.probes import observe, watch
from relucid.records import Finding, Observation, Severity
from support.networks import (
    LOSS,
    Batches,
    Residual,
    Transformer,
    cnn,
    digits,
    mlp,
    train,
    with_gain,
)

Place = tuple[str, str | None]
"""A rule and the site, or module, that it names."""
Adam = torch.optim.Adam


@dataclass(frozen=True)
class Patient:
    """A network with its data, and what is to be found in it."""

    model: nn.Module
    data: Batches
    planted: frozenset[Place] = frozenset()
    """Findings that must be there."""
    allowed: frozenset[Place] = frozenset()
    """Further illnesses that the planted one may bring."""
    one_of: tuple[str, ...] = ()
    """Rules of which at least one must speak, where training decides which."""
    consequences: tuple[str, ...] = ()
    """Rules that may speak besides."""
    units: tuple[int, ...] | None = None
    watched: Observation | None = None
    """What was seen during training, where that is to be diagnosed."""

    def complaints(self) -> list[str]:
        """What is missing or too much in the diagnosis; empty where it is right."""
        found = diagnose(self.watched or observe(self.model, self.data, LOSS))
        loud = [f for f in found if f.severity in (Severity.ILL, Severity.TIP)]
        wrong = [f"missed {place}" for place in self.planted - {(f.rule, f.site) for f in loud}]
        if self.one_of and not any(_ill(f) and f.rule in self.one_of for f in loud):
            wrong.append(f"missed {' or '.join(self.one_of)}")
        wrong += [f"{f.rule} at {f.site}: {f.title}" for f in loud if _ill(f) and self._too_much(f)]
        if self.units is not None:
            named = [f.units for f in loud if (f.rule, f.site) in self.planted]
            wrong += [f"named units {units}" for units in named if units != self.units]
        return wrong

    def _too_much(self, finding: Finding) -> bool:
        place = (finding.rule, finding.site)
        expected = self.planted | self.allowed
        return place not in expected and finding.rule not in (*self.one_of, *self.consequences)


def _ill(finding: Finding) -> bool:
    return finding.severity is Severity.ILL


def _at(rule: str, *sites: str | None) -> frozenset[Place]:
    return frozenset((rule, site) for site in sites)


def _hidden(seed: int, depth: int) -> int:
    """Index of a linear layer of :func:`~support.networks.mlp`, another for each seed."""
    return 1 + 2 * (1 + seed % (depth - 1))


def bias_far_below_zero(seed: int) -> Patient:
    """One layer of a trained network, dead by its bias."""
    kind = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.GELU)[seed % 4]
    model = train(mlp(kind, depth=4, seed=seed), digits(seed=seed), 1e-3, 2, Adam)
    layer = _hidden(seed, 4)
    nn.init.constant_(model[layer].bias, -1e3)
    return Patient(model, digits(600, seed=seed), _at("dead_layer", str(layer + 1)))


def dead_channels(seed: int) -> Patient:
    """More than half of a convolution's channels, dead by their bias."""
    model = train(cnn(seed % 2 == 0, seed=seed), digits(300, seed=seed), 0.05, 1)
    planted = torch.randperm(32, generator=torch.Generator().manual_seed(seed))[:17].sort().values
    with torch.no_grad():
        model[4 if seed % 2 == 0 else 3].bias[planted] = -1e3
    units = tuple(planted.tolist())
    return Patient(model, digits(600, seed=seed), _at("dead_units", "5"), units=units)


def rate_too_high(seed: int) -> Patient:
    """SGD at a rate of 10, where 0.1 is well."""
    model = train(mlp(seed=seed), digits(seed=seed), 10.0, 2)
    return Patient(
        model,
        digits(seed=seed),
        one_of=("dead_units", "dead_layer", "nonfinite"),
        consequences=("vanishing_gradients",),
    )


def rate_too_high_convolutions(seed: int) -> Patient:
    """SGD at a rate of 10 on a convolutional network, where 0.1 is well; weights may grow huge."""
    model = train(cnn(False, seed=seed), digits(seed=seed), 10.0, 1)
    return Patient(
        model,
        digits(seed=seed),
        one_of=("dead_units", "dead_layer", "nonfinite"),
        consequences=("vanishing_gradients", "wrong_gain"),
    )


def watched_rate_too_high(seed: int) -> Patient:
    """Adam at a rate of 0.1, where 0.002 is well, diagnosed by what was seen in training."""
    model, data = mlp(seed=seed), digits(seed=seed)
    with watch(model) as probe:
        train(model, data, 0.1, 4, Adam)
    return Patient(
        model,
        data,
        one_of=("dying",),
        consequences=("dead_units", "dead_layer", "saturation", "vanishing_gradients"),
        watched=probe.records(),
    )


def sigmoid_20_deep(seed: int) -> Patient:
    """PyTorch's default start on even seeds, else weights of gain 1."""
    model: nn.Module = mlp(nn.Sigmoid, depth=20, seed=seed)
    model = with_gain(model, 1.0) if seed % 2 else model
    return Patient(model, digits(600, seed=seed), _at("vanishing_gradients", "2"))


def zero_weights(seed: int) -> Patient:
    """All weights and biases 0: each layer is named; of ReLUs the first layer is dead too."""
    activation = (nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU)[seed % 4]
    model = mlp(activation, seed=seed)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    dead = _at("dead_layer", "2") if activation is nn.ReLU else frozenset()
    planted = _at("wrong_gain", "2", "4", "6") | dead
    return Patient(model, digits(600, seed=seed), planted)


def zero_weights_in_one_layer(seed: int) -> Patient:
    """One layer of zeros, its biases left."""
    model, layer = mlp(depth=4, seed=seed), _hidden(seed, 4)
    nn.init.zeros_(model[layer].weight)
    return Patient(model, digits(600, seed=seed), _at("wrong_gain", str(layer + 1)))


def pixels_to_255(seed: int) -> Patient:
    """Inputs in 0 to 255; of tanh the first layer saturates by it."""
    build = (mlp, lambda seed: cnn(False, seed=seed), lambda seed: mlp(nn.Tanh, seed=seed))
    model = build[seed % 3](seed=seed)
    caused = _at("saturation", "2") if seed % 3 == 2 else frozenset()
    data = digits(600, full_range=True, seed=seed)
    return Patient(model, data, _at("input_scale", "2") | caused)


class _Logarithm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.log()


def nan_in_one_layer(seed: int) -> Patient:
    """The logarithm of negative numbers, between two layers."""
    model, place = mlp((nn.ReLU, nn.GELU, nn.Tanh)[seed % 3], depth=4, seed=seed), _hidden(seed, 4)
    model.insert(place, _Logarithm())
    if seed % 3 == 0:  # the logarithm of ReLU's zeros is infinite, and infinity less itself is NaN
        model[place - 1] = nn.LeakyReLU()
    return Patient(model, digits(600, seed=seed), _at("nonfinite", str(place)))


def weights_too_small(seed: int) -> Patient:
    """20 ReLU layers from PyTorch's default start: signal and gradient fade."""
    planted = _at("wrong_gain", "40") | _at("vanishing_gradients", "2")
    return Patient(mlp(depth=20, seed=seed), digits(600, seed=seed), planted)


def weights_too_large(seed: int) -> Patient:
    """Three times the right gain: signal and gradient grow."""
    planted = _at("wrong_gain", "40") | _at("exploding_gradients", "2")
    return Patient(with_gain(mlp(depth=20, seed=seed), 4.0), digits(600, seed=seed), planted)


def always_on(seed: int) -> Patient:
    """One layer of a trained network, linear by its bias."""
    model, layer = train(mlp(depth=4, seed=seed), digits(seed=seed), 1e-3, 2, Adam), 3
    nn.init.constant_(model[layer].bias, 1e3)
    return Patient(model, digits(600, seed=seed), _at("always_on", str(layer + 1)))


def saturated(seed: int) -> Patient:
    """One layer of tanh or sigmoid, at its bound."""
    model, layer = mlp((nn.Tanh, nn.Sigmoid)[seed % 2], depth=4, seed=seed), _hidden(seed, 3)
    nn.init.constant_(model[layer].bias, 1e3)
    return Patient(model, digits(600, seed=seed), _at("saturation", str(layer + 1)))


def stream_that_doubles(seed: int) -> Patient:
    """Residual blocks at He et al.'s gain, with nothing to normalise them."""
    model = with_gain(Residual(blocks=20, seed=seed), 2**0.5)
    return Patient(model, digits(600, seed=seed), _at("variance_drift", "relu#41"),
                   consequences=("exploding_gradients",))  # fmt: skip


def relu_after_relu(seed: int) -> Patient:
    """A second ReLU behind the first, in some networks with pooling between them."""
    model = train(mlp(depth=4, seed=seed), digits(seed=seed), 1e-3, 2, Adam)
    place = _hidden(seed, 4) + 2
    model.insert(place, nn.ReLU())
    return Patient(model, digits(600, seed=seed), _at("idle_activation", str(place)))


class _Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, 64) for _ in range(3)])
        self.act, self.head = nn.PReLU(), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers:
            x = self.act(layer(x))
        out: Tensor = self.head(x)
        return out


def shared_slope(seed: int) -> Patient:
    """One PReLU behind three layers."""
    torch.manual_seed(seed)
    model = train(_Shared(), digits(seed=seed), 1e-3, 2, Adam)
    return Patient(model, digits(600, seed=seed), _at("shared_activation", "act"))


class _Difference(nn.Module):
    """Adds a large number and takes it off again, as a badly ordered sum does."""

    def forward(self, x: Tensor) -> Tensor:
        return (x + 10.0) - 10.0


def rounded_to_the_kink(seed: int) -> Patient:
    """In bfloat16, z is the difference of numbers near 10, which lie 1/16 apart."""
    model, layer = mlp(depth=4, seed=seed), _hidden(seed, 4)
    train(model, digits(seed=seed), 1e-3, 2, Adam)
    model[layer] = nn.Sequential(model[layer], _Difference())
    data = [(images.bfloat16(), labels) for images, labels in digits(600, seed=seed)]
    return Patient(model.bfloat16(), data, _at("kink_hits", str(layer + 1)))


SICK: dict[str, Callable[[int], Patient]] = {
    "bias far below zero": bias_far_below_zero,
    "17 of 32 channels dead": dead_channels,
    "learning rate 100 times too high": rate_too_high,
    "the same, convolutions": rate_too_high_convolutions,
    "the same, watched in training": watched_rate_too_high,
    "sigmoid, 20 deep": sigmoid_20_deep,
    "zero initial weights": zero_weights,
    "zero weights in one layer": zero_weights_in_one_layer,
    "inputs in 0 to 255": pixels_to_255,
    "NaN born in one layer": nan_in_one_layer,
    "weights too small, 20 deep": weights_too_small,
    "weights too large, 20 deep": weights_too_large,
    "bias far above zero": always_on,
    "saturated layer": saturated,
    "residual stream that doubles": stream_that_doubles,
    "ReLU after ReLU": relu_after_relu,
    "one PReLU for three layers": shared_slope,
    "rounded to the kink, bfloat16": rounded_to_the_kink,
}

_MODULES = {"ReLU": nn.ReLU, "GELU": nn.GELU, "SiLU": nn.SiLU, "ELU": nn.ELU, "tanh": nn.Tanh}
_CALLS = {
    "ReLU": torch.relu,
    "GELU": functional.gelu,
    "SiLU": functional.silu,
    "ELU": functional.elu,
    "tanh": torch.tanh,
}
_Build = Callable[[int], nn.Module]


def _builders() -> dict[str, tuple[_Build, float, int]]:
    """Each healthy network with its learning rate and its epochs of Adam."""
    found: dict[str, tuple[_Build, float, int]] = {}
    for name, kind in _MODULES.items():
        call = _CALLS[name]
        found |= {
            f"MLP, {name}": (lambda s, k=kind: mlp(k, seed=s), 2e-3, 8),
            f"CNN, {name}": (lambda s, k=kind: cnn(False, k, s), 1e-3, 6),
            f"CNN, batch norm, {name}": (lambda s, k=kind: cnn(True, k, s), 3e-3, 2),
            f"residual, {name}": (lambda s, c=call: Residual(8, activation=c, seed=s), 1e-3, 3),
            f"transformer, {name}": (lambda s, c=call: Transformer(c, seed=s), 3e-3, 3),
            f"post-norm transformer, {name}": (lambda s, c=call: Transformer(c, False, s), 3e-3, 3),
        }
    return found


HEALTHY = _builders()


def healthy(name: str, seed: int) -> dict[str, Patient]:
    """Return a network that is well: at its start, while it is trained, and trained."""
    build, rate, epochs = HEALTHY[name]
    model, data = build(seed), digits(1000, seed=seed)
    with watch(model) as probe:
        train(model, data, rate, epochs, Adam)
    return {
        "at the start": Patient(build(seed), data),
        "in training": Patient(model, data, watched=probe.records()),
        "trained": Patient(model, data),
    }
