"""Files of exchange rates: what is taken, and where what is wrong stands."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.rates import MOST_DAYS, Fault, Gap, Rate, gaps, read_rates

FRIDAY, MONDAY = date(2026, 11, 20), date(2026, 11, 23)
USD = Rate(FRIDAY, "USD", Decimal("1.0823"))
YEN = Rate(FRIDAY, "JPY", Decimal("162.5"))


def test_a_line_for_each_rate_is_taken() -> None:
    data = (
        b"\xef\xbb\xbfdate,currency,rate\r\n2026-11-20,USD,1.0823\r\n\r\n2026-11-20,JPY,162.5\r\n"
    )
    assert read_rates(data, "EUR") == [USD, YEN]


def test_a_column_for_each_currency_is_taken_as_the_ecb_writes_it() -> None:
    data = b"Date,USD,JPY,ISK,\n2026-11-23,1.09,N/A,,\n2026-11-20,1.0823,162.5,N/A,\n"
    assert read_rates(data, "EUR") == [Rate(MONDAY, "USD", Decimal("1.09")), USD, YEN]
    assert read_rates(data, "EUR", MONDAY) == [Rate(MONDAY, "USD", Decimal("1.09"))]


HEAD = b"date,currency,rate\n"


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b"", 1, 1),
        (b"day,currency,rate\n", 1, 1),
        (b"date;currency;rate\n2026-11-20;USD;1,08\n", 1, 1),
        (HEAD, 0, 0),
        (HEAD + b"2026-11-20,USD,1\n2026-11-20,US\xe4,1\n", 3, 14),
        ("date,currency,rate\n2026-11-20,USD,1\n".encode("utf-16"), 1, 1),
        (HEAD + b"20.11.2026,USD,1\n", 2, 1),
        (HEAD + b"2026-02-30,USD,1\n", 2, 1),
        (HEAD + b"2026-11-20,usd,1\n", 2, 2),
        (HEAD + b"2026-11-20,EUR,1\n", 2, 2),
        (HEAD + b'2026-11-20,USD,"1,08"\n', 2, 3),
        (HEAD + b"2026-11-20,USD,0\n", 2, 3),
        (HEAD + b"2026-11-20,USD,-1\n", 2, 3),
        (HEAD + b"2026-11-20,USD,1e3\n", 2, 3),
        (HEAD + b"2026-11-20,USD,NaN\n", 2, 3),
        (HEAD + b"2026-11-20,USD,\n", 2, 3),
        (HEAD + b"2026-11-20,USD\n", 2, 1),
        (HEAD + b"2026-11-20,USD,1\n2026-11-21,USD,1\n2026-11-20,USD,1\n", 4, 3),
        (b"Date,USD,Dollar\n2026-11-20,1,1\n", 1, 3),
        (b"Date,USD,JPY\n2026-11-20,1,x\n", 2, 3),
        (b"Date,USD,USD\n2026-11-20,1,1\n", 2, 3),
    ],
)
def test_what_is_wrong_is_told_by_line_and_column(data: bytes, line: int, column: int) -> None:
    found = read_rates(data, "EUR")
    assert isinstance(found, Fault)
    assert (found.line, found.column) == (line, column)


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda data: HEAD + data))
def test_no_file_makes_it_fail(data: bytes) -> None:
    assert isinstance(read_rates(data, "EUR"), Fault | list)


@given(st.sets(st.integers(0, 60), min_size=1))
def test_a_gap_is_each_day_whose_last_rate_is_too_old(days: set[int]) -> None:
    on = {FRIDAY + timedelta(days=day) for day in days}
    bare = {
        day
        for day in range(min(days), max(days))
        if not any(day - back in days for back in range(MOST_DAYS + 1))
    }
    told = {(one - FRIDAY).days for gap in gaps({"USD": on}) for one in _each(gap)}
    assert told == bare


def _each(gap: Gap) -> list[date]:
    return [gap.first + timedelta(days=n) for n in range((gap.last - gap.first).days + 1)]
