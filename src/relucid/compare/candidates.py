"""Which activations are compared, and in whose place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch

from relucid.compare.experiment import Choice
from relucid.compare.samples import Samples
from relucid.compare.subject import NAMED, Subject
from relucid.errors import ModelError, NoActivationError, ParameterError
from relucid.functions import Elementwise, get, read
from relucid.probes import observe
from relucid.probes.batches import Batch
from relucid.records import SiteRecord


def choice_of(what: Any) -> Choice:
    """Return the candidate that a name, ``elu:alpha=0.5``, class, module or declaration names.

    Raises :class:`~relucid.errors.UnknownActivationError`, or
    :class:`~relucid.errors.ParameterError` for a function that is no elementwise one.
    """
    found = read(what) if isinstance(what, str) else get(what)
    if not isinstance(found, Elementwise):
        raise ParameterError(
            f"{found.name} is a {found.kind} function and cannot stand where one number becomes "
            "one number; compare elementwise functions"
        )
    return Choice(name_of(found), found)


def name_of(activation: Elementwise) -> str:
    """Return its name with the parameters that are not its defaults."""
    changed = ", ".join(f"{name}={value:g}" for name, value in activation.changed.items())
    return f"{activation.name}({changed})" if changed else activation.name


def check_different(choices: Iterable[Choice]) -> None:
    """Raise :class:`~relucid.errors.ParameterError` where a candidate is named twice."""
    twice = [name for name, count in Counter(c.name for c in choices).items() if count > 1]
    if twice:
        raise ParameterError(f"{twice[0]} is among the candidates twice; name each once")


def sites_in(
    subject: Subject, samples: Samples, choice: Choice | None = None
) -> tuple[SiteRecord, ...]:
    """Build the model and return its activations on a few samples."""
    torch.manual_seed(0)
    model = subject.model(None if choice is None else choice.activation)
    example: Batch = samples.example()
    given = example.args or dict(example.kwargs), example.target
    try:
        return observe(model, [given]).sites
    except NoActivationError:
        return ()


def activation_of(subject: Subject, samples: Samples, wanted: str | None = None) -> str:
    """Return the activation whose place candidates take: the wanted one, or that of most sites.

    Raises :class:`~relucid.errors.ModelError` where the model has none that could be another, or
    not the wanted one.
    """
    sites = [record.site for record in sites_in(subject, samples) if record.site.units]
    names = Counter(site.activation for site in sites if site.activation)
    if not names:
        raise ModelError(
            f"the model of {subject.name} calls no elementwise activation that could be another; "
            f"let its builder take {NAMED!r}, a function that makes a module, and put it in place"
        )
    if wanted is not None and wanted not in names:
        raise ModelError(
            f"the model of {subject.name} calls no {wanted} that could be another activation; it "
            f"calls {', '.join(names)}: name one of these in swap"
        )
    return wanted or names.most_common(1)[0][0]


def check_taken(subject: Subject, samples: Samples, choices: Iterable[Choice]) -> None:
    """Raise :class:`~relucid.errors.ModelError` where a builder ignores what it is given."""
    for choice in choices:
        assert choice.activation is not None
        sites = sites_in(subject, samples, choice)
        if not any(record.site.activation == choice.activation.name for record in sites):
            raise ModelError(
                f"{subject.name} was given activation={choice.name} and built a model that calls "
                f"no {choice.activation.name}: no site changed; use the argument in its layers, "
                "or leave it out of the signature, and relucid swaps"
            )
