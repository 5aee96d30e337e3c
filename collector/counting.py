"""What a collector counts: every event, every decision."""

from collections import Counter

from collector.admission import Admission
from collector.decode import Claims
from collector.observe import Receipt
from collector.source import Source
from collector.tally import Tallies
from collector.times import day_of
from spine.metrics import Metrics


def count(
    source: Source,
    receipt: Receipt,
    claims: Claims,
    admission: Admission,
    tallies: Tallies,
    metrics: Metrics,
) -> None:
    """Count how the events of a request fared."""
    site, outcomes = source.site, admission.outcomes
    # Most events of a request fare alike.
    alike = Counter(outcomes) if len(outcomes) > 1 else dict.fromkeys(outcomes, 1)
    for outcome, events in alike.items():
        metrics.events.by[site, outcome.status, outcome.code] += events
        if outcome.rule:
            metrics.consent_decisions.by[site, outcome.rule, outcome.kept] += events
    if len(admission.admitted) != len(outcomes):
        tallies.count(site, day_of(receipt.received_ms, source), alike)
    if claims.sent_at is not None:
        skew_s = receipt.received_ms / 1000 - claims.sent_at.timestamp()
        metrics.clock_skew_seconds.observe(skew_s)
