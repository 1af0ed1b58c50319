"""Synthetic observations from short JSON: only what differs from a healthy ReLU site is said."""

from __future__ import annotations

from typing import Any

import numpy as np

from relucid.records import (
    Birth,
    GradientRecord,
    Layer,
    Observation,
    Reader,
    Site,
    SiteHistory,
    SiteRecord,
    Unobserved,
)


def observation(case: dict[str, Any]) -> Observation:
    """Return the observation of a golden case: its sites, births, unobserved sites and loss."""
    sites = tuple(site_record(order=i, **said) for i, said in enumerate(case["sites"]))
    loss = case.get("loss")
    return Observation(
        model="Golden", parameters=1000, mode="eval", batches=10,
        samples=sites[0].samples if sites else 0, loss=None if loss is None else float(loss),
        sites=sites,
        unobserved=tuple(Unobserved(**missed) for missed in case.get("unobserved", ())),
        births=tuple(Birth(**birth) for birth in case.get("births", ())),
    )  # fmt: skip


def site_record(
    name: str,
    *,
    order: int = 0,
    activation: str = "relu",
    units: int = 32,
    samples: int = 1000,
    positions: int = 1,
    rate: float = 0.5,
    dead: int = 0,
    always_on: int = 0,
    rare: int = 0,
    small: int = 0,
    zeros: float | None = None,
    saturation: float | None = None,
    magnitude: float = 1.0,
    variance: float = 1.0,
    same_in_every_sample: bool = False,
    gradient: float | None = None,
    gradient_everywhere: bool = False,
    gradient_nonfinite: int = 0,
    nonfinite_in: int = 0,
    nonfinite_out: int = 0,
    layer: dict[str, Any] | None = None,
    unchanged: float | None = None,
    kinks: float = 0.0,
    dtype: str = "float32",
    follows: str | None = None,
    reader: dict[str, Any] | None = None,
    learned: tuple[str, ...] = (),
    died: int | None = None,
    passes: int = 90,
) -> SiteRecord:
    """Return one site. The first ``dead`` units never fire, the first ``rare`` twice in all;
    the last ``always_on`` always do, and the first ``small`` give next to nothing.
    """
    elements = samples * positions
    fired = np.full(units, round(rate * elements), np.int64)
    if same_in_every_sample:
        fired[::2], fired[1::2] = 0, elements
    fired[:rare] = 2
    fired[:dead] = 0
    fired[units - always_on :] = elements
    rests = activation in ("relu", "relu6", "hardswish", "rational")
    silent = elements - fired if rests else np.zeros(units, np.int64)
    if zeros is not None:
        silent = np.full(units, round(zeros * elements), np.int64)
    silent[:dead] = elements
    flat = silent.copy()
    if saturation is not None:
        flat = np.full(units, round(saturation * elements), np.int64)
    sizes = np.full(units, magnitude)
    sizes[:small] *= 1e-3
    arrived = np.full(units, 0.0 if gradient is None else gradient * elements)
    if not gradient_everywhere:
        arrived[:dead] = 0.0
    return SiteRecord(
        site=Site(name, activation, {}, "module", name, None, order, units, 1,
                  (units,) if positions == 1 else (units, positions), tuple(learned)),
        samples=samples, elements=elements, fired=fired,
        fired_samples=np.minimum(fired, samples), zeros=silent, saturated=flat,
        mean=np.zeros(units), variance=np.full(units, variance), magnitude=sizes,
        kink_hits=round(kinks * elements * units),
        nonfinite_in=nonfinite_in, nonfinite_out=nonfinite_out, dtype=dtype,
        layer=None if layer is None else _layer(name, **layer),
        gradient=None if gradient is None
        else GradientRecord(10, arrived, gradient, gradient_nonfinite),
        follows=follows,
        reader=None if reader is None else Reader(**{"kind": "Linear", **reader}),
        history=None if died is None else _history(units, samples, died, passes),
        more={} if unchanged is None else {"unchanged": np.full(units, unchanged * elements)},
    )  # fmt: skip


def _history(units: int, samples: int, died: int, passes: int) -> SiteHistory:
    """Return a watch in which the first ``died`` units fired in the first pass only."""
    quiet = np.zeros(units, np.int64)
    quiet[:died] = passes - 1
    each, nothing = np.ones(passes), np.zeros(passes)
    return SiteHistory(
        step=np.arange(passes, dtype=np.float64), passes=each.astype(np.int64),
        samples=np.full(passes, samples // passes, np.int64), fire_rate=0.5 * each,
        dead=np.where(np.arange(passes) > 0, float(died), 0.0), window_dead=nothing,
        revived=nothing, returned=nothing, gradient=nothing * np.nan, scale=each, window=1000,
        quiet=quiet,
    )  # fmt: skip


def _layer(
    site: str,
    weight_rms: float | str = 0.1,
    fan_in: int = 100,
    normalised_by: str | None = None,
    name: str | None = None,
) -> Layer:
    return Layer(name or f"{site}.layer", "Linear", fan_in, float(weight_rms), 0.0, normalised_by)
