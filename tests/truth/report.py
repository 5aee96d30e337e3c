"""The figures of the store beside what is true, and whether each holds."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from tests.truth.shop import Order
from tests.truth.truth import Session, Truth, likeness, money

Ask = Callable[[str], list[tuple[Any, ...]]]

PRECISION, RECALL = 0.999, 0.98
# A clock is put right by when a request came in, so it is wrong by as long as that took.
_LEEWAY = timedelta(seconds=20)


class Figure(NamedTuple):
    """One line of the report."""

    what: str
    stored: str
    true: str
    holds: bool


def report(ask: Ask, truth: Truth) -> list[Figure]:
    """Compare everything; the store must have come to rest."""
    return [
        *_session_figures(_stored_sessions(ask), truth.sessions),
        *_order_figures(ask, truth.orders),
        _equal(
            "leads", ask("SELECT count() FROM v_conversions WHERE kind = 'lead'")[0][0], truth.leads
        ),
        *_person_figures(ask, truth),
        *_daily_figures(ask, truth),
    ]


def _stored_sessions(ask: Ask) -> Mapping[str, Sequence[Session]]:
    """Give the sessions by device; the events of a visitor tell which device it is."""
    rows = ask(
        "SELECT d.device, s.started_at, s.ended_at, s.events, s.engaged, s.channel_group"
        " FROM v_sessions AS s INNER JOIN ("
        "SELECT DISTINCT visitor_id, assumeNotNull(anonymous_id) AS device FROM v_events"
        " WHERE anonymous_id IS NOT NULL) AS d ON s.visitor_id = d.visitor_id"
    )
    found: dict[str, list[Session]] = defaultdict(list)
    for device, start, end, events, engaged, group in rows:
        found[device].append(Session(device, start, end, events, bool(engaged), group))
    return found


def _session_figures(
    stored: Mapping[str, Sequence[Session]], true: Sequence[Session]
) -> list[Figure]:
    by_device: dict[str, list[Session]] = defaultdict(list)
    for one in true:
        by_device[one.device].append(one)
    pairs = [
        (found, one)
        for device, ones in by_device.items()
        for found, one in zip(
            sorted(stored.get(device, ()), key=lambda each: each.started_at),
            sorted(ones, key=lambda each: each.started_at),
            strict=False,
        )
    ]
    alike = sum(_near(found, one) for found, one in pairs)
    groups = Counter(one.group for one in true)
    stored_groups = Counter(one.group for ones in stored.values() for one in ones)
    return [
        _equal("sessions", sum(map(len, stored.values())), len(true)),
        _equal("sessions with the same start, end and events", alike, len(true)),
        _equal(
            "sessions with the same engagement",
            sum(found.engaged == one.engaged for found, one in pairs),
            len(true),
        ),
        _equal(
            "sessions with the same channel group",
            sum(found.group == one.group for found, one in pairs),
            len(true),
        ),
        *(
            _equal(f"sessions, {group}", stored_groups[group], groups[group])
            for group in sorted(groups.keys() | stored_groups.keys())
        ),
    ]


def _near(found: Session, true: Session) -> bool:
    def apart(left: datetime, right: datetime) -> timedelta:
        return abs(left.replace(tzinfo=right.tzinfo) - right)

    return (
        found.events == true.events
        and apart(found.started_at, true.started_at) <= _LEEWAY
        and apart(found.ended_at, true.ended_at) <= _LEEWAY
    )


def _order_figures(ask: Ask, true: Mapping[str, Order]) -> list[Figure]:
    stored = {
        row[0]: Order(row[0], Decimal(row[1]), Decimal(row[2]), bool(row[3]))
        for row in ask(
            "SELECT transaction_id, ifNull(gross, 0), ifNull(refunded, 0), verified FROM v_orders"
            " WHERE ordered_at IS NOT NULL"
        )
    }
    alike = sum(stored.get(number) == order for number, order in true.items())
    names = ("gross", "refunded", "verified net")
    amounts = zip(names, money(stored.values()), money(true.values()), strict=True)
    return [
        _equal("orders", len(stored), len(true)),
        _equal("orders with the same amounts", alike, len(true)),
        *(_equal(f"{name} of all orders, EUR", found, one) for name, found, one in amounts),
    ]


def _person_figures(ask: Ask, truth: Truth) -> list[Figure]:
    found = {
        event: person
        for event, person in ask("SELECT event_id, person_id FROM v_events")
        if event in truth.persons
    }
    told = {event: person for event, person in found.items() if truth.evidence[event]}
    alike = likeness(told, truth.persons, truth.evidence)
    of_all = likeness(found, truth.persons, truth.evidence)
    return [
        _equal("events that tell of a person", len(found), len(truth.persons)),
        _at_least("precision of persons, over pairs of events", alike.precision, PRECISION),
        _at_least("recall of what evidence proves", alike.recall, RECALL),
        # Whoever takes a shared device and has not said yet who they are.
        Figure("precision with what proves nothing", f"{of_all.precision:.5f}", "no floor", True),
    ]


def _daily_figures(ask: Ask, truth: Truth) -> list[Figure]:
    """The same again, as marketing reads it."""
    ((sessions, engaged, orders, gross, refunded, verified, leads),) = ask(
        "SELECT sum(sessions), sum(engaged_sessions), sum(orders), sum(gross), sum(refunded),"
        " sum(verified_net), sum(leads) FROM v_kpi_daily"
    )
    ((bots,),) = ask("SELECT sum(bots) FROM v_data_quality_daily")
    true_gross, true_refunded, true_verified = money(truth.orders.values())
    return [
        _equal("v_kpi_daily: sessions", sessions, len(truth.sessions)),
        _equal("v_kpi_daily: engaged sessions", engaged, sum(s.engaged for s in truth.sessions)),
        _equal("v_kpi_daily: orders", orders, len(truth.orders)),
        _equal("v_kpi_daily: gross", Decimal(gross), true_gross),
        _equal("v_kpi_daily: refunded", Decimal(refunded), true_refunded),
        _equal("v_kpi_daily: verified net", Decimal(verified), true_verified),
        _equal("v_kpi_daily: leads", leads, truth.leads),
        _equal("v_data_quality_daily: bots' events", bots, truth.bots),
    ]


def _equal(what: str, stored: object, true: object) -> Figure:
    return Figure(what, _text(stored), _text(true), stored == true)


def _at_least(what: str, stored: float, floor: float) -> Figure:
    return Figure(what, f"{stored:.5f}", f"≥ {floor}", stored >= floor)


def _text(value: object) -> str:
    return (
        f"{value:,.2f}"
        if isinstance(value, Decimal)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


def table(figures: Sequence[Figure]) -> str:
    """Write the report as a table for people."""
    width = max(len(one.what) for one in figures)
    lines = [f"{'figure':{width}}  {'stored':>14}  {'true':>14}"]
    lines += [
        f"{one.what:{width}}  {one.stored:>14}  {one.true:>14}{'' if one.holds else '  WRONG'}"
        for one in figures
    ]
    return "\n".join(lines)
