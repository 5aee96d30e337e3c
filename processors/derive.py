"""Recompute from the store whatever a batch touched: sessions, orders, persons.

Derived rows are functions of the set of landed rows; a late event is no special case, and deriving
twice changes nothing. Their version, a token, is taken after landing and before anything is read.
"""

import base64
import importlib.resources
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from processors.evidence import identifiers_of, is_report, opens_session, order_key, visitor_of
from processors.kept import first_day, kept
from processors.ledger import next_token
from processors.persons import person_columns, person_rows
from processors.windows import LAST_DAY, Window, groups_of, grown, merged_windows, windows_of
from spine.failpoint import reach
from spine.record import EventRecord
from spine.store import Store, packed

SESSION_TIMEOUT_S = 1800
"""A gap of more than this starts a session. Source: GA4's default."""

_DAY_MS = 86_400_000
_DAY_S = 86_400
_MAX_STRIPS = 60
_TIMEOUT = f"INTERVAL {SESSION_TIMEOUT_S} SECOND"
_SQL = {
    name: importlib.resources.files("processors").joinpath(f"{name}.sql").read_text("utf-8")
    for name in ("sessions", "edges", "windows", "orders")
}


class Touched(NamedTuple):
    """The keys whose derived rows a batch may change.

    Shape: `evidence` are the events that made the identifiers be touched, where they are evidence
    themselves. Units: days since 1970, UTC."""

    visitor_days: Mapping[bytes, set[int]]
    order_keys: set[bytes]
    identifiers: set[bytes]
    evidence: Collection[bytes] = ()


def touched(records: Iterable[EventRecord]) -> Touched:
    """Collect the keys that these events touch, a bot's too: an older list may have had it for a
    person when the facts landed. Pure."""
    visitor_days: dict[bytes, set[int]] = {}
    evidence: set[bytes] = set()
    found = Touched(visitor_days, set(), set(), evidence)
    for record in records:
        if opens_session(record):
            visitor_days.setdefault(visitor_of(record), set()).add(record.occurred_ms // _DAY_MS)
        if is_report(record):
            found.order_keys.add(order_key(record))
        if named := identifiers_of(record):
            found.identifiers.update(key for _, key in named)
            evidence.add(bytes.fromhex(record.identity))
    return found


async def derive(store: Store, keys: Touched) -> int:
    """Bring every derived row of these keys up to what has landed; give the token of its rows.

    One token serves all: none of these statements reads what another one writes."""
    reach("before the token")
    token = await next_token(store)
    reach("after the token")
    for select in await session_selects(store, keys.visitor_days, token):
        reach("before the sessions")
        await store.command(f"INSERT INTO visitor_days\n{select}")
        reach("after the sessions")
    if keys.order_keys:
        reach("before the orders")
        await store.command(f"INSERT INTO orders\n{order_select(keys.order_keys, token)}")
        reach("after the orders")
    if keys.identifiers:
        reach("before the persons")
        rows = await person_rows(store, keys.identifiers, keys.evidence)
        await store.insert("persons", person_columns(rows, token))
        reach("after the persons")
    return token


def order_select(order_keys: Iterable[bytes], token: int) -> str:
    """Write the question whose answer is the rows of `orders` for these keys."""
    return _SQL["orders"].format(order_keys=packed(order_keys), token=token, kept=kept("r"))


async def session_selects(
    store: Store, visitor_days: Mapping[bytes, set[int]], token: int
) -> list[str]:
    """Write the questions whose answers are the rows of `sessions` for these days and for every
    other day that their chains cover. Raises: Unavailable."""
    windows = [
        window for visitor, days in visitor_days.items() for window in windows_of(visitor, days)
    ]
    ((horizon,),) = await store.select_after_write("SELECT toUInt16(max(first_day)) FROM horizons")
    # The look at the edges is a reading, too: what lands after it has a higher token.
    closed = await _widened(store, windows, int(horizon))
    return [_session_select(group, int(horizon), token) for group in groups_of(closed)]


def _session_select(group: Sequence[Window], horizon: int, token: int) -> str:
    return _SQL["sessions"].format(
        **_slots(group, horizon),
        first_day=min(window.since for window in group),
        last_day=max(window.until for window in group),
        timeout_s=SESSION_TIMEOUT_S,
        token=token,
    )


def _slots(group: Sequence[Window], horizon: int) -> Mapping[str, str]:
    """Write how a statement names the windows of a group, and what of them is over.

    Nearly all windows are of the same days: these days are constants, and nothing is joined. To
    analyse a statement with thousands of windows in it takes as long as to run it. Nearly none
    reach behind a horizon."""
    is_recent = min(window.since for window in group) >= horizon
    shown = "1" if is_recent else f"toDate(f.occurred_at) >= {first_day('f')}"
    return {**_window_slots(group), "kept": "1" if is_recent else kept("f"), "shown": shown}


def _window_slots(group: Sequence[Window]) -> Mapping[str, str]:
    visitors = packed(window.visitor for window in group)
    _, since, until, days = group[0]
    if all(window[1:] == group[0][1:] for window in group):
        return {
            "visitors": visitors,
            "since": f"toUInt16({since})",
            "until": f"toUInt16({until})",
            "days": f"CAST({sorted(days)}, 'Array(UInt16)')",
            "windows": "",
            "within": "1",
            "near": "1",
        }
    spread = [(window, day) for window in group for day in sorted(window.days)]
    windows = _SQL["windows"].format(
        visitors=_base64(b"".join(window.visitor for window, _ in spread)),
        days=_uint16s(day for _, day in spread),
        sinces=_uint16s(window.since for window, _ in spread),
        untils=_uint16s(window.until for window, _ in spread),
    )
    return {
        "visitors": visitors,
        "since": "w.since",
        "until": "w.until",
        "days": "w.days",
        "windows": f"INNER JOIN (\n{windows}) AS w ON f.visitor_id = w.visitor_id",
        "within": _between("w.since_at", "w.until_at"),
        "near": f"(w.since > 0 AND {_between('w.since_at', f'w.since_at + {_TIMEOUT}')}"
        f" OR w.until < {LAST_DAY} AND {_between(f'w.until_at - {_TIMEOUT}', 'w.until_at')})",
    }


async def _widened(store: Store, windows: Sequence[Window], horizon: int) -> list[Window]:
    """Widen every window whose edge may cut a chain of events, until none does."""
    closed: list[Window] = []
    unsure = list(windows)
    while unsure:
        cut = {
            (bytes(visitor), since, until)
            for group in groups_of(unsure)
            for visitor, since, until in await store.select_after_write(_edges_sql(group, horizon))
        }
        closed += [w for w in unsure if (w.visitor, w.since, w.until) not in cut]
        wider: dict[bytes, list[Window]] = {}
        for window in unsure:
            if (window.visitor, window.since, window.until) in cut:
                wider.setdefault(window.visitor, []).append(grown(window))
        # A window that grew may reach another one of its visitor: they become one.
        for window in [w for w in closed if w.visitor in wider]:
            closed.remove(window)
            wider[window.visitor].append(window)
        unsure = [window for several in wider.values() for window in merged_windows(several)]
    return closed


def _edges_sql(group: Sequence[Window], horizon: int) -> str:
    return _SQL["edges"].format(**_slots(group, horizon), strips=_strips(group))


def _strips(group: Sequence[Window]) -> str:
    """Write the condition that a time is within one time-out of an edge of any window; of very
    many windows, that it lies between the first and the last.

    Beyond the first and the last of all days there is nothing to cut."""
    sinces = {window.since for window in group} - {0}
    untils = {window.until for window in group} - {LAST_DAY}
    if len(sinces) + len(untils) > _MAX_STRIPS:
        return _between(_time(min(sinces | untils) * _DAY_S), _time(max(sinces | untils) * _DAY_S))
    strips = [(day * _DAY_S, day * _DAY_S + SESSION_TIMEOUT_S) for day in sinces]
    strips += [(day * _DAY_S - SESSION_TIMEOUT_S, day * _DAY_S) for day in untils]
    return " OR ".join(_between(_time(first), _time(end)) for first, end in strips) or "0"


def _time(since_1970_s: int) -> str:
    return f"toDateTime64({since_1970_s}, 3, 'UTC')"


def _between(first: str, until: str) -> str:
    return f"(f.occurred_at >= {first} AND f.occurred_at < {until})"


def _uint16s(numbers: Iterable[int]) -> str:
    return _base64(array("H", numbers).tobytes())


def _base64(packed: bytes) -> str:
    return base64.b64encode(packed).decode()
