"""The pictures of the report: Altair describes them, vl-convert draws them, offline.

Each is a static SVG whose colours are CSS variables, so that one picture serves the light and
the dark theme. No text from the user's model enters a picture; names stand in the page around
it, and in the text alternative.
"""

from relucid.report.charts.distributions import distribution_chart
from relucid.report.charts.effects import effects_chart
from relucid.report.charts.gradients import gradient_chart
from relucid.report.charts.strips import CELLS, strip_chart

__all__ = ["CELLS", "distribution_chart", "effects_chart", "gradient_chart", "strip_chart"]
