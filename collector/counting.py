"""What a collector counts: every answer, every event, every decision."""

from collections import Counter
from collections.abc import Callable

from collector.admit import Admission, Outcome, day_of
from collector.decode import Claims
from collector.observe import Receipt
from collector.source import Source
from collector.tally import Tallies
from spine.metrics import Metrics

_Count = Callable[[float], None]


class Counts:
    """The counters of a collector; labels are looked up once, which is dearer than counting."""

    def __init__(self, tallies: Tallies, metrics: Metrics) -> None:
        self._tallies = tallies
        self._metrics = metrics
        self._answers: dict[tuple[str, int], _Count] = {}
        self._outcomes: dict[tuple[str, Outcome], tuple[_Count, ...]] = {}

    def answered(self, route: str, status: int) -> None:
        """Count an answer of the public listener."""
        count = self._answers.get((route, status))
        if count is None:
            count = self._metrics.requests.labels(route, str(status)).inc
            self._answers[route, status] = count
        count(1)

    def admitted(
        self, source: Source, receipt: Receipt, claims: Claims, admission: Admission
    ) -> None:
        """Count how the events of a request fared."""
        # Most events of a request fare alike.
        alike = Counter(admission.outcomes)
        for outcome, count in alike.items():
            for counter in self._counters(source.site, outcome):
                counter(count)
        if len(admission.admitted) != len(admission.results):
            self._tallies.count(source.site, day_of(receipt.received_ms, source), alike)
        if claims.sent_at is not None:
            skew_s = receipt.received_ms / 1000 - claims.sent_at.timestamp()
            self._metrics.clock_skew_seconds.observe(skew_s)

    def _counters(self, site: str, outcome: Outcome) -> tuple[_Count, ...]:
        counters = self._outcomes.get((site, outcome))
        if counters is None:
            metrics = self._metrics
            counters = (metrics.events.labels(site, outcome.status, outcome.code).inc,)
            if outcome.rule:
                decisions = metrics.consent_decisions.labels(site, outcome.rule, outcome.kept)
                counters = (*counters, decisions.inc)
            self._outcomes[site, outcome] = counters
        return counters
