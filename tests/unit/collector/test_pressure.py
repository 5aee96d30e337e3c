"""Who is turned away when, and how the room for requests follows how busy the loop is."""

import pytest

from collector.pressure import Bounds, Pressure, Why, adapted, why_not

BOUNDS = Bounds(in_flight_bytes=1000, in_flight_requests=400, wait_s=0.025)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


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


def test_some_busy_moments_are_a_hiccup_and_three_are_a_queue() -> None:
    assert adapted(400, 1, 4000, 0.01, BOUNDS) == 400
    assert adapted(400, 2, 4000, 0.01, BOUNDS) == 400
    assert adapted(400, 3, 4000, 0.01, BOUNDS) == 140  # 4000 a second, for 10 and 25 ms
    assert adapted(120, 3, 4000, 0.01, BOUNDS) == 136
    assert adapted(150, 0, 4000, 0.01, BOUNDS) == 166
    assert adapted(395, 0, 0, 0.01, BOUNDS) == 400
    assert adapted(400, 9, 10, 0.01, BOUNDS) == 86  # something is always let in
    assert adapted(20, 9, 10, 0.01, BOUNDS._replace(in_flight_requests=20)) == 20  # but no more


def test_room_shrinks_to_what_is_done_in_time_and_comes_back() -> None:
    pressure = Pressure(BOUNDS)
    pressure.requests = 110
    for _ in range(60):  # 80 in 20 ms, and the log takes 2 ms at best
        for took_s in (0.002, *[0.05] * 79):
            pressure.appended(took_s)
        pressure.moment(busy=1.0, seconds=0.02)
    assert 100 < pressure.room <= 108
    assert pressure.why_not(comes_again=True) == "wait"
    pressure.requests = 0
    for _ in range(30):
        pressure.moment(busy=0.5, seconds=0.02)
    assert pressure.room == BOUNDS.in_flight_requests
    assert pressure.why_not(comes_again=True) is None


def test_a_slow_log_alone_turns_nobody_away() -> None:
    pressure = Pressure(BOUNDS)
    pressure.requests = 300
    for _ in range(100):
        pressure.appended(2.0)
        pressure.moment(busy=0.3, seconds=0.02)
    assert pressure.room == BOUNDS.in_flight_requests


def test_a_busy_loop_before_a_slow_log_lets_in_what_the_log_needs() -> None:
    pressure = Pressure(BOUNDS)
    for _ in range(60):
        for _ in range(80):
            pressure.appended(0.05)
        pressure.moment(busy=1.0, seconds=0.02)
    assert 290 < pressure.room <= 300  # 4000 a second, for 50 and 25 ms


def test_what_the_log_took_long_ago_is_forgotten() -> None:
    clock = Clock()
    pressure = Pressure(BOUNDS, clock)
    rooms = []
    for took_s in (0.001, 0.05, 0.05, 0.05):
        for _ in range(60):
            for _ in range(80):
                pressure.appended(took_s)
            clock.now += 0.1
            pressure.moment(busy=1.0, seconds=0.02)
        rooms.append(pressure.room)
    assert rooms[0] < 110
    assert rooms[-1] > 290


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
