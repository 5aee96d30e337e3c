"""Who is turned away when, and how the room for requests follows their waits."""

import pytest

from collector.pressure import Bounds, Pressure, Why, adapted, why_not

BOUNDS = Bounds(in_flight_bytes=1000, in_flight_requests=400, wait_s=0.025)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def late(pressure: Pressure) -> bool:
    return pressure.late


def lasts(pressure: Pressure) -> bool:
    return pressure.lasts


@pytest.mark.parametrize(
    ("in_flight", "comes_again", "why"),
    [
        ((750, 300, 400), True, None),
        ((751, 0, 400), True, "bytes"),
        ((751, 0, 400), False, None),
        ((1001, 0, 400), False, "bytes"),
        ((0, 301, 400), True, "requests"),
        ((0, 301, 400), False, None),
        ((0, 401, 400), False, "requests"),
        ((0, 100, 100), True, "wait"),
        ((0, 100, 100), False, None),
        ((0, 101, 100), False, "wait"),
    ],
)
def test_who_comes_again_is_turned_away_first(
    in_flight: tuple[int, int, int], comes_again: bool, why: Why | None
) -> None:
    assert why_not(*in_flight, BOUNDS, comes_again=comes_again) == why


def test_one_late_moment_is_a_hiccup_and_three_are_a_queue() -> None:
    assert adapted(400, 200, late=1, bounds=BOUNDS) == 400
    assert adapted(400, 200, late=2, bounds=BOUNDS) == 400
    assert adapted(400, 200, late=3, bounds=BOUNDS) == 150
    assert adapted(150, 150, late=0, bounds=BOUNDS) == 166
    assert adapted(395, 10, late=0, bounds=BOUNDS) == 400
    assert adapted(70, 5, late=9, bounds=BOUNDS) == 64  # something is always let in


def test_room_shrinks_while_everybody_waits_and_comes_back() -> None:
    clock = Clock()
    pressure = Pressure(BOUNDS, clock)
    pressure.requests = 200
    for _ in range(8):
        came_at, clock.now = clock.now, clock.now + 0.03
        pressure.waited(came_at)
        pressure.moment()
    assert late(pressure)
    assert pressure.room < 100
    assert pressure.why_not(comes_again=True) == "wait"
    pressure.requests = 0
    for _ in range(30):
        pressure.moment()
    assert not late(pressure)
    assert pressure.room == BOUNDS.in_flight_requests
    assert pressure.why_not(comes_again=True) is None


def test_one_request_that_need_not_wait_shows_that_there_is_no_queue() -> None:
    clock = Clock()
    pressure = Pressure(BOUNDS, clock)
    for _ in range(8):
        came_at, clock.now = clock.now, clock.now + 0.03
        pressure.waited(came_at)
        pressure.waited(clock.now)
        pressure.moment()
    assert pressure.room == BOUNDS.in_flight_requests


def test_overload_is_told_only_when_it_lasts() -> None:
    clock = Clock()
    pressure = Pressure(BOUNDS, clock)
    pressure.bytes = 2000
    pressure.why_not(comes_again=True)
    assert not lasts(pressure)
    for _ in range(6):
        clock.now += 1
        pressure.why_not(comes_again=True)
    assert lasts(pressure)
    clock.now += 5.1
    assert not lasts(pressure)
    pressure.why_not(comes_again=True)
    assert not lasts(pressure)
