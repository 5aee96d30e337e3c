"""What a collector counts: every event, every decision."""

from collections import Counter
from datetime import datetime

from collector.admission import Admission
from collector.source import Source
from collector.tally import Tallies
from collector.times import day_of
from spine.metrics import Metrics


def count(
    source: Source,
    received_ms: int,
    sent_at: datetime | None,
    admission: Admission,
    tallies: Tallies,
    metrics: Metrics,
) -> None:
    """Count how the events of a request fared.

    Units: as in a receipt and in claims."""
    site, outcomes = source.site, admission.outcomes
    # Most events of a request fare alike.
    alike = Counter(outcomes) if len(outcomes) > 1 else dict.fromkeys(outcomes, 1)
    for outcome, events in alike.items():
        metrics.events.by[site, outcome.status, outcome.code] += events
        if outcome.rule:
            metrics.consent_decisions.by[site, outcome.rule, outcome.kept] += events
    if len(admission.admitted) != len(outcomes):
        tallies.count(site, day_of(received_ms, source), alike)
    if sent_at is not None:
        skew_s = received_ms / 1000 - sent_at.timestamp()
        metrics.clock_skew_seconds.observe(skew_s)
