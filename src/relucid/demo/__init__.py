"""The subject that every verb has when it is given none: a small network on shipped digits."""

from relucid.demo.digits import Digits, load_digits
from relucid.demo.network import HEALTHY, SICK, Recipe, accuracy, train

__all__ = ["HEALTHY", "SICK", "Digits", "Recipe", "accuracy", "load_digits", "train"]
