"""What must come out, worked out in plain Python from the whole set at once.

Shares no code with the product: no windows, no batches, no versions, just the contract's rules.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from tests.flow.happenings import DAY_MS, Happening
from tests.flow.session_model import GA4, Rule, cut

CHANNEL_GROUPS = {
    ("(direct)", "(none)", ""): "Direct",
    ("google", "cpc", ""): "Paid Search",
    ("google", "cpc", "winter"): "Paid Search",
    ("google", "cpc", "winter-shopping"): "Paid Shopping",
    ("newsletter", "email", ""): "Email",
    ("facebook", "paid_social", "launch"): "Paid Social",
    ("friends", "affiliate", "spring"): "Affiliates",
    ("poster", "street", ""): "Unassigned",
}
"""GA4's default channel groups, for the campaigns that tests of this model tell of."""

Person = frozenset[tuple[str, str]]
"""All identifiers of a person, each with its kind."""


class Session(NamedTuple):
    visitor: str
    started_ms: int
    ended_ms: int
    events: int
    page_views: int
    engaged: bool
    channel_group: str
    source: str
    medium: str
    campaign: str
    landing_page: str
    person: Person = frozenset()
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
    person: Person | None = None


class Outcome(NamedTuple):
    sessions: list[Session]
    orders: list[OrderState]
    persons: Mapping[tuple[str, str], Person]


def distinct(on_the_log: Iterable[Happening]) -> list[Happening]:
    """Give the first report of each identity."""
    firsts: dict[str, Happening] = {}
    for told in on_the_log:
        firsts.setdefault(told.identity, told)
    return list(firsts.values())


def outcome(
    on_the_log: Sequence[Happening], site_currency: str = "EUR", rule: Rule = GA4
) -> Outcome:
    """Say what a site's tables must show after these records, in log order."""
    happened = distinct(on_the_log)
    groups = persons(happened)
    owners = owners_of(happened, groups)
    bare = sessions(happened, rule)
    states = [
        state._replace(person=owners[state.visitor] if state.visitor else None)
        for state in orders(happened, bare)
    ]
    bought: dict[tuple[str | None, int | None], list[OrderState]] = defaultdict(list)
    for state in states:
        if state.ordered_ms is not None:
            bought[state.visitor, state.session_started_ms].append(state)
    counted = []
    for session in bare:
        mine = bought[session.visitor, session.started_ms]
        revenue = sum(
            ((s.gross or Decimal(0)) for s in mine if s.currency == site_currency), Decimal(0)
        )
        person = owners[session.visitor]
        counted.append(session._replace(person=person, purchases=len(mine), revenue=revenue))
    return Outcome(counted, states, groups)


def sessions(happened: Iterable[Happening], rule: Rule = GA4) -> list[Session]:
    by_visitor: dict[str, list[Happening]] = defaultdict(list)
    for told in happened:
        if told.visitor is not None and makes_sessions(told):
            by_visitor[told.visitor].append(told)
    found = []
    for visitor, events in by_visitor.items():
        found += [_session(visitor, chain, rule) for chain in cut(events, rule)]
    return sorted(found)


def makes_sessions(told: Happening) -> bool:
    on_page = told.anonymous_id is not None and told.path is not None
    return told.channel == "browser" or on_page


def _session(visitor: str, chain: Sequence[Happening], rule: Rule) -> Session:
    page_views = len({e.event_id for e in chain if e.name == "page_view"})
    key = any(e.name in ("purchase", "generate_lead") for e in chain)
    started, ended = chain[0].at_ms, chain[-1].at_ms
    touch = next((e.campaign for e in chain if e.campaign), ("(direct)", "(none)"))
    source, medium, campaign = (*touch, "")[:3]
    return Session(
        visitor,
        started,
        ended,
        len({(e.name, e.event_id) for e in chain}),
        page_views,
        ended - started > rule.engaged_after_ms or page_views >= 2 or key,
        CHANNEL_GROUPS[source, medium, campaign],
        source,
        medium,
        campaign,
        next((e.page_url for e in chain if e.page_url), ""),
    )


def orders(happened: Iterable[Happening], known: Sequence[Session]) -> list[OrderState]:
    by_transaction: dict[str, list[Happening]] = defaultdict(list)
    for told in happened:
        if told.name not in ("purchase", "refund") or told.order is None:
            continue
        if told.order.transaction_id is not None:
            by_transaction[told.order.transaction_id].append(told)
    of_visitor = by_visitor(known)
    return [_order(reports, of_visitor) for _, reports in sorted(by_transaction.items())]


def by_visitor(known: Iterable[Session]) -> Mapping[str, list[Session]]:
    found: dict[str, list[Session]] = defaultdict(list)
    for session in known:
        found[session.visitor].append(session)
    return found


def _order(reports: list[Happening], known: Mapping[str, list[Session]]) -> OrderState:
    reports = sorted(reports, key=lambda e: (e.channel == "browser", e.at_ms, e.identity))
    purchases = [e for e in reports if e.name == "purchase"]
    told = (purchases or reports)[0].order
    assert told is not None and told.transaction_id is not None
    gross = value_of(purchases[0]) if purchases else None
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
        started(session_of(visitor, at_ms, known)),
    )


def _refunds(refunds: Sequence[Happening]) -> tuple[Decimal | None, bool]:
    """Sum them, a refund that both sides reported once: what the server says stands."""
    firsts: dict[str, Happening] = {}
    for refund in refunds:
        firsts.setdefault(refund.event_id, refund)
    full = any(e.order and e.order.value is None and not e.order.prices for e in firsts.values())
    return sum((value_of(e) or Decimal(0) for e in firsts.values()), Decimal(0)), full


def value_of(told: Happening) -> Decimal | None:
    if told.order is None:
        return None
    if told.order.value is not None:
        return Decimal(told.order.value)
    if not told.order.prices or None in told.order.prices:
        return None
    return sum((Decimal(price) for price in told.order.prices if price), Decimal(0))


def session_of(
    visitor: str | None, at_ms: int, known: Mapping[str, list[Session]]
) -> Session | None:
    """Give the visitor's last session that began before and ended at most 24 hours before."""
    before = [s for s in known.get(visitor or "", ()) if s.started_ms <= at_ms]
    last = max(before, key=lambda s: s.started_ms, default=None)
    return last if last is not None and at_ms <= last.ended_ms + DAY_MS else None


def started(session: Session | None) -> int | None:
    return None if session is None else session.started_ms


def persons(happened: Iterable[Happening]) -> Mapping[tuple[str, str], Person]:
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
        groups[("user_id", owner[name][2]) if belongs else (kind, name)].add((kind, name))
    return {member: frozenset(group) for group in groups.values() for member in group}


def owners_of(
    happened: Iterable[Happening], groups: Mapping[tuple[str, str], Person]
) -> Mapping[str, Person]:
    """Give each visitor's person: a visitor is the anonymous id, else the user id."""
    found: dict[str, Person] = {}
    for told in happened:
        if told.visitor is not None:
            kind = "user_id" if told.anonymous_id is None else "anonymous_id"
            found[told.visitor] = groups[kind, told.anonymous_id or told.user_id or ""]
    return found
