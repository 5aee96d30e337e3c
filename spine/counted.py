"""Counters and histograms for the hot path: adding to one costs a tenth of Prometheus' own.

They are turned into Prometheus' form when they are read. Each belongs to one thread.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector


class Counted(Collector):
    """A counter: label values → how often, in `by`.

    Shape: keys have one value for each of `labels`."""

    def __init__(
        self, name: str, meaning: str, labels: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self.by: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._name = name
        self._meaning = meaning
        self.labels = labels
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Give the counter in Prometheus' form."""
        family = CounterMetricFamily(self._name, self._meaning, labels=self.labels)
        for labels, count in self.by.items():
            family.add_metric(labels, count)
        yield family


class Measured(Collector):
    """A histogram without labels, of values that are never negative."""

    def __init__(
        self, name: str, meaning: str, bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self.labels: Sequence[str] = ()
        self._about = (name, meaning)
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Give the histogram in Prometheus' form."""
        bounds = [*map(str, map(float, self._bounds)), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(*self._about, buckets, self._sum)
