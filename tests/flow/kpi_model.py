"""What the daily numbers must say, worked out from sessions, orders and leads of the whole set."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.flow.derive_model import Outcome, Session
from tests.flow.order_model import OrderState
from tests.flow.turns_model import Person


class Lead(NamedTuple):
    """When, whose, of which session, and under which currency a lead counts."""

    occurred_ms: int
    visitor: str | None
    session_started_ms: int | None
    currency: str | None


class Ground(NamedTuple):
    """What a row of daily numbers is about."""

    on: date
    channel_group: str
    source: str
    medium: str
    campaign: str
    currency: str


class Figures(NamedTuple):
    sessions: int
    engaged_sessions: int
    visitors: int
    orders: int
    gross: Decimal
    refunded: Decimal
    net: Decimal
    verified_net: Decimal
    new_customers: int
    leads: int
    cvr: float | None
    aov: float | None
    bounce_rate: float | None
    persons: int
    cvr_visitor: float | None
    cvr_person: float | None
    aov_net: float | None
    engagement_rate: float | None
    lead_to_order: float | None
    cancelled_orders: int
    unverified_net: Decimal
    refunded_on_date: Decimal


class _Day:
    """The numbers of one ground, while they are collected."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.orders: list[OrderState] = []
        self.reversed = Decimal(0)
        self.leads = 0


def days_of(
    rows: Outcome, leads: Iterable[Lead], currency: str, zone: ZoneInfo
) -> Mapping[Ground, Figures]:
    """Say what stands in each row of the daily numbers."""
    begun = {(session.visitor, session.started_ms): session for session in rows.sessions}
    days: dict[Ground, _Day] = defaultdict(_Day)

    def ground(at_ms: int, session: Session | None, money: str) -> Ground:
        seconds = at_ms // 1000  # a float of milliseconds could round into the next day
        touch = ["(unattributed)"] * 4 if session is None else session[6:10]
        return Ground._make([datetime.fromtimestamp(seconds, zone).date(), *touch, money])

    for session in rows.sessions:
        days[ground(session.started_ms, session, currency)].sessions.append(session)
    for state in rows.orders:
        if state.ordered_ms is not None:
            at = begun.get((state.visitor or "", state.session_started_ms or 0))
            days[ground(state.ordered_ms, at, state.currency)].orders.append(state)
            for at_ms, amount in state.reversals:
                days[ground(at_ms, at, state.currency)].reversed += amount
    for lead in leads:
        at = begun.get((lead.visitor or "", lead.session_started_ms or 0))
        days[ground(lead.occurred_ms, at, lead.currency or currency)].leads += 1
    firsts = _first_orders(rows.orders)
    return {about: _figures(day, firsts) for about, day in days.items()}


def _first_orders(orders: Iterable[OrderState]) -> set[str]:
    """Name each person's first order."""
    firsts: dict[Person, tuple[int, str]] = {}
    for state in orders:
        if state.ordered_ms is not None and state.person is not None:
            this = (state.ordered_ms, state.transaction_id)
            firsts[state.person] = min(firsts.get(state.person, this), this)
    return {transaction_id for _, transaction_id in firsts.values()}


def _figures(day: _Day, firsts: set[str]) -> Figures:
    sessions, orders = len(day.sessions), len(day.orders)
    engaged = sum(session.engaged for session in day.sessions)
    gross = sum((state.gross or Decimal(0) for state in day.orders), Decimal(0))
    refunded = sum((state.refunded or Decimal(0) for state in day.orders), Decimal(0))
    verified = sum((_net(state) for state in day.orders if state.verified), Decimal(0))
    visitors = len({session.visitor for session in day.sessions})
    persons = len({session.person for session in day.sessions})
    return Figures(
        sessions,
        engaged,
        visitors,
        orders,
        gross,
        refunded,
        gross - refunded,
        verified,
        sum(state.transaction_id in firsts for state in day.orders),
        day.leads,
        _ratio(orders, sessions),
        _ratio(float(gross), orders),
        1 - engaged / sessions if sessions else None,
        persons,
        _ratio(orders, visitors),
        _ratio(orders, persons),
        _ratio(float(gross - refunded), orders),
        _ratio(engaged, sessions),
        _ratio(orders, day.leads),
        sum(state.status == "cancelled" for state in day.orders),
        gross - refunded - verified,
        day.reversed,
    )


def _ratio(upper: float, lower: int) -> float | None:
    return upper / lower if lower else None


def _net(state: OrderState) -> Decimal:
    if state.gross is None or state.refunded is None:
        return Decimal(0)
    return state.gross - state.refunded
