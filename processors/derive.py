"""Recompute from the store whatever a batch touched: sessions, orders, persons.

Derived rows are functions of the set of landed rows; a late event is no special case, and deriving
twice changes nothing. Their version, a token, is taken after landing and before anything is read.
"""

import base64
import importlib.resources
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from processors.evidence import is_edge, is_report, opens_session, order_key, visitor_of
from processors.ledger import next_token
from spine.failpoint import reach
from spine.record import EventRecord
from spine.store import Store, packed

SESSION_TIMEOUT_S = 1800
"""A gap of more than this starts a session. Source: GA4's default."""

_DAY_MS = 86_400_000
_LAST_DAY = 65_535
_SQL = {
    name: importlib.resources.files("processors").joinpath(f"{name}.sql").read_text("utf-8")
    for name in ("sessions", "edges", "orders", "persons")
}


class Touched(NamedTuple):
    """The keys whose derived rows a batch may change.

    Units: days since 1970, UTC."""

    visitor_days: Mapping[bytes, set[int]]
    order_keys: set[bytes]
    anonymous_keys: set[bytes]


class Window(NamedTuple):
    """The days of one visitor that are read to rewrite the touched ones: since <= day < until."""

    visitor: bytes
    since: int
    until: int
    days: frozenset[int]


def touched(records: Iterable[EventRecord]) -> Touched:
    """Collect the keys that these events touch. Pure."""
    visitor_days: dict[bytes, set[int]] = {}
    found = Touched(visitor_days, set(), set())
    for record in records:
        if opens_session(record):
            visitor_days.setdefault(visitor_of(record), set()).add(record.occurred_ms // _DAY_MS)
        if is_report(record):
            found.order_keys.add(order_key(record))
        if is_edge(record):
            found.anonymous_keys.add(visitor_of(record))
    return found


async def derive(store: Store, keys: Touched) -> int:
    """Bring every derived row of these keys up to what has landed; give the token of its rows.

    One token serves all: none of these statements reads what another one writes."""
    reach("before the token")
    token = await next_token(store)
    reach("after the token")
    for select in await session_selects(store, keys.visitor_days, token):
        reach("before the sessions")
        await store.command(f"INSERT INTO sessions\n{select}")
        reach("after the sessions")
    if keys.order_keys:
        reach("before the orders")
        await store.command(f"INSERT INTO orders\n{order_select(keys.order_keys, token)}")
        reach("after the orders")
    if keys.anonymous_keys:
        reach("before the persons")
        await store.command(f"INSERT INTO persons\n{person_select(keys.anonymous_keys, token)}")
        reach("after the persons")
    return token


def order_select(order_keys: Iterable[bytes], token: int) -> str:
    """Write the question whose answer is the rows of `orders` for these keys."""
    return _SQL["orders"].format(order_keys=packed(order_keys), token=token)


def person_select(anonymous_keys: Iterable[bytes], token: int) -> str:
    """Write the question whose answer is the rows of `persons` for these keys."""
    return _SQL["persons"].format(anonymous_keys=packed(anonymous_keys), token=token)


async def session_selects(
    store: Store, visitor_days: Mapping[bytes, set[int]], token: int
) -> list[str]:
    """Write the questions whose answers are the rows of `sessions` for these days and for every
    other day that their chains cover. Raises: Unavailable."""
    windows = [
        window for visitor, days in visitor_days.items() for window in windows_of(visitor, days)
    ]
    # The look at the edges is a reading, too: what lands after it has a higher token.
    return [_session_select(group, token) for group in groups_of(await _widened(store, windows))]


def _session_select(group: Sequence[Window], token: int) -> str:
    rows = [(window, day) for window in group for day in sorted(window.days)]
    return _SQL["sessions"].format(
        visitors=_base64(window.visitor for window, _ in rows),
        days=_base64(_uint16(day) for _, day in rows),
        sinces=_base64(_uint16(window.since) for window, _ in rows),
        untils=_base64(_uint16(window.until) for window, _ in rows),
        first_day=min(window.since for window in group),
        last_day=max(window.until for window in group),
        timeout_s=SESSION_TIMEOUT_S,
        token=token,
    )


async def _widened(store: Store, windows: Sequence[Window]) -> list[Window]:
    """Widen every window whose edge may cut a chain of events, until none does."""
    closed: list[Window] = []
    unsure = list(windows)
    while unsure:
        cut = {
            (bytes(visitor), since, until)
            for group in groups_of(unsure)
            for visitor, since, until in await store.select_after_write(_edges_sql(group))
        }
        closed += [w for w in unsure if (w.visitor, w.since, w.until) not in cut]
        wider: dict[bytes, list[Window]] = {}
        for window in unsure:
            if (window.visitor, window.since, window.until) in cut:
                wider.setdefault(window.visitor, []).append(_wider(window))
        # A window that grew may reach another one of its visitor: they become one.
        for window in [w for w in closed if w.visitor in wider]:
            closed.remove(window)
            wider[window.visitor].append(window)
        unsure = [window for several in wider.values() for window in _merged(several)]
    return closed


def _edges_sql(group: Sequence[Window]) -> str:
    return _SQL["edges"].format(
        visitors=_base64(window.visitor for window in group),
        sinces=_base64(_uint16(window.since) for window in group),
        untils=_base64(_uint16(window.until) for window in group),
        first_day=min(window.since for window in group),
        last_day=max(window.until for window in group),
        end_of_days=_LAST_DAY,
        timeout_s=SESSION_TIMEOUT_S,
    )


def windows_of(visitor: bytes, days: Iterable[int]) -> list[Window]:
    """Lay a window of one day to either side around each touched day; windows that meet are one."""
    return _merged(
        [
            Window(visitor, max(day - 1, 0), min(day + 2, _LAST_DAY), frozenset({day}))
            for day in sorted(days)
        ]
    )


def _wider(window: Window) -> Window:
    grow = 2 * (window.until - window.since)
    since, until = max(window.since - grow, 0), min(window.until + grow, _LAST_DAY)
    return window._replace(since=since, until=until)


def _merged(windows: Iterable[Window]) -> list[Window]:
    merged: list[Window] = []
    for window in sorted(windows, key=lambda w: (w.visitor, w.since)):
        if merged and merged[-1].visitor == window.visitor and window.since <= merged[-1].until:
            last = merged[-1]
            merged[-1] = Window(
                last.visitor, last.since, max(last.until, window.until), last.days | window.days
            )
        else:
            merged.append(window)
    return merged


def groups_of(windows: Sequence[Window]) -> list[list[Window]]:
    """Put the windows of the commonest days in a statement of their own: a few late events must
    not make it read the days between."""
    if not windows:
        return []
    commonest, _ = Counter((window.since, window.until) for window in windows).most_common(1)[0]
    main = [window for window in windows if (window.since, window.until) == commonest]
    rest = [window for window in windows if (window.since, window.until) != commonest]
    return [group for group in (main, rest) if group]


def _uint16(number: int) -> bytes:
    return number.to_bytes(2, "little")


def _base64(parts: Iterable[bytes]) -> str:
    return base64.b64encode(b"".join(parts)).decode()
