"""A queue that stands is ended by letting in nothing, and not for ever."""

import pytest

from collector.door.late import Late

LIMIT_MS = 25


def after(moments: int, unread_ms: int, requests: int = 40) -> Late:
    """Give what has seen so many moments of such requests, each of them looked at."""
    late = Late(LIMIT_MS)
    for _ in range(moments):
        for _ in range(requests):
            late.is_late(unread_ms)
        late.moment()
    return late


@pytest.mark.parametrize(("unread_ms", "expected"), [(0, False), (25, False), (26, True)])
def test_late_is_what_lay_unread_longer_than_the_limit(unread_ms: int, expected: bool) -> None:
    assert Late(LIMIT_MS).is_late(unread_ms) is expected


def test_when_many_were_late_everything_is_in_the_next_moment() -> None:
    assert after(1, unread_ms=26).is_late(0)


def test_when_few_were_late_nothing_else_is() -> None:
    late = Late(LIMIT_MS)
    assert [late.is_late(26 if number == 0 else 0) for number in range(20)].count(True) == 1
    late.moment()
    assert not late.is_late(0)


def test_when_they_are_in_time_again_they_are_let_in_again() -> None:
    late = after(3, unread_ms=26)
    assert late.is_late(0)
    late.moment()
    assert not late.is_late(0)


def test_a_moment_without_requests_ends_it() -> None:
    late = after(3, unread_ms=26)
    late.moment()
    assert not late.is_late(0)


def test_when_a_queue_never_ends_nothing_is_late_half_of_the_time() -> None:
    late, shut = Late(LIMIT_MS), 0
    for _ in range(200):
        found = {late.is_late(26), late.is_late(26)}
        assert len(found) == 1
        shut += found == {True}
        late.moment()
    assert 95 <= shut <= 105


def test_of_those_that_are_turned_away_anyway_some_are_looked_at() -> None:
    late = Late(LIMIT_MS)
    assert sum(late.looks(turned_away=True) for _ in range(160)) == 10
    assert all(late.looks(turned_away=False) for _ in range(10))
