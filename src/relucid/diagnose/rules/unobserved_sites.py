"""Activations that are there and could not be counted.

**Measured.** Every activation that the probe knows of and saw no values of, with the reason:
inside compiled or traced code, in a branch that the data never took, in a fused kernel.

**Why it matters.** No other rule says anything about them: an illness there stays unseen, and a
report that kept silent about it would look healthier than the network is.

**What to do.** Check up the model before it is compiled or traced, and with data that reach the
branch.
"""

from __future__ import annotations

from collections.abc import Iterator

from relucid.diagnose.threshold import Thresholds
from relucid.diagnose.verdict import Verdict
from relucid.diagnose.words import counted
from relucid.records import Finding, Observation, Prescription

TITLE = "Unobserved sites"

_verdict = Verdict("unobserved_sites")

_BEFORE = Prescription(
    "Check up the plain model, before torch.compile or torch.jit, on data that reach every branch. "
    "Fused attention shows its softmax when the model is built with its plain implementation "
    '(transformers: attn_implementation="eager").'
)


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Report each activation that was missed, or that none was."""
    for missed in observation.unobserved:
        yield _verdict.unobserved(
            missed.name,
            f"not observed: {missed.reason}",
            "No rule can say anything about this activation.",
            prescriptions=(_BEFORE,),
        )
    if not observation.unobserved:
        yield _verdict.well(
            None,
            f"{counted(len(observation.sites), 'activation')} observed, none missed",
            "Every activation that is known of was counted.",
            n=observation.samples,
        )
