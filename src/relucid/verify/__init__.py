"""How accurate the functions are, on every float32 input: the command ``relucid verify``."""

from relucid.verify.contract import KNOWN, Known, Verdict, judge
from relucid.verify.machine import versions
from relucid.verify.plan import Plan, everything, subject
from relucid.verify.run import count, measure, plans
from relucid.verify.show import show
from relucid.verify.sources import fingerprint, measuring
from relucid.verify.state import Store, default_folder

__all__ = [
    "KNOWN",
    "Known",
    "Plan",
    "Store",
    "Verdict",
    "count",
    "default_folder",
    "everything",
    "fingerprint",
    "judge",
    "measure",
    "measuring",
    "plans",
    "show",
    "subject",
    "versions",
]
