"""What the contract's views must say beyond the derived rows: events, conversions, days.

Worked out from the whole set like `derive_model`, and as independent of the product.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.flow.derive_model import (
    Outcome,
    Session,
    by_visitor,
    distinct,
    outcome,
    session_of,
    started,
)
from tests.flow.funnel_model import Step, funnel
from tests.flow.happenings import Happening
from tests.flow.kpi_model import Figures, Ground, Lead, days_of
from tests.flow.order_model import OrderState, value_of
from tests.flow.session_model import GA4, Rule
from tests.flow.turns_model import Person, Turn, owner_at, owners_of


class EventSeen(NamedTuple):
    name: str
    event_id: str
    seen_browser: bool
    seen_server: bool
    occurred_ms: int
    anonymous_id: str | None
    user_id: str | None
    visitor: str | None
    session_started_ms: int | None
    person: Person | None
    transaction_id: str | None


Touch = tuple[str, str, str, str]
"""Channel group, source, medium, campaign."""


class Conversion(NamedTuple):
    conversion_id: str
    kind: str
    occurred_ms: int
    person: Person | None
    visitor: str | None
    session_started_ms: int | None
    value: Decimal | None
    currency: str | None
    verified: bool
    first: Touch | None = None
    last: Touch | None = None


class Report(NamedTuple):
    outcome: Outcome
    events: list[EventSeen]
    conversions: list[Conversion]
    days: Mapping[Ground, Figures]
    funnel: Mapping[tuple[date, str], Step]


def report(on_the_log: Sequence[Happening], currency: str, zone: str, rule: Rule = GA4) -> Report:
    """Say what a site's views must show after these records, in log order."""
    happened = distinct(on_the_log)
    rows = outcome(happened, currency, rule)
    known = by_visitor(rows.sessions)
    owners = owners_of(happened, rows.persons)
    leads = _leads(happened, known, owners)
    return Report(
        rows,
        sorted(_events(happened, known, owners)),
        sorted(_touched([*map(_bought, filter(_is_bought, rows.orders)), *leads], rows.sessions)),
        days_of(
            rows,
            [
                Lead(one.occurred_ms, one.visitor, one.session_started_ms, one.currency)
                for one in leads
            ],
            currency,
            ZoneInfo(zone),
        ),
        funnel(happened, rows, ZoneInfo(zone)),
    )


def _copies(happened: Iterable[Happening]) -> list[list[Happening]]:
    """Give the reports of each event, the browser's first."""
    found: dict[str, list[Happening]] = defaultdict(list)
    for told in happened:
        found[told.event_key].append(told)
    return [sorted(copies, key=lambda told: told.channel) for copies in found.values()]


def _events(
    happened: Iterable[Happening],
    known: Mapping[str, list[Session]],
    owners: Mapping[str, Sequence[Turn]],
) -> list[EventSeen]:
    return [
        EventSeen(
            first.name,
            first.event_id,
            first.channel == "browser",
            copies[-1].channel == "server",
            first.at_ms,
            first.anonymous_id,
            first.user_id,
            first.visitor,
            started(session_of(first.visitor, first.at_ms, known)),
            owner_at(owners[first.visitor], first.at_ms) if first.visitor else None,
            first.order.transaction_id if first.order else None,
        )
        for copies in _copies(happened)
        for first in copies[:1]
    ]


def _leads(
    happened: Iterable[Happening],
    known: Mapping[str, list[Session]],
    owners: Mapping[str, Sequence[Turn]],
) -> list[Conversion]:
    """Leads: time and visitor as the browser says, money as the server says."""
    found = []
    for copies in _copies(told for told in happened if told.name == "generate_lead"):
        first, last = copies[0], copies[-1]
        visitor = next((told.visitor for told in copies if told.visitor), None)
        found.append(
            Conversion(
                first.event_id,
                "lead",
                first.at_ms,
                owner_at(owners[visitor], first.at_ms) if visitor else None,
                visitor,
                started(session_of(visitor, first.at_ms, known)),
                value_of(last),
                last.order.currency if last.order else None,
                last.channel == "server",
            )
        )
    return found


def _is_bought(state: OrderState) -> bool:
    return state.ordered_ms is not None


def _bought(state: OrderState) -> Conversion:
    known = state.gross is not None and state.refunded is not None
    assert state.ordered_ms is not None
    return Conversion(
        state.transaction_id,
        "order",
        state.ordered_ms,
        state.person,
        state.visitor,
        state.session_started_ms,
        (state.gross or Decimal(0)) - (state.refunded or Decimal(0)) if known else None,
        state.currency,
        state.verified,
    )


_LOOKS_BACK_MS = 90 * 86_400_000


def _touched(
    conversions: Iterable[Conversion], sessions: Iterable[Session]
) -> Iterator[Conversion]:
    """Add the first and the last touch: of the person's sessions of the 90 days before, the last
    one not direct, unless all are."""
    of: dict[Person, list[Session]] = defaultdict(list)
    for session in sorted(sessions, key=lambda one: (one.started_ms, bytes.fromhex(one.visitor))):
        of[session.person].append(session)
    for told in conversions:
        here = [
            (session.started_ms, session[6:10])
            for session in (of[told.person] if told.person is not None else ())
            if told.occurred_ms - _LOOKS_BACK_MS <= session.started_ms <= told.occurred_ms
        ]
        # Of two that began at one moment the first in order stands for both.
        touches = list(dict(reversed(here)).values())[::-1]
        named = [touch for touch in touches if touch[0] != "Direct"] or touches
        yield told._replace(first=touches[0], last=named[-1]) if touches else told
