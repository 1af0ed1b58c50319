"""One learned activation that serves several places.

**Measured.** The learned parameters of each activation (PReLU's slope), by name: the same
parameter at several sites, behind different weighted layers or with different numbers of units.
A recurrent loop, which calls one activation behind one layer again and again, is not meant, and
neither is an activation without learned parameters: one ReLU module may serve everywhere.

**Why it harms.** Layers at different depths want different slopes: He et al. 2015
(arXiv:1502.01852) learned a steep one in the first layer, near a straight line, and small ones in
deep layers. One shared slope gets the sum of all their gradients, and settles on a compromise
that fits none. It is usually a slip: a module was made once and called several times, as is right
for ReLU.

**What to do.** Give each place an activation of its own, and keep weight decay off the slopes,
which would make them ReLU (torch.nn.PReLU's documentation says so too).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from relucid.diagnose.hurdles import in_order
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict
from relucid.diagnose.words import counted
from relucid.records import Finding, Observation, Prescription, SiteRecord

TITLE = "Shared learned activation"

PLACES = Threshold(
    2,
    "places that share a learned activation from which it is worth a tip",
    "one activation a layer, as in He et al. 2015, arXiv:1502.01852",
)

_verdict = Verdict("shared_activation")

_OWN = Prescription(
    "Give each place its own: in the model's __init__ make one module for each call. Where one "
    "module stands at several paths, this puts copies there.",
    """\
import copy

import torch

seen = set()
for path, module in list(model.named_modules(remove_duplicate=False)):
    if isinstance(module, torch.nn.PReLU) and id(module) in seen:
        model.set_submodule(path, copy.deepcopy(module))
    seen.add(id(module))""",
)


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge each site; of those that share a parameter, the first speaks for all."""
    groups: dict[tuple[str, ...], list[SiteRecord]] = defaultdict(list)
    for record in in_order(observation):
        if record.site.learned:
            groups[record.site.learned].append(record)
        else:
            reason = f"{record.site.activation} has no learned parameters here"
            yield _verdict.not_applicable(record, reason)
    for group in groups.values():
        yield from _judge(group, thresholds[PLACES])


def _judge(group: list[SiteRecord], limit: float) -> Iterator[Finding]:
    first, *others = group
    places = _places(group)
    learned = ", ".join(first.site.learned)
    numbers = {"measured": float(places), "threshold": limit, "quantity": "places that share it"}
    for record in others:
        reason = f"it learns {learned} together with {first.site.name}, and is judged there"
        yield _verdict.not_applicable(record, reason)
    if places < limit or places < 2:
        title = f"{learned} serves {counted(places, 'place')}"
        yield _verdict.well(first, title, "It can learn what suits that place.", **numbers)
        return
    names = ", ".join(record.site.name for record in group[:6])
    more = ", ..." if len(group) > 6 else ""
    yield _verdict.tip(
        first,
        f"{learned} is shared by {counted(places, 'place')}",
        f"The same learned activation is called at {names}{more}: it gets the sum of their "
        "gradients and settles on what fits none of them.",
        prescriptions=(_OWN,),
        **numbers,
    )


def _places(group: list[SiteRecord]) -> int:
    """How many different layers feed the sites; those that none feeds, by their units."""
    return len({r.site.units if r.layer is None else r.layer.name for r in group})
