"""Exchange rates: read from a file of the operator's, and kept in the store by currency and day.

A number is then a function of events and rates. A day without a rate has that of the last day
before, at most `MOST_DAYS` back, as at week-ends; a table in which that leaves a day bare is
refused.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from processors.ledger import next_token
from spine.store import Store

MOST_DAYS = 7
"""How many days back a rate may be. The view `order_rates` says the same."""

_CURRENCY = re.compile(r"[A-Z]{3}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_RATE = re.compile(r"\d{1,8}(\.\d{1,8})?")
_LEAST, _MOST = Decimal("0.000001"), Decimal(10_000_000)
_NONE = ("", "N/A")


class Rate(NamedTuple):
    """What one unit of the base is in another currency on a day."""

    on: date
    currency: str
    rate: Decimal


class Fault(NamedTuple):
    """Why a file of rates is not taken. Units: lines and columns from 1; 0 is the whole file."""

    line: int
    column: int
    why: str


class Cell(NamedTuple):
    """A rate as it stands in the file, and where its currency is named."""

    line: int
    column: int
    on: str
    currency: str
    rate: str
    named_at: tuple[int, int]


def read_rates(data: bytes, base: str, since: date = date.min) -> Sequence[Rate] | Fault:
    """Read a file of rates against a base, all of it or nothing, without what is before `since`.

    Shape: CSV with the head `date,currency,rate`, or a column for each currency after `Date`, in
    which an empty cell and `N/A` are no rate. Source: ECB, `eurofxref-hist.csv`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        return Fault(line, column, "is no UTF-8")
    try:
        rows = [*csv.reader(text.splitlines(), strict=True)]
    except csv.Error as error:
        return Fault(1, 1, f"is no CSV: {error}")
    cells = _cells(rows)
    return cells if isinstance(cells, Fault) else _rates(cells, base, since)


def _cells(rows: Sequence[Sequence[str]]) -> Sequence[Cell] | Fault:
    head = [name.strip() for name in rows[0]] if rows else []
    is_long = head == ["date", "currency", "rate"]
    if not is_long and (len(head) < 2 or head[0] != "Date"):
        return Fault(1, 1, 'must be "date,currency,rate", or "Date" and a column for each currency')
    body = [(nth, [*map(str.strip, row)]) for nth, row in enumerate(rows[1:], 2) if any(row)]
    for nth, row in body:
        if len(row) != len(head):
            return Fault(nth, 1, f"has {len(row)} columns, and the head has {len(head)}")
    if is_long:
        return [Cell(nth, 3, row[0], row[1], row[2], (nth, 2)) for nth, row in body]
    return [
        Cell(nth, column, row[0], head[column - 1], row[column - 1], (1, column))
        for nth, row in body
        for column in range(2, len(head) + 1)
        if head[column - 1] and row[column - 1] not in _NONE
    ]


def _rates(cells: Iterable[Cell], base: str, since: date) -> Sequence[Rate] | Fault:
    found: dict[tuple[str, date], Cell] = {}
    rates = []
    for cell in cells:
        rate = _rate(cell, base)
        if isinstance(rate, Fault):
            return rate
        first = found.setdefault((rate.currency, rate.on), cell)
        if first is not cell:
            return Fault(cell.line, cell.column, f"stands in line {first.line} already")
        if rate.on >= since:
            rates.append(rate)
    return rates or Fault(0, 0, "has no rates")


def _rate(cell: Cell, base: str) -> Rate | Fault:
    if not _CURRENCY.fullmatch(cell.currency):
        return Fault(*cell.named_at, f'"{cell.currency}" is no currency of three capitals')
    if cell.currency == base:
        return Fault(*cell.named_at, f"{base} is what the others are measured in")
    on = _day(cell.on)
    if on is None:
        return Fault(cell.line, 1, f'"{cell.on}" is no day like 2026-11-20')
    if not _RATE.fullmatch(cell.rate) or not _LEAST <= Decimal(cell.rate) <= _MOST:
        return Fault(cell.line, cell.column, f'"{cell.rate}" is no rate like 1.0823')
    return Rate(on, cell.currency, Decimal(cell.rate))


def _day(text: str) -> date | None:
    try:
        on = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None
    return on if on is not None and 1970 <= on.year < 2149 else None


class Gap(NamedTuple):
    """Days, both included, on which a currency has no rate, though it has some around them."""

    currency: str
    first: date
    last: date


def gaps(days: Mapping[str, Iterable[date]]) -> Iterator[Gap]:
    """Say where each currency's days leave one without a rate."""
    for currency, on in sorted(days.items()):
        for before, after in pairwise(sorted(set(on))):
            bare = before + timedelta(days=MOST_DAYS + 1)
            if bare < after:
                yield Gap(currency, bare, after - timedelta(days=1))


async def known_days(store: Store) -> tuple[str, Mapping[str, set[date]]]:
    """Give the base of the rates that are stored, '' for none, and the days of each currency.
    Raises: Unavailable."""
    rows = await store.select(
        "SELECT base, currency, groupUniqArray(date) FROM rates GROUP BY 1, 2"
    )
    return (rows[0][0] if rows else ""), {currency: set(days) for _, currency, days in rows}


async def keep_rates(store: Store, base: str, rates: Sequence[Rate]) -> None:
    """Store rates: of each currency and day the last import's counts. Safe to repeat, and all of it
    is one insert. Raises: Unavailable."""
    token = await next_token(store)
    await store.insert(
        "rates",
        {
            "currency": [one.currency for one in rates],
            "date": [one.on for one in rates],
            "base": [base] * len(rates),
            "rate": [one.rate for one in rates],
            "version": [token] * len(rates),
        },
    )


async def forget_rates(store: Store) -> None:
    """Let no rate be stored. Raises: Unavailable; then do it again."""
    await store.mutate("rates", "ALTER TABLE rates DELETE WHERE 1 SETTINGS mutations_sync = 2")
