"""Which keys a batch touches, and which days are read for them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from processors.derive import touched
from processors.evidence import order_key, visitor_of
from processors.windows import Window, groups_of, windows_of
from spine.digest import identifier_id
from tests.flow.happenings import DAY_MS, Happening, Order, record

VISITOR = bytes(15) + b"v"
DAY = 19_800
LAST_DAY = 65_535


def test_a_window_is_the_touched_day_with_a_day_to_either_side() -> None:
    assert windows_of(VISITOR, {DAY}) == [Window(VISITOR, DAY - 1, DAY + 2, frozenset({DAY}))]


def test_windows_that_meet_are_one() -> None:
    days = {DAY, DAY + 3, DAY + 7}
    assert windows_of(VISITOR, days) == [
        Window(VISITOR, DAY - 1, DAY + 5, frozenset({DAY, DAY + 3})),
        Window(VISITOR, DAY + 6, DAY + 9, frozenset({DAY + 7})),
    ]


def test_no_window_reaches_beyond_the_days_there_are() -> None:
    first, last = windows_of(VISITOR, {0, LAST_DAY - 1})
    assert (first.since, first.until) == (0, 2)
    assert (last.since, last.until) == (LAST_DAY - 2, LAST_DAY)


@given(st.sets(st.integers(0, LAST_DAY - 1), min_size=1, max_size=20))
def test_every_touched_day_lies_inside_exactly_one_window(days: set[int]) -> None:
    windows = windows_of(VISITOR, days)
    assert sorted(day for window in windows for day in window.days) == sorted(days)
    for window in windows:
        for day in window.days:
            assert window.since <= max(day - 1, 0)
            assert window.until >= min(day + 2, LAST_DAY)
    for earlier, later in pairwise(windows):
        assert earlier.until < later.since


@given(st.lists(st.tuples(st.integers(0, 9), st.sets(st.integers(0, 99), min_size=1)), max_size=9))
def test_groups_hold_every_window_once(told: list[tuple[int, set[int]]]) -> None:
    windows = [window for number, days in told for window in windows_of(bytes([number]) * 16, days)]
    groups = groups_of(windows)
    assert all(groups)
    assert len(groups) <= 2
    assert sorted(window for group in groups for window in group) == sorted(windows)


def test_the_commonest_days_are_read_apart_from_the_late_ones() -> None:
    live = [windows_of(bytes([number]) * 16, {DAY})[0] for number in range(3)]
    late = windows_of(VISITOR, {DAY - 400})
    assert groups_of([*late, *live]) == [live, late]


def test_a_batch_touches_days_orders_and_identifiers() -> None:
    seen = Happening("shop", "page_view", "e", DAY * DAY_MS, anonymous_id="a")
    login = seen._replace(at_ms=DAY * DAY_MS - 1, user_id="u")
    bought = seen._replace(name="purchase", channel="server", path=None, order=Order("t", "1"))
    nobodys = seen._replace(anonymous_id=None)
    told = [record(one) for one in (seen, login, bought, nobodys)]
    found = touched(told)
    visitor = visitor_of(told[0])
    assert found.visitor_days == {visitor: {DAY - 1, DAY}}
    assert found.order_keys == {order_key(told[2])}
    user = identifier_id("shop", "user_id", "u")
    assert found.identifiers == {visitor, user}
    assert found.evidence == {bytes.fromhex(login.identity)}
    assert touched([]) == ({}, set(), set(), set())
