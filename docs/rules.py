"""Write docs/rules.md from the rules: their docstrings are the explanations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from relucid.diagnose import Rule, rules

PAGE = Path(__file__).with_name("rules.md")
_HEAD = """\
# The rules of a checkup

This page is generated: `python docs/rules.py` writes it from the docstrings of
`src/relucid/diagnose/rules/`, one file a rule.

Each rule looks at every activation, or at the network as a whole, and says one of five things:
**ill** (it harms the network), **tip** (it could be better), **unobserved**, **well**, or
**not applicable** with the reason. Every limit can be overridden by its name:
`relucid.checkup(model, data, thresholds={"dead_units.share": 0.2})`, or
`relucid checkup mine:subject --threshold dead_units.share=0.2`.
"""


def page() -> str:
    """Return the text of docs/rules.md."""
    return "\n".join([_HEAD, *(_section(rule) for rule in rules().values())])


def _section(rule: Rule) -> str:
    return "\n".join([f"## {rule.title}", "", f"`{rule.name}`: {rule.explanation}", *_table(rule)])


def _table(rule: Rule) -> Iterator[str]:
    if rule.thresholds:
        yield from ("", "| threshold | value | meaning | source |", "|---|---|---|---|")
    for name, limit in rule.thresholds.items():
        cells = (f"`{rule.name}.{name}`", f"{limit.value:g}", limit.meaning, limit.source)
        yield f"| {' | '.join(cells)} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
