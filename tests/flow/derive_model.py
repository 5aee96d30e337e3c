"""What must come out, worked out in plain Python from the whole set at once.

Shares no code with the product: no windows, no batches, no versions, just the contract's rules.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from tests.flow.happenings import DAY_MS, Happening

TIMEOUT_MS = 1_800_000


class Session(NamedTuple):
    visitor: str
    started_ms: int
    ended_ms: int
    events: int
    page_views: int
    engaged: bool
    source: str
    medium: str
    landing_page: str
    purchases: int = 0
    revenue: Decimal = Decimal(0)


class OrderState(NamedTuple):
    transaction_id: str
    ordered_ms: int | None
    currency: str
    gross: Decimal | None
    refunded: Decimal | None
    tax: Decimal | None
    shipping: Decimal | None
    status: str
    verified: bool
    seen_browser: bool
    seen_server: bool
    visitor: str | None
    session_started_ms: int | None


class Outcome(NamedTuple):
    sessions: list[Session]
    orders: list[OrderState]
    persons: Mapping[tuple[str, str], frozenset[tuple[str, str]]]


def outcome(on_the_log: Sequence[Happening], site_currency: str = "EUR") -> Outcome:
    """Say what a site's tables must show after these records, in log order."""
    firsts: dict[str, Happening] = {}
    for told in on_the_log:
        firsts.setdefault(told.identity, told)
    happened = list(firsts.values())
    bare = sessions(happened)
    states = orders(happened, bare)
    counted = []
    for session in bare:
        mine = [
            state
            for state in states
            if state.ordered_ms is not None
            and (state.visitor, state.session_started_ms) == (session.visitor, session.started_ms)
        ]
        revenue = sum(
            ((s.gross or Decimal(0)) for s in mine if s.currency == site_currency), Decimal(0)
        )
        counted.append(session._replace(purchases=len(mine), revenue=revenue))
    return Outcome(counted, states, persons(happened))


def sessions(happened: Iterable[Happening]) -> list[Session]:
    by_visitor: dict[str, list[Happening]] = defaultdict(list)
    for told in happened:
        on_page = told.anonymous_id is not None and told.path is not None
        if told.visitor is not None and (told.channel == "browser" or on_page):
            by_visitor[told.visitor].append(told)
    found = []
    for visitor, events in by_visitor.items():
        events.sort(key=lambda e: (e.at_ms, e.identity))
        chain = [events[0]]
        for event in events[1:]:
            if event.at_ms - chain[-1].at_ms > TIMEOUT_MS:
                found.append(_session(visitor, chain))
                chain = []
            chain.append(event)
        found.append(_session(visitor, chain))
    return sorted(found)


def _session(visitor: str, chain: Sequence[Happening]) -> Session:
    page_views = len({e.event_id for e in chain if e.name == "page_view"})
    key = any(e.name in ("purchase", "generate_lead") for e in chain)
    started, ended = chain[0].at_ms, chain[-1].at_ms
    source, medium = next((e.campaign for e in chain if e.campaign), ("(direct)", "(none)"))
    return Session(
        visitor,
        started,
        ended,
        len({(e.name, e.event_id) for e in chain}),
        page_views,
        ended - started > 10_000 or page_views >= 2 or key,
        source,
        medium,
        next((e.page_url for e in chain if e.page_url), ""),
    )


def orders(happened: Iterable[Happening], known: Sequence[Session]) -> list[OrderState]:
    by_transaction: dict[str, list[Happening]] = defaultdict(list)
    for told in happened:
        if told.name in ("purchase", "refund") and told.order is not None:
            by_transaction[told.order.transaction_id].append(told)
    return [_order(reports, known) for _, reports in sorted(by_transaction.items())]


def _order(reports: list[Happening], known: Sequence[Session]) -> OrderState:
    reports = sorted(reports, key=lambda e: (e.channel == "browser", e.at_ms, e.identity))
    purchases = [e for e in reports if e.name == "purchase"]
    told = (purchases or reports)[0].order
    assert told is not None
    gross = _value(purchases[0]) if purchases else None
    refunded, full = _refunds([e for e in reports if e.name == "refund"])
    if full:
        refunded = gross
    if not purchases:
        status = "awaiting_purchase"
    elif full or (refunded and gross is not None and refunded > 0 and refunded >= gross):
        status = "refunded"
    else:
        some = any(e.name == "refund" for e in reports)
        status = "partially_refunded" if some else "purchased"
    ordered_ms = min((e.at_ms for e in purchases), default=None)
    at_ms = min(e.at_ms for e in reports) if ordered_ms is None else ordered_ms
    by_browser = sorted(purchases, key=lambda e: (e.channel == "server", e.at_ms, e.identity))
    visitor = next((e.visitor for e in by_browser if e.visitor), None)
    return OrderState(
        told.transaction_id,
        ordered_ms,
        told.currency or "",
        gross,
        refunded,
        Decimal(told.tax) if purchases and told.tax else None,
        Decimal(told.shipping) if purchases and told.shipping else None,
        status,
        any(e.channel == "server" for e in purchases),
        any(e.channel == "browser" for e in reports),
        any(e.channel == "server" for e in reports),
        visitor,
        _session_of(visitor, at_ms, known),
    )


def _refunds(refunds: Sequence[Happening]) -> tuple[Decimal | None, bool]:
    """Sum them, a refund that both sides reported once: what the server says stands."""
    firsts: dict[str, Happening] = {}
    for refund in refunds:
        firsts.setdefault(refund.event_id, refund)
    full = any(e.order and e.order.value is None and not e.order.prices for e in firsts.values())
    return sum((_value(e) or Decimal(0) for e in firsts.values()), Decimal(0)), full


def _value(told: Happening) -> Decimal | None:
    assert told.order is not None
    if told.order.value is not None:
        return Decimal(told.order.value)
    if not told.order.prices or None in told.order.prices:
        return None
    return sum((Decimal(price) for price in told.order.prices if price), Decimal(0))


def _session_of(visitor: str | None, at_ms: int, known: Sequence[Session]) -> int | None:
    before = [s for s in known if s.visitor == visitor and s.started_ms <= at_ms]
    if not before:
        return None
    last = max(before, key=lambda s: s.started_ms)
    return last.started_ms if at_ms <= last.ended_ms + DAY_MS else None


def persons(
    happened: Iterable[Happening],
) -> Mapping[tuple[str, str], frozenset[tuple[str, str]]]:
    """Give each identifier with all identifiers of its person."""
    owner: dict[str, tuple[int, str, str]] = {}
    identifiers: set[tuple[str, str]] = set()
    for told in happened:
        if told.anonymous_id is not None:
            identifiers.add(("anonymous_id", told.anonymous_id))
        if told.user_id is not None:
            identifiers.add(("user_id", told.user_id))
        if told.anonymous_id is not None and told.user_id is not None and not told.stripped:
            claim = (told.at_ms, told.identity, told.user_id)
            owner[told.anonymous_id] = min(owner.get(told.anonymous_id, claim), claim)
    groups: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for kind, name in identifiers:
        belongs = kind == "anonymous_id" and name in owner
        groups["user_id", owner[name][2]].add((kind, name)) if belongs else groups[kind, name].add(
            (kind, name)
        )
    return {member: frozenset(group) for group in groups.values() for member in group}
