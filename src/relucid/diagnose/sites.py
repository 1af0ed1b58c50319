"""Judging the sites one by one, as most rules do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from relucid.diagnose.hurdles import Hurdles, in_order
from relucid.diagnose.verdict import Verdict
from relucid.records import Finding, Observation, SiteRecord


def judge_each(
    observation: Observation,
    verdict: Verdict,
    unjudged: Callable[[SiteRecord], str | None],
    judge: Callable[[SiteRecord], Finding],
) -> Iterator[Finding]:
    """Yield ``judge`` of each site in order of depth, or why the rule does not apply there.

    ``unjudged`` gives the rule's own reason not to judge a site, or None.
    """
    hurdles = Hurdles(observation)
    for record in in_order(observation):
        reason = hurdles.why(record) or unjudged(record)
        yield judge(record) if reason is None else verdict.not_applicable(record, reason)
