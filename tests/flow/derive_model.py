"""What must come out, worked out in plain Python from the whole set at once.

Shares no code with the product: no windows, no batches, no versions, just the contract's rules.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from tests.flow.happenings import DAY_MS, Happening
from tests.flow.order_model import NAMES, OrderState, order
from tests.flow.session_model import GA4, Rule, cut
from tests.flow.turns_model import Person, Turns, owner_at, owners_of, persons

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


class Outcome(NamedTuple):
    sessions: list[Session]
    orders: list[OrderState]
    persons: Turns


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
        state._replace(person=owner_at(owners[state.visitor], at_ms) if state.visitor else None)
        for state, at_ms in orders(happened, bare)
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
        person = owner_at(owners[session.visitor], session.started_ms)
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


def orders(happened: Iterable[Happening], known: Sequence[Session]) -> list[tuple[OrderState, int]]:
    """Give the orders, each with the time it counts at."""
    by_transaction: dict[str, list[Happening]] = defaultdict(list)
    for told in happened:
        if told.name not in NAMES or told.order is None:
            continue
        if told.order.transaction_id is not None:
            by_transaction[told.order.transaction_id].append(told)
    of_visitor = by_visitor(known)
    states = [order(reports) for _, reports in sorted(by_transaction.items())]
    return [_visited(state, by_transaction[state.transaction_id], of_visitor) for state in states]


def _visited(
    state: OrderState, reports: Iterable[Happening], known: Mapping[str, list[Session]]
) -> tuple[OrderState, int]:
    first_ms = min(e.at_ms for e in reports)
    at_ms = first_ms if state.ordered_ms is None else state.ordered_ms
    session = session_of(state.visitor, at_ms, known)
    return state._replace(session_started_ms=started(session)), at_ms


def by_visitor(known: Iterable[Session]) -> Mapping[str, list[Session]]:
    found: dict[str, list[Session]] = defaultdict(list)
    for session in known:
        found[session.visitor].append(session)
    return found


def session_of(
    visitor: str | None, at_ms: int, known: Mapping[str, list[Session]]
) -> Session | None:
    """Give the visitor's last session that began before and ended at most 24 hours before."""
    before = [s for s in known.get(visitor or "", ()) if s.started_ms <= at_ms]
    last = max(before, key=lambda s: s.started_ms, default=None)
    return last if last is not None and at_ms <= last.ended_ms + DAY_MS else None


def started(session: Session | None) -> int | None:
    return None if session is None else session.started_ms
