"""How fast the activations are beside PyTorch, torch.compile, JAX and NumPy, and whether right."""

from relucid.bench.judge import Summary, Verdict, judge, summarise
from relucid.bench.record import FirstUse, Machine, Results, Row, Setting, Side
from relucid.bench.serialise import from_json, to_json
from relucid.bench.statistics import Spread

__all__ = [
    "FirstUse",
    "Machine",
    "Results",
    "Row",
    "Setting",
    "Side",
    "Spread",
    "Summary",
    "Verdict",
    "from_json",
    "judge",
    "summarise",
    "to_json",
]
