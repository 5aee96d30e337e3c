"""Derive again without writing, and say where the stored rows differ.

The questions are those that live deriving and `rebuild` insert the answers of. What differs may
have landed a moment ago: it is looked at again before it is told.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from processors.derive import Touched, order_select, session_selects
from processors.identity.persons import person_rows
from processors.keys import DAYS, KeyRange, Kind, key_ranges, keys_with_facts, touched_of
from spine.store import Row, Store, packed

_CHUNK_ROWS = 20_000
# A question's text is bounded, and each key stands in it: 22 bytes of a visitor and day, in base64.
_KEYS_AT_ONCE = 4_000
_FIELDS: Mapping[str, Sequence[str]] = {
    "visitor_days": (
        "started_at", "ended_at", "events", "page_views", "engaged", "source", "medium",
        "campaign", "channel_group", "click_id_name", "click_id", "landing_page", "furthest_step",
        "device", "place", "site",
    ),
    "orders": (
        "site", "transaction_id", "ordered_at", "first_reported_at", "currency", "gross",
        "refunded", "tax", "shipping", "status", "verified", "seen_browser", "seen_server",
        "visitor_id", "amounts_disagree", "currencies_disagree", "over_refunded",
        "negative_amount", "reversal_unverified", "reversals", "provenance",
    ),
    "persons": ("site", "identifier_type", "slices"),
}  # fmt: skip
_SLICES = "arrayMap(i -> (toUnixTimestamp64Milli(i.1), i.3), intervals)"

Found = dict[tuple[bytes, int], tuple[Any, ...]]
"""Key (and day, of sessions) → what a row says, in the order of its fields."""


class Difference(NamedTuple):
    """A field of which a stored row says something else than its facts.

    Shape: `field` is `row` where one of the two rows is missing, then the other side is `-`."""

    table: str
    key: str
    field: str
    stored: str
    derived: str


class Audited(NamedTuple):
    """A part that was looked at: the parts done, of how many, rows compared, what differs."""

    done: int
    total: int
    rows: int
    differences: Sequence[Difference]


async def audit(
    store: Store, days: tuple[int, int] = DAYS, pauses_s: Sequence[float] = ()
) -> AsyncIterator[Audited]:
    """Compare the derived rows of these days with what their facts say, part by part.

    Shape: days since 1970, UTC, both included: a session by its start day, an order and a person
    by the days of their facts. Stored persons have no day: those without facts are looked at only
    when all days are. What differs is looked at again after each pause. Raises: Unavailable."""
    ranges = await key_ranges(store, _CHUNK_ROWS)
    for number, keys in enumerate(ranges):
        wanted = await _keys(store, keys, days)
        stored, derived = await _both(store, keys.kind, wanted)
        rows = len(stored.keys() | derived.keys())
        for pause_s in pauses_s:
            if stored == derived:
                break
            await asyncio.sleep(pause_s)
            wanted = {key for key in wanted if stored.get(key) != derived.get(key)}
            stored, derived = await _both(store, keys.kind, wanted)
        yield Audited(number + 1, len(ranges), rows, list(_differences(keys.kind, stored, derived)))


async def _keys(store: Store, keys: KeyRange, days: tuple[int, int]) -> set[tuple[bytes, int]]:
    """Give the keys that have facts in the period, and those that have rows in it."""
    kind = keys.kind
    facts = await keys_with_facts(store, keys, days)
    found = {(visitor, day) for visitor, on in facts.visitor_days.items() for day in on}
    found |= {(key, 0) for key in facts.order_keys | facts.identifiers}
    day = {"visitor_days": "toUInt16(day)", "orders": "toUInt16(toDate(first_reported_at))"}
    if kind.table not in day and days != DAYS:
        return found
    rows = await store.select(
        f"SELECT {kind.key}, {'toUInt16(day)' if kind.table == 'visitor_days' else '0'}"
        f" FROM {kind.table} FINAL WHERE {keys.holds(kind.key)}"
        f" AND {day.get(kind.table, '0')} BETWEEN {days[0]} AND {days[1]}"
    )
    return found | {(bytes(key), int(on)) for key, on in rows}


async def _both(store: Store, kind: Kind, wanted: set[tuple[bytes, int]]) -> tuple[Found, Found]:
    """Read what is stored under these keys, and derive it again; days without sessions are no
    rows on either side."""
    stored: Found = {}
    derived: Found = {}
    ordered = sorted(wanted)
    for at in range(0, len(ordered), _KEYS_AT_ONCE):
        days: dict[bytes, set[int]] = {}
        for key, day in ordered[at : at + _KEYS_AT_ONCE]:
            days.setdefault(key, set()).add(day)
        stored |= _found(kind, await store.select(_stored_select(kind, days)))
        derived |= await _derived(store, kind, touched_of(kind, days))
    return (
        {key: row for key, row in stored.items() if key in wanted},
        {key: row for key, row in derived.items() if key in wanted},
    )


def _stored_select(kind: Kind, days: Mapping[bytes, set[int]]) -> str:
    here = f"{kind.table} FINAL WHERE {kind.key} IN {packed(days)}"
    if kind.table == "visitor_days":
        on = [day for several in days.values() for day in several]
        first, last = f"toDate({min(on)})", f"toDate({max(on)})"
        return (
            "SELECT site, visitor_id, day, sessions_of_day"
            f" FROM {here} AND day BETWEEN {first} AND {last}"
        )
    if kind.table == "orders":
        return f"SELECT order_key, {', '.join(_FIELDS['orders'])} FROM {here} AND status != ''"
    return f"SELECT visitor_id, site, identifier_type, {_SLICES} FROM {here}"


async def _derived(store: Store, kind: Kind, keys: Touched) -> Found:
    if keys.identifiers:
        rows = await person_rows(store, keys.identifiers)
        return _found(kind, [(row.key, *row.identifier, row.slices) for row in rows])
    selects = await session_selects(store, keys.visitor_days, token=0)
    if keys.order_keys:
        selects.append(order_select(keys.order_keys, token=0))
    return {
        k: row for select in selects for k, row in _found(kind, await store.select(select)).items()
    }


def _found(kind: Kind, rows: Sequence[Row]) -> Found:
    if kind.table == "orders":
        last = len(_FIELDS["orders"]) + 1
        return {(bytes(row[0]), 0): tuple(map(_listed, row[1:last])) for row in rows}
    if kind.table == "persons":
        return {(bytes(row[0]), 0): (*row[1:3], _told(row[3])) for row in rows if row[3]}
    return {
        (bytes(visitor), (day - date(1970, 1, 1)).days): tuple(
            (*_plain(one), site) for one in sessions
        )
        for site, visitor, day, sessions, *_ in rows
        if sessions
    }


def _plain(named: Any) -> tuple[Any, ...]:
    """Give a tuple of the store as one: the driver reads one with names as a dictionary."""
    return tuple(named.values()) if isinstance(named, dict) else tuple(named)


def _told(slices: Sequence[Any]) -> str:
    """Write whose an identifier is, and from when on."""
    told = [f"{since_ms or ''} {bytes(person).hex()}" for since_ms, person in map(_plain, slices)]
    return ", ".join(told)


def _listed(value: Any) -> Any:
    """Give a list of tuples of the store as one of tuples, and all else as it is."""
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _differences(kind: Kind, stored: Found, derived: Found) -> Iterator[Difference]:
    for key in sorted(stored.keys() | derived.keys()):
        ours, theirs = stored.get(key), derived.get(key)
        if ours == theirs:
            continue
        name = key[0].hex()
        if kind.table != "visitor_days":
            yield from _fields(kind, name, ours, theirs)
            continue
        name += f" {date.fromordinal(date(1970, 1, 1).toordinal() + key[1])}"
        # Sessions of a day are told apart by their start.
        before, after = ({one[0]: one for one in row or ()} for row in (ours, theirs))
        for start in sorted(before.keys() | after.keys()):
            yield from _fields(kind, f"{name} {_text(start)}", before.get(start), after.get(start))


def _fields(
    kind: Kind, name: str, stored: tuple[Any, ...] | None, derived: tuple[Any, ...] | None
) -> Iterator[Difference]:
    if stored is None or derived is None:
        row = ("-", "there") if stored is None else ("there", "-")
        yield Difference(kind.table, name, "row", *row)
        return
    for field, ours, theirs in zip(_FIELDS[kind.table], stored, derived, strict=True):
        if ours != theirs:
            yield Difference(kind.table, name, field, _text(ours), _text(theirs))


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    return "NULL" if value is None else str(value)
