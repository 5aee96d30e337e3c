"""What the views show of a site, in the model's terms."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

from spine.store import Row, Store
from tests.flow.derive_model import Outcome, Session
from tests.flow.funnel_model import Step
from tests.flow.kpi_model import Figures, Ground
from tests.flow.order_model import OrderState, Source
from tests.flow.report_model import Conversion, EventSeen, Report, Touch
from tests.flow.turns_model import Person, Turn, Turns

V = TypeVar("V")

_NOT_FILLED = {
    "v_kpi_daily": (
        "cost", "clicks", "impressions", "cpa", "roas", "cac", "cpl", "ctr", "cpc",
    ),
}  # fmt: skip


_ODD = (
    "amounts_disagree", "currencies_disagree", "over_refunded", "negative_amount",
    "reversal_unverified",
)  # fmt: skip


async def found(store: Store, site: str) -> Outcome:
    """Read a site's sessions, orders and persons."""
    return (await _rows(store, site))[0]


async def shown_report(store: Store, site: str) -> Report:
    """Read everything that the contract's views say about a site."""
    rows, started, owners = await _rows(store, site)
    for view, columns in _NOT_FILLED.items():
        filled = " OR ".join(f"{column} IS NOT NULL" for column in columns)
        assert not await _of(store, site, f"SELECT 1 FROM {view} WHERE ({filled})"), view
    events = await _of(
        store,
        site,
        "SELECT name, event_id, seen_browser, seen_server, toUnixTimestamp64Milli(occurred_at),"
        " anonymous_id, user_id, visitor_id, session_id, person_id, transaction_id"
        " FROM v_events WHERE true",
    )
    touches = ", ".join(
        f"{touch}_{part}"
        for touch in ("first", "last")
        for part in ("channel_group", "source", "medium", "campaign")
    )
    conversions = await _of(
        store,
        site,
        "SELECT conversion_id, kind, toUnixTimestamp64Milli(occurred_at), person_id, visitor_id,"
        f" session_id, value, currency, verified, {touches} FROM v_conversions WHERE true",
    )
    numbers = ", ".join((*Ground._fields[1:], *Figures._fields))
    days = await _of(store, site, f"SELECT date, {numbers} FROM v_kpi_daily WHERE true")
    steps = await _of(
        store,
        site,
        "SELECT date, step, step_order, sessions, persons FROM v_funnel_daily WHERE true",
    )
    assert len({row[:2] for row in steps}) == len(steps), "a step has two rows"
    split = len(Ground._fields)
    assert len({row[:split] for row in days}) == len(days), "a ground has two rows"
    return Report(
        rows,
        sorted(
            EventSeen._make(
                [*row[:2], bool(row[2]), bool(row[3]), *row[4:8], _key(started, row[8]),
                 _key(owners, row[9]), row[10]]
            )
            for row in events
        ),
        sorted(
            Conversion._make(
                [*row[:3], _key(owners, row[3]), row[4], _key(started, row[5]), *row[6:8],
                 bool(row[8]), _touch(row[9:13]), _touch(row[13:17])]
            )
            for row in conversions
        ),
        {Ground._make(row[:split]): Figures._make(row[split:]) for row in days},
        {(row[0], row[1]): Step._make(row[2:]) for row in steps},
    )  # fmt: skip


async def _sources(store: Store, site: str) -> Mapping[str, frozenset[Source]]:
    """Read which event gave each field of each order."""
    rows = await _of(
        store,
        site,
        "SELECT transaction_id, field, name, event_id, channel FROM v_order_provenance WHERE true",
    )
    found: dict[str, set[Source]] = {}
    for order, *source in rows:
        found.setdefault(order, set()).add((source[0], source[1], source[2], source[3]))
    return {order: frozenset(told) for order, told in found.items()}


def _touch(told: Row) -> Touch | None:
    """Give a touch, all of it or nothing."""
    assert len({part is None for part in told}) == 1, told
    return None if told[0] is None else (told[0], told[1], told[2], told[3])


def _key(known: Mapping[str, V], name: str | None) -> V | None:
    """Give what a name stands for; a name that stands for nothing is an error."""
    return None if name is None else known[name]


def _turns(shown: list[Row], owners: Mapping[str, Person]) -> Turns:
    """Give each identifier's persons in the order of time."""
    turns: dict[tuple[str, str], tuple[Turn, ...]] = {}
    for kind, name, person, since_ms, until_ms in sorted(shown, key=lambda row: row[3] or -1):
        turn = Turn(since_ms, until_ms, owners[person])
        turns[kind, name] = (*turns.get((kind, name), ()), turn)
    return turns


async def _of(store: Store, site: str, sql: str) -> list[Row]:
    return await store.select(f"{sql} AND site = {{site:String}}", {"site": site})


async def _rows(store: Store, site: str) -> tuple[Outcome, Mapping[str, int], Mapping[str, Person]]:
    """Read the derived rows, with what session ids and person ids stand for."""
    shown = await _of(
        store,
        site,
        "SELECT identifier_type, identifier, person_id, toUnixTimestamp64Milli(valid_from),"
        " toUnixTimestamp64Milli(valid_to) FROM v_persons WHERE true",
    )
    groups: dict[str, set[tuple[str, str]]] = {}
    for kind, name, person, _, _ in shown:
        groups.setdefault(person, set()).add((kind, name))
    owners = {person: frozenset(group) for person, group in groups.items()}
    sessions = await _of(
        store,
        site,
        "SELECT visitor_id, toUnixTimestamp64Milli(started_at), toUnixTimestamp64Milli(ended_at),"
        " events, page_views, engaged, channel_group, source, medium, campaign, landing_page,"
        " person_id, purchases, revenue, session_id, duration_s FROM v_sessions WHERE true",
    )
    assert all(row[15] == (row[2] - row[1]) / 1000 for row in sessions)
    started = {row[14]: row[1] for row in sessions}
    assert len(started) == len(sessions), "a session id stands for two sessions"
    orders = await _of(
        store,
        site,
        "SELECT transaction_id, toUnixTimestamp64Milli(ordered_at), currency, gross, refunded, tax,"
        " shipping, status, verified, seen_browser, seen_server, visitor_id, session_id, person_id,"
        f" net, {', '.join(_ODD)} FROM v_orders WHERE true",
    )
    sources = await _sources(store, site)
    reversals = {
        order: tuple(sorted(zip(at_ms, amounts, strict=True)))
        for order, at_ms, amounts in await _of(
            store,
            site,
            "SELECT transaction_id, arrayMap(x -> toUnixTimestamp64Milli(x), reversals.at),"
            " reversals.amount FROM orders FINAL WHERE status != ''",
        )
    }
    for row in orders:
        assert row[14] == (None if None in row[3:5] else row[3] - row[4]), row
    return (
        Outcome(
            sorted(
                Session._make(
                    [*row[:5], bool(row[5]), *row[6:11], owners[row[11]], row[12], Decimal(row[13])]
                )
                for row in sessions
            ),
            sorted(
                OrderState._make(
                    [*row[:8], *map(bool, row[8:11]), row[11], _key(started, row[12]),
                     frozenset(odd for odd, is_so in zip(_ODD, row[15:], strict=True) if is_so),
                     sources[row[0]], _key(owners, row[13]), reversals[row[0]]]
                )
                for row in orders
            ),
            _turns(shown, owners),
        ),
        started,
        owners,
    )  # fmt: skip
