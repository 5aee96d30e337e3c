"""Cheap counters are read as Prometheus' own are."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from spine.counted import Counted, Measured

BOUNDS = (0.001, 0.1, 1.0)
VALUES = (0.0, 0.001, 0.0011, 0.1, 0.5, 1.0, 7.0)


def without_births(registry: CollectorRegistry) -> list[bytes]:
    """Prometheus' own also say when they were made."""
    return [line for line in generate_latest(registry).splitlines() if b"_created" not in line]


def test_a_counter_says_what_prometheus_own_says() -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    counter = Counter("c", "Some.", ["a", "b"], registry=theirs)
    counted = Counted("c", "Some.", ["a", "b"], ours)
    for labels, times in ((("x", ""), 2), (('"\\\n', "ü"), 1), (("x", ""), 3)):
        counter.labels(*labels).inc(times)
        counted.by[labels] += times
    assert without_births(ours) == without_births(theirs)


def test_a_histogram_says_what_prometheus_own_says() -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    histogram = Histogram("h", "Some.", buckets=BOUNDS, registry=theirs)
    measured = Measured("h", "Some.", BOUNDS, ours)
    for value in VALUES:
        histogram.observe(value)
        measured.observe(value)
    assert without_births(ours) == without_births(theirs)


def test_what_was_never_counted_is_named_all_the_same() -> None:
    registry = CollectorRegistry()
    Counted("c", "Some.", ["a"], registry)
    Measured("h", "Some.", BOUNDS, registry)
    text = generate_latest(registry)
    assert b"# TYPE c_total counter" in text
    assert b"h_count 0.0" in text
