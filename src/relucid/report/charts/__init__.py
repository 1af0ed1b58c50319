"""The pictures of the report: Altair describes them, vl-convert draws them, offline.

Those of which a page has one for each site are written as SVG here.
Each is a static SVG whose colours are CSS variables, so that one picture serves the light and
the dark theme. Names from the user's model stand in the page around a picture and in its text
alternative; those of the candidates of a comparison alone enter it, cut short, as escaped letters.
"""

from relucid.report.charts.candidates import COLOURED, candidate_colours
from relucid.report.charts.courses import LEVELS, ROWS, Panel, line_chart, map_chart, panels
from relucid.report.charts.distributions import distribution_chart
from relucid.report.charts.drawing import MUTED
from relucid.report.charts.effects import effects_chart
from relucid.report.charts.gradients import gradient_chart
from relucid.report.charts.learning import learning_chart
from relucid.report.charts.learning_panels import learning_panel
from relucid.report.charts.pareto import COSTS, pareto_chart
from relucid.report.charts.ranking import ranking_chart
from relucid.report.charts.runs import runs_charts
from relucid.report.charts.strips import CELLS, strip_chart

__all__ = [
    "CELLS",
    "COLOURED",
    "COSTS",
    "LEVELS",
    "MUTED",
    "ROWS",
    "Panel",
    "candidate_colours",
    "distribution_chart",
    "effects_chart",
    "gradient_chart",
    "learning_chart",
    "learning_panel",
    "line_chart",
    "map_chart",
    "panels",
    "pareto_chart",
    "ranking_chart",
    "runs_charts",
    "strip_chart",
]
