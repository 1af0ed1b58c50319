"""Beyond exact: units that do little on the data, taken for constants at their mean.

``rarely`` takes units that fire at most so often. ``keep`` leaves a share of each layer's units:
those go whose variation matters least to the layers that read them, by standard deviation on the
data times the length of the weights that read them. (A unit's mean is kept: it goes into the next
bias.)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from relucid.errors import ParameterError
from relucid.shrink.analysed import Analysed
from relucid.shrink.axes import Reading
from relucid.shrink.fixed import Mask
from relucid.shrink.observe import Seen
from relucid.shrink.proof import Constants, Values

_ZEROS = 0.01
"""Share of exact zeros from which a function is taken to give zeros where it does not fire."""


def check_shares(keep: float | None, rarely: float | None, data: object) -> None:
    """Raise :class:`~relucid.errors.ParameterError` for what is no share, or lacks data."""
    for name, share, ends in (("keep", keep, "above 0 and at most 1"),
                              ("rarely", rarely, "from 0 to 1")):  # fmt: skip
        if share is None:
            continue
        number = isinstance(share, int | float) and not isinstance(share, bool)
        if not number or not (0.0 < share <= 1.0 or (name == "rarely" and share == 0.0)):
            raise ParameterError(f"{name}={share!r} is no share: give a number {ends}")
        if data is None:
            raise ParameterError(
                f"{name}= chooses units by what they do on data: pass data=, a batch or batches"
            )


def pruned(
    model: Analysed, seen: Mapping[Reading, Seen], going: Mask, keep: float | None,
    rarely: float | None,
) -> dict[Reading, Constants]:  # fmt: skip
    """Return the channels that are to be taken for constants, each at its mean.

    ``going`` says which classes go anyway.
    """
    chosen = np.zeros(model.classes.count, np.bool_)
    labels = {r: model.classes.of(_atoms(model, r)) for r in seen}
    if rarely is not None:
        chosen |= _rare(model, seen, labels, rarely)
    if keep is not None:
        chosen |= _least(model, seen, labels, going | chosen, keep)
    return {r: Constants(chosen[labels[r]], one.mean) for r, one in seen.items()}


def _atoms(model: Analysed, reading: Reading) -> NDArray[np.int64]:
    atoms = model.layout.axes[reading.values][0][reading.dim]
    assert atoms is not None
    return atoms


def _eligible(model: Analysed, labels: Mapping[Reading, NDArray[np.int64]]) -> Mask:
    """Return the classes of which every reading was seen, and that nothing pins."""
    found = model.classes.free()
    read = np.zeros(model.classes.count, np.bool_)
    for reading in model.layout.readings:
        atoms = model.layout.axes[reading.values][0][reading.dim]
        if reading in labels:
            read[labels[reading]] = True
        elif atoms is not None:
            found[model.classes.of(atoms)] = False
    return found & read


def _rare(
    model: Analysed, seen: Mapping[Reading, Seen], labels: Mapping[Reading, NDArray[np.int64]],
    rarely: float,
) -> Mask:  # fmt: skip
    rates = np.zeros(model.classes.count)
    for reading, one in seen.items():
        np.maximum.at(rates, labels[reading], fire_rates(one))
    return _eligible(model, labels) & (rates <= rarely)


def fire_rates(seen: Seen) -> Values:
    """Return how often each channel fires: is not 0 or, of functions without zeros, is above 0."""
    other = seen.rate(positive=False)
    return other if float(1.0 - other.mean()) > _ZEROS else seen.rate(positive=True)


def _least(
    model: Analysed, seen: Mapping[Reading, Seen], labels: Mapping[Reading, NDArray[np.int64]],
    going: Mask, keep: float,
) -> Mask:  # fmt: skip
    matter = np.zeros(model.classes.count)
    for reading, one in seen.items():
        np.add.at(matter, labels[reading], (one.deviation * _lengths(model, reading)) ** 2)
    free = _eligible(model, labels) & ~going
    chosen = np.zeros(model.classes.count, np.bool_)
    for maker in {m.weight: m for m in model.layout.makers}.values():
        units = model.classes.of(maker.units)
        gone = (going | chosen)[units]
        count = int((1.0 - keep) * len(units)) - int(gone.sum())
        some = np.unique(units[free[units] & ~gone])
        chosen[some[matter[some].argsort(kind="stable")][: max(count, 0)]] = True
    return chosen


def _lengths(model: Analysed, reading: Reading) -> Values:
    """Return the length of the weights that read each channel."""
    weight = model.captured.tensors[reading.weight.name].detach()
    rows = weight.movedim(reading.weight_in, 0).flatten(1)
    lengths: Values = torch.linalg.vector_norm(rows, dim=1).double().numpy(force=True)
    return lengths
