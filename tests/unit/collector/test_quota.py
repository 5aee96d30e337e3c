"""Tokens come at their rate, and what is kept about strangers is bounded."""

from hypothesis import given
from hypothesis import strategies as st

from collector.quota import Bucket, Strangers


@given(st.integers(1, 1000), st.lists(st.tuples(st.floats(0, 3), st.integers(1, 100)), max_size=60))
def test_no_more_is_let_in_than_rate_and_burst_allow(
    rate: int, sends: list[tuple[float, int]]
) -> None:
    bucket, now, let_in, last = Bucket(rate, 2.0, 0.0), 0.0, 0, 0
    for pause_s, events in sends:
        now += pause_s
        if bucket.wait_s(now) == 0:
            bucket.take(events)
            let_in, last = let_in + events, events
    assert let_in - last <= rate * (now + 2.0) + 1e-6


def test_who_waits_as_long_as_told_is_let_in() -> None:
    bucket = Bucket(10, 2.0, 0.0)
    bucket.take(500)
    wait_s = bucket.wait_s(0.0)
    assert 48 < wait_s < 49
    assert bucket.wait_s(wait_s - 1) > 0
    assert bucket.wait_s(wait_s + 0.001) == 0


def test_a_million_networks_do_not_grow_the_table() -> None:
    strangers = Strangers(120, clock=lambda: 0.0)
    for number in range(1_000_000):
        strangers.wait_s(f"{number}")
    assert len(strangers) == 10_000


def test_a_network_may_be_wrong_so_often_and_others_are_not_meant() -> None:
    now = [0.0]
    strangers = Strangers(120, clock=lambda: now[0])
    waits = [strangers.wait_s("198.51.100.0") for _ in range(121)]
    assert waits[:120] == [0.0] * 120
    assert 0 < waits[120] <= 1
    assert strangers.wait_s("203.0.113.0") == 0
    now[0] = 1.001
    assert strangers.wait_s("198.51.100.0") == 0
