"""Realistic records with invented numbers, for every test that reads records."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from relucid.records import (
    Birth,
    Checkup,
    Finding,
    GradientRecord,
    Histogram,
    Layer,
    Observation,
    Prescription,
    Severity,
    Site,
    SiteRecord,
    Unobserved,
)

SAMPLES = 1797
VERSIONS = {"relucid": "0.1.0", "torch": "2.13.0", "python": "3.11.2"}
HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m\x07\u202e\"'[bold]{{ 7*7 }}"
"""A name that tries HTML, a terminal, Rich markup and a template at once."""


def histogram(
    mean: float = 0.0, deviation: float = 1.0, total: int = 100_000, activation: str = "relu"
) -> Histogram:
    """Return the histogram of a normal z."""
    edges = np.linspace(-8.0, 8.0, 129)
    centres = (edges[1:] + edges[:-1]) / 2
    density = np.exp(-((centres - mean) ** 2) / (2 * deviation**2))
    counts = (total * density / density.sum()).astype(np.int64)
    curves = {
        "relu": np.maximum(edges, 0.0),
        "tanh": np.tanh(edges),
        "sigmoid": 1 / (1 + np.exp(-edges)),
        "gelu": edges * np.array([0.5 * (1 + math.erf(e / math.sqrt(2))) for e in edges]),
    }
    curve = curves.get(activation, np.array([]))
    return Histogram(edges, counts, below=3, above=2, curve=curve)


def gradient(units: int, rms: float) -> GradientRecord:
    """Return the gradient of a site, equal for all units."""
    return GradientRecord(29, np.full(units, rms * SAMPLES), rms, 0)


def site_record(
    name: str = "relu",
    *,
    units: int = 32,
    order: int = 0,
    dead: Sequence[int] = (),
    always_on: Sequence[int] = (),
    activation: str = "relu",
    positions: int = 1,
    gradient_rms: float | None = 2e-3,
    centre: float = 0.4,
    layer: str | None = None,
    saturation: float = 0.0,
    seed: int = 0,
    **site: object,
) -> SiteRecord:
    """Return one site. ``centre`` is the mean fire rate of the units that live."""
    random = np.random.default_rng(seed + order)
    elements = SAMPLES * positions
    rates = np.clip(random.beta(6 * centre, 6 * (1 - centre), units), 0.004, 0.996)
    fired = (rates * elements).astype(np.int64)
    fired[list(dead)] = 0
    fired[list(always_on)] = elements
    zeros = elements - fired if activation == "relu" else np.zeros(units, np.int64)
    shape = (units,) if positions == 1 else (units, math.isqrt(positions), math.isqrt(positions))
    fields: dict[str, object] = {
        "name": name, "activation": activation, "parameters": {}, "kind": "module",
        "module": name, "source": None, "order": order, "units": units,
        "unit_axis": 1, "shape": shape,
    }  # fmt: skip
    return SiteRecord(
        site=Site(**(fields | site)),  # the fields of this very class
        samples=SAMPLES,
        elements=elements,
        fired=fired,
        fired_samples=np.minimum(fired, SAMPLES),
        zeros=zeros,
        saturated=np.full(units, int(saturation * elements), np.int64) + zeros,
        mean=random.normal(-0.2, 0.4, units),
        variance=random.gamma(4.0, 0.25, units),
        magnitude=random.gamma(2.0, 0.3, units),
        kink_hits=0,
        nonfinite_in=0,
        nonfinite_out=0,
        dtype="float32",
        histogram=histogram(centre - 0.5, total=elements * units, activation=activation),
        layer=Layer(layer, "Linear", 64, 0.176, -0.02, None) if layer else None,
        gradient=None if gradient_rms is None else gradient(units, gradient_rms),
    )


def softmax_record(order: int = 3) -> SiteRecord:
    """Return a site of a function of a vector, where units are not counted."""
    none, empty = np.zeros(0, np.int64), np.zeros(0)
    site = Site("softmax", "softmax", {}, "function", "", "net.py:31", order, 0, -1, (10,))
    return SiteRecord(
        site, SAMPLES, SAMPLES * 10, none, none, none, none, empty, empty, empty,
        0, 0, 0, "float32", None, None, GradientRecord(29, empty, 4e-3, 0),
    )  # fmt: skip


def well(rule: str, title: str, site: str | None = None) -> Finding:
    """Return a finding that all is well."""
    return Finding(rule, Severity.WELL, title, "Nothing to do here.", site, n=SAMPLES)


def dead_finding(site: str, units: Sequence[int], of: int) -> Finding:
    """Return the finding of dead units at a site."""
    return Finding(
        rule="dead_units",
        severity=Severity.ILL,
        title=f"{len(units)} of {of} units are dead",
        meaning="These units output 0 for every sample, so they add nothing to the network "
        "and no gradient reaches their weights: they cannot recover by training.",
        site=site,
        units=tuple(units),
        measured=len(units) / of,
        threshold=0.05,
        quantity="share of dead units",
        n=SAMPLES,
        confidence="true fire rate below 0.17% at 95%",
        prescriptions=(
            Prescription(
                "Train again with a learning rate 10 times smaller: large steps push units "
                "below zero for good.",
                "optimizer = torch.optim.SGD(model.parameters(), lr=0.01)",
                "lower_rate",
            ),
            Prescription(
                "Use a function with a slope on both sides, so that gradients reach units below "
                "zero.",
                'relucid.swap(model, "relu", to="leaky_relu")',
            ),
        ),
    )


def healthy() -> Checkup:
    """Return a multilayer perceptron in good health."""
    sites = tuple(
        site_record(f"relu{i + 1}", order=i, units=u, gradient_rms=g, layer=f"fc{i + 1}")
        for i, (u, g) in enumerate([(64, 1.1e-3), (64, 1.4e-3), (32, 1.9e-3)])
    )
    findings = (
        *(well("dead_units", "No unit is dead", s.site.name) for s in sites),
        *(well("always_on", "No unit is always on", s.site.name) for s in sites),
        well("vanishing_gradients", "Gradients keep their size over depth"),
        Finding(
            "zeros_worth_exploiting", Severity.TIP, "62% of outputs are exactly zero",
            "Work on zeros can be skipped, which makes inference faster.", "relu2",
            measured=0.62, threshold=0.5, quantity="share of zero outputs", n=SAMPLES,
            prescriptions=(Prescription("Skip the zeros.", "relucid.accelerate(model)"),),
        ),
        Finding("saturation", Severity.NOT_APPLICABLE, "ReLU does not saturate above zero",
                "Saturation is asked only of functions with flat tails."),
    )  # fmt: skip
    observation = Observation("MLP", 8970, "eval", 29, SAMPLES, 0.081, sites, versions=VERSIONS)
    return Checkup("Trained well", "1,797 handwritten digits, 8×8 pixels", observation, findings,
                   "Trained for 20 epochs with Adam at a learning rate of 0.001.")  # fmt: skip


def sick() -> Checkup:
    """Return the same perceptron after a learning rate that killed units."""
    sites = (
        site_record("relu1", order=0, units=64, dead=range(17), always_on=[40], layer="fc1",
                    gradient_rms=3e-7, seed=5),
        site_record("relu2", order=1, units=64, dead=range(3, 63), layer="fc2", gradient_rms=2e-5),
        site_record("relu3", order=2, units=32, dead=[9], layer="fc3", gradient_rms=4e-3),
        softmax_record(),
    )  # fmt: skip
    findings = (
        dead_finding("relu1", range(17), 64),
        dead_finding("relu2", range(3, 63), 64),
        Finding(
            "vanishing_gradients", Severity.ILL, "Gradients fade towards the input",
            "The first layers receive a signal thousands of times weaker than the last and "
            "hardly learn.", None, measured=7.5e-5, threshold=1e-3,
            quantity="first over last gradient rms", n=SAMPLES,
            prescriptions=(Prescription("Start from weights scaled for the activation.",
                                        "relucid.nn.init_(model)"),),
        ),
        Finding("always_on", Severity.TIP, "1 of 64 units is always on",
                "A unit that always fires is linear on these data.", "relu1", (40,),
                1 / 64, 0.01, "share of always-on units", SAMPLES, "true fire rate above 99.8%"),
        Finding("unobserved_sites", Severity.UNOBSERVED, "1 activation could not be counted",
                "What was not seen is not known to be well.", None),
        well("dead_units", "1 of 32 units is dead, below the threshold", "relu3"),
    )  # fmt: skip
    return Checkup(
        "Learning rate too high", "1,797 handwritten digits, 8×8 pixels",
        Observation("MLP", 8970, "eval", 29, SAMPLES, 2.301, sites,
                    (Unobserved("encoder.fused", "a fused kernel bypasses hooks and functions"),),
                    versions=VERSIONS),
        findings, "Trained for 20 epochs with SGD at a learning rate of 1, 100 times too high.",
    )  # fmt: skip


def convolutional(gradients: bool = False) -> Checkup:
    """Return a convolutional network with 17 dead channels, and no gradients unless asked."""
    rms = 1e-3 if gradients else None
    sites = (
        site_record("features.1", units=32, dead=range(17), positions=64, gradient_rms=rms,
                    layer="features.0"),
        site_record("features.4#2", order=1, units=64, positions=16, activation="gelu",
                    gradient_rms=rms, kind="function", source="net.py:18",
                    parameters={"approximate": 1.0}),
        site_record("head.act", order=2, units=3000, dead=[7], always_on=[2999],
                    gradient_rms=rms),
    )  # fmt: skip
    findings = (dead_finding("features.1", range(17), 32),)
    observation = Observation("ConvNet", 93_322, "eval", 29, SAMPLES, None, sites)
    return Checkup("A convolutional network", "digits", observation, findings)


def with_births() -> Checkup:
    """Return a network in which NaN was born."""
    births = (
        Birth("block.norm", "div", "nan", "net.py:44", 3),
        Birth("head", "exp", "inf", None, 7, "backward"),
    )
    finding = Finding("nonfinite", Severity.ILL, "NaN was born in block.norm", "A division by 0.",
                      measured=math.nan, quantity="loss", n=SAMPLES)  # fmt: skip
    record = site_record("block.act", gradient_rms=math.nan, units=8, activation="tanh")
    observation = Observation("Net", 100, "train", 8, 256, math.nan, (record,), births=births)
    return Checkup("Half precision", "256 samples", observation, (finding,))


def hostile(text: str = HOSTILE) -> Checkup:
    """Return a checkup whose every text is ``text``."""
    site = site_record(text, units=4, dead=[0], activation=text, module=text,
                       source=text, parameters={text: 1.0}, layer=text)  # fmt: skip
    finding = Finding(text, Severity.ILL, text, text, text, (0,), 0.25, 0.05, text,
                      SAMPLES, text, (Prescription(text, text, text),))  # fmt: skip
    quiet = Finding(text, Severity.NOT_APPLICABLE, text, text, text)
    observation = Observation(
        text, 1, "eval", 1, SAMPLES, 1.0, (site,), (Unobserved(text, text),),
        (Birth(text, text, "nan", text, 0),), {text: text},
    )  # fmt: skip
    return Checkup(text, text, observation, (finding, quiet), text)


def deep(depth: int = 100, units: int = 512) -> Checkup:
    """Return a chain of many sigmoid sites whose gradient fades."""
    sites = tuple(
        site_record(f"blocks.{i}.mlp.act", order=i, units=units, activation="sigmoid",
                    gradient_rms=1e-2 * 0.7 ** (depth - i), layer=f"blocks.{i}.mlp.fc")
        for i in range(depth)
    )  # fmt: skip
    findings = tuple(
        Finding("saturation", Severity.TIP, f"{30 + i % 9}% of samples are saturated",
                "The function is flat there, so little gradient passes.", s.site.name, (),
                0.3 + (i % 9) / 100, 0.25, "share of saturated samples", SAMPLES)
        for i, s in enumerate(sites)
    )  # fmt: skip
    observation = Observation("Chain", 10**7, "train", 29, SAMPLES, 2.3, sites, versions=VERSIONS)
    return Checkup("A deep chain", "digits", observation, findings)


def site_only(record: SiteRecord | str, *others: SiteRecord) -> Checkup:
    """Return a checkup of sites, without findings. A text stands for every text in it."""
    if isinstance(record, str):
        named = site_record(record, units=4, activation=record, source=record, layer=record)
        return Checkup(record, record, Observation(record, 1, "eval", 1, 2, None, (named,)), ())
    return Checkup(
        "One site", "data", Observation("M", 1, "eval", 1, 2, None, (record, *others)), ()
    )
