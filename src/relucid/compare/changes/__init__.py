"""The changes that prescriptions ask for: each takes a learner and changes it in place."""

from relucid.compare.changes.case import Case, Change, Refusal
from relucid.compare.changes.gain import draw_right_gain, right_gain
from relucid.compare.changes.normalise import add_normalisation, normalise_layers
from relucid.compare.changes.reinitialise import reinitialise_dead, reinitialise_units
from relucid.compare.changes.steps import clip_gradients, lower_learning_rate, start_again_lower
from relucid.compare.changes.swap import swap_activation

CHANGES: dict[str, tuple[Change, ...]] = {
    "swap_activation": (swap_activation,),
    "reinitialise_dead": (reinitialise_units,),
    "right_gain": (draw_right_gain,),
    "lower_learning_rate": (lower_learning_rate, start_again_lower),
    "add_normalisation": (normalise_layers,),
    "clip_gradients": (clip_gradients,),
}
"""By the name of a prescription's trial, the ways in which it can be followed."""

__all__ = [
    "CHANGES",
    "Case",
    "Change",
    "Refusal",
    "add_normalisation",
    "reinitialise_dead",
    "right_gain",
]
