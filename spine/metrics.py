"""Every metric of Beleg in one list, with type, unit and meaning; exported to `docs/metrics.md`.

Labels are bounded: routes, codes, statuses, partitions and configured sites, never what a client
sent. The registry is made by the roof and handed down; there is no global one.
"""

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from spine.counted import Counted, Measured

_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_ROW_LATENCY_S = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_SKEW_S = (-86_400.0, -3_600.0, -60.0, -5.0, -1.0, 0.0, 1.0, 5.0, 60.0, 3_600.0, 86_400.0)
_SIZES = (1, 10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000)


class Metrics:
    """The metrics of one process."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counted(
            "requests", "Answers of the public listener.", ["route", "status"]
        )
        self.events = self._counted(
            "events",
            "Events by what the collector answered; code is empty where there was nothing to say.",
            ["site", "status", "code"],
        )
        self._count_consent()
        self._count_erasures()
        self.append_seconds = self._measured(
            "append_seconds", "Time until the log had the events of a request.", _LATENCY_S
        )
        self.append_failures = self._counter("append_failures", "Appends the log did not take.")
        self.spilled = self._counter(
            "spilled", "Records a collector wrote to its own disk because Kafka did not take them."
        )
        self.spill_records = self._gauge(
            "spill_records", "Records that wait on a collector's disk for Kafka."
        )
        self.spill_bytes = self._gauge("spill_bytes", "Bytes that wait on a collector's disk.")
        self.in_flight_bytes = self._gauge(
            "in_flight_bytes", "Bytes of bodies and of records on their way to the log."
        )
        self.in_flight_requests = self._gauge(
            "in_flight_requests", "Requests that are whole and not answered."
        )
        self.shed = self._counter(
            "shed",
            "Requests turned away with 503 because too much is under way: of which bound (bytes,"
            " requests, wait, late), and of what kind of sender (retrying, beacon).",
            ["reason", "kind"],
        )
        self.over_quota = self._counter(
            "over_quota", "Requests answered 429 because of the site's quota.", ["site"]
        )
        self.connections = self._gauge("connections", "Open connections of the public listener.")
        self.connections_closed = self._counter(
            "connections_closed",
            "Connections closed unasked: too_many, too_busy, crowd, slow_head, slow_reader.",
            ["reason"],
        )
        self.clock_skew_seconds = self._histogram(
            "clock_skew_seconds",
            "How far clients' clocks (sent_at) are behind (+) or ahead of (-) ours.",
            _SKEW_S,
        )
        self.log_end_offset = self._gauge(
            "log_end_offset", "Next offset of the log.", ["partition"]
        )
        self.ledger_offset = self._gauge(
            "ledger_offset", "Next offset of the ledger.", ["partition"]
        )
        self.log_lag = self._gauge(
            "log_lag", "Records on the log that are not in the ledger.", ["group", "partition"]
        )
        self._count_landed()
        self.batch_records = self._histogram("batch_records", "Records in a batch.", _SIZES)
        self.batch_seconds = self._histogram(
            "batch_seconds", "Time of a batch from judging to commit.", _ROW_LATENCY_S
        )
        self.identities_asked = self._counter(
            "identities_asked", "Identities the store was asked for: known, or perhaps known."
        )
        self._count_derived()
        self.store_seconds = self._histogram(
            "store_seconds", "Time of a write to the store.", _LATENCY_S, ["table"]
        )
        self.store_failures = self._counter(
            "store_failures", "Times the store could not be reached or take a write."
        )
        self.row_latency_seconds = self._histogram(
            "row_latency_seconds",
            "From received_at to visible in tables and views (sampled).",
            _ROW_LATENCY_S,
        )
        build = self._gauge("build_info", "Always 1; the version is the label.", ["version"])
        build.labels(version).set(1)

    def _count_landed(self) -> None:
        self.fates = self._counter(
            "fates", "Records judged; dedupe hits are those with fate duplicate.", ["fate", "code"]
        )
        self.bots = self._counter("bots", "Events landed as a bot's, by its user agent.", ["site"])
        self.flags = self._counter(
            "flags", "Marks on events that landed, such as `identifier_blocked`.", ["code"]
        )

    def _count_derived(self) -> None:
        self.derived = self._counter(
            "derived",
            "Keys derived anew: visitor_days (session recomputes), orders, persons (merges).",
            ["kind"],
        )

    def _count_consent(self) -> None:
        self.consent_decisions = self._counted(
            "consent_decisions",
            "Consent decisions by rule and outcome (whole, stripped, dropped).",
            ["site", "rule", "outcome"],
        )
        self.consent_rules_stale = self._gauge(
            "consent_rules_stale",
            "1 while a rules file of the site is broken and its last good rules decide.",
            ["site"],
        )
        self.country_file_stale = self._gauge(
            "country_file_stale",
            "1 while collector.country_file is broken and its last good state tells.",
        )
        self.decisions = self._counter(
            "decisions", "Consent decisions taken by POST /v1/consent.", ["site", "action"]
        )
        self.control_age_seconds = self._gauge(
            "control_age_seconds",
            "How long ago everything on the control log was known here; infinite before that.",
        )
        self.retention_deleted = self._counter(
            "retention_deleted", "Rows deleted because the days of their class are over.", ["table"]
        )
        self.retention_ended_at = self._gauge(
            "retention_ended_at_seconds",
            "When it was last seen to it that what is over goes; every hour, since 1970.",
        )
        self.withdrawals = self._gauge(
            "withdrawals", "Devices and users who have ever withdrawn something."
        )

    def _count_erasures(self) -> None:
        self.erasures_open = self._gauge("erasures_open", "Erasures without a receipt yet.")
        self.erasures_closed = self._counter("erasures_closed", "Receipts written by this process.")
        self.oldest_erasure_seconds = self._gauge(
            "oldest_erasure_seconds", "How long ago the oldest open erasure was asked for."
        )

    def _counter(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"beleg_{name}", meaning, labels, registry=self.registry)

    def _counted(self, name: str, meaning: str, labels: Sequence[str]) -> Counted:
        return Counted(f"beleg_{name}", meaning, labels, self.registry)

    def _measured(self, name: str, meaning: str, bounds: Sequence[float]) -> Measured:
        return Measured(f"beleg_{name}", meaning, bounds, self.registry)

    def _gauge(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"beleg_{name}", meaning, labels, registry=self.registry)

    def _histogram(
        self, name: str, meaning: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        return Histogram(f"beleg_{name}", meaning, labels, registry=self.registry, buckets=buckets)

    def exposition(self) -> bytes:
        """Give the metrics in Prometheus' text format."""
        return generate_latest(self.registry)


def side_by_side(texts: Mapping[str, str]) -> str:
    """Put the metrics of several workers into one text, each sample with a label `worker`.

    Shape: from worker to its metrics in Prometheus' text format; every name stands there once."""
    families: dict[str, list[str]] = {}
    for worker, text in texts.items():
        samples: list[str] = []
        for line in text.splitlines():
            if line.startswith("# HELP "):
                samples = families.setdefault(line, [])
            elif line.startswith("#"):
                if line not in samples:
                    samples.append(line)
            else:
                samples.append(_labelled(line, worker))
    return "".join(f"{line}\n" for head, lines in families.items() for line in (head, *lines))


def _labelled(sample: str, worker: str) -> str:
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'
