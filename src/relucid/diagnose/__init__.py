"""Rules: from what was measured to findings and prescriptions. No torch here."""

from relucid.diagnose.diagnosis import diagnose, explain, values_in_force
from relucid.diagnose.registry import Rule, rules
from relucid.diagnose.threshold import Threshold, Thresholds

__all__ = ["Rule", "Threshold", "Thresholds", "diagnose", "explain", "rules", "values_in_force"]
