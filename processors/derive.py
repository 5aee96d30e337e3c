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
from processors.identity.persons import person_columns, person_rows
from processors.ledger import next_token
from processors.retention.kept import first_day, kept
from processors.session_rules import IN_FORCE, SessionRules, session_rules
from processors.windows import LAST_DAY, Window, groups_of, grown, merged_windows, windows_of
from spine.failpoint import reach
from spine.record import EventRecord
from spine.store import Store, packed

_DAY_MS = 86_400_000
_DAY_S = 86_400
_MAX_STRIPS = 60
_CUTS = ("cut_by_gap", "cut_by_campaign")
_SQL = {
    name: importlib.resources.files("processors").joinpath(f"{name}.sql").read_text("utf-8")
    for name in (*_CUTS, "sessions", "edges", "windows", "orders")
}


class Touched(NamedTuple):
    """The keys whose derived rows a batch may change.

    Shape: `evidence` are the events that made the identifiers be touched, where they are evidence
    themselves. Units: days since 1970, UTC."""

    visitor_days: Mapping[bytes, set[int]]
    order_keys: set[bytes]
    identifiers: set[bytes]
    evidence: Collection[bytes] = ()


class Known(NamedTuple):
    """What is read, and cut by which rules.

    Units: from the day `horizon` on, since 1970, everything is there."""

    horizon: int
    rules: SessionRules


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
    ((horizon, told),) = await store.select_after_write(
        f"SELECT toUInt16(max(first_day)), {IN_FORCE} FROM horizons"
    )
    known = Known(int(horizon), session_rules(told))
    # The look at the edges is a reading, too: what lands after it has a higher token.
    closed = await _widened(store, windows, known)
    return [_session_select(group, known, token) for group in groups_of(closed)]


def _session_select(group: Sequence[Window], known: Known, token: int) -> str:
    rules = known.rules
    timeout_ms = rules.sql("timeout_s", "e.site", 1000)
    cut = "cut_by_gap" if rules.cut_by_gaps_alone else "cut_by_campaign"
    return _SQL["sessions"].format(
        **_slots(group, known),
        first_day=min(window.since for window in group),
        last_day=max(window.until for window in group),
        cut=_SQL[cut].format(timeout_ms=timeout_ms),
        campaign="" if rules.cut_by_gaps_alone else _campaign(rules),
        engaged_ms=rules.sql("engaged_after_s", "c.site", 1000),
        token=token,
    )


def _campaign(rules: SessionRules) -> str:
    """Write what else of a fact cuts: the day at its site, and the campaign that counts there."""
    rule, timezone = rules.sql("name", "f.site"), rules.sql("timezone", "f.site")
    day = f"toUInt16(toDate(substring(toString(f.occurred_at, {timezone}), 1, 10)))"
    counts = f"({rule} = 'universal' OR {rule} = 'matomo' AND f.is_tagged) AND f.source != ''"
    click = f"if({rule} = 'universal', f.click_id, '')"
    key = rf"concat(f.source, '\0', f.medium, '\0', f.campaign, '\0', {click})"
    return f", if({rule} = 'ga4', 0, {day}), if({counts}, {key}, '')"


def _slots(group: Sequence[Window], known: Known) -> Mapping[str, str]:
    """Write how a statement names the windows of a group, and what of them is over.

    Nearly all windows are of the same days: these days are constants, and nothing is joined. To
    analyse a statement with thousands of windows in it takes as long as to run it. Nearly none
    reach behind a horizon."""
    is_recent = min(window.since for window in group) >= known.horizon
    shown = "1" if is_recent else f"toDate(f.occurred_at) >= {first_day('f')}"
    return {
        **_window_slots(group, known.rules.widest_s),
        "kept": "1" if is_recent else kept("f"),
        "shown": shown,
    }


def _window_slots(group: Sequence[Window], timeout_s: int) -> Mapping[str, str]:
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
    timeout = f"INTERVAL {timeout_s} SECOND"
    return {
        "visitors": visitors,
        "since": "w.since",
        "until": "w.until",
        "days": "w.days",
        "windows": f"INNER JOIN (\n{windows}) AS w ON f.visitor_id = w.visitor_id",
        "within": _between("w.since_at", "w.until_at"),
        "near": f"(w.since > 0 AND {_between('w.since_at', f'w.since_at + {timeout}')}"
        f" OR w.until < {LAST_DAY} AND {_between(f'w.until_at - {timeout}', 'w.until_at')})",
    }


async def _widened(store: Store, windows: Sequence[Window], known: Known) -> list[Window]:
    """Widen every window whose edge may cut a chain of events, until none does."""
    closed: list[Window] = []
    unsure = list(windows)
    while unsure:
        cut = {
            (bytes(visitor), since, until)
            for group in groups_of(unsure)
            for visitor, since, until in await store.select_after_write(_edges_sql(group, known))
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


def _edges_sql(group: Sequence[Window], known: Known) -> str:
    strips = _strips(group, known.rules.widest_s)
    return _SQL["edges"].format(**_slots(group, known), strips=strips)


def _strips(group: Sequence[Window], timeout_s: int) -> str:
    """Write the condition that a time is within one time-out of an edge of any window; of very
    many windows, that it lies between the first and the last.

    Beyond the first and the last of all days there is nothing to cut."""
    sinces = {window.since for window in group} - {0}
    untils = {window.until for window in group} - {LAST_DAY}
    if len(sinces) + len(untils) > _MAX_STRIPS:
        return _between(_time(min(sinces | untils) * _DAY_S), _time(max(sinces | untils) * _DAY_S))
    strips = [(day * _DAY_S, day * _DAY_S + timeout_s) for day in sinces]
    strips += [(day * _DAY_S - timeout_s, day * _DAY_S) for day in untils]
    return " OR ".join(_between(_time(first), _time(end)) for first, end in strips) or "0"


def _time(since_1970_s: int) -> str:
    return f"toDateTime64({since_1970_s}, 3, 'UTC')"


def _between(first: str, until: str) -> str:
    return f"(f.occurred_at >= {first} AND f.occurred_at < {until})"


def _uint16s(numbers: Iterable[int]) -> str:
    return _base64(array("H", numbers).tobytes())


def _base64(packed: bytes) -> str:
    return base64.b64encode(packed).decode()
