"""How far the sessions of a day came in the usual funnel, worked out from the whole set."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.flow.derive_model import Outcome, makes_sessions
from tests.flow.happenings import Happening
from tests.flow.order_model import Person


class Step(NamedTuple):
    """Sessions and persons that reached a step of the funnel, of those that a day began."""

    number: int
    sessions: int
    persons: int


FUNNEL = ("view_item", "add_to_cart", "begin_checkout", "add_payment_info", "purchase")


def funnel(
    happened: Iterable[Happening], rows: Outcome, zone: ZoneInfo
) -> Mapping[tuple[date, str], Step]:
    """Count who came how far: a step counts after all those before it, an order is the last one."""
    told = sorted(
        (one.at_ms, FUNNEL.index(one.name), one) for one in happened if one.name in FUNNEL
    )
    bought = {(one.visitor, one.session_started_ms) for one in rows.orders if one.ordered_ms}
    reached: dict[date, list[tuple[int, Person]]] = defaultdict(list)
    for session in rows.sessions:
        furthest = 0
        for at_ms, place, one in told:
            here = one.visitor == session.visitor and makes_sessions(one)
            if here and session.started_ms <= at_ms <= session.ended_ms and place == furthest:
                furthest += 1
        if furthest == len(FUNNEL) - 1 and (session.visitor, session.started_ms) in bought:
            furthest += 1
        on = datetime.fromtimestamp(session.started_ms // 1000, zone).date()
        reached[on].append((furthest, session.person))
    found = {}
    for on, sessions in reached.items():
        for number, name in enumerate(FUNNEL, 1):
            persons = [person for furthest, person in sessions if furthest >= number]
            found[on, name] = Step(number, len(persons), len(set(persons)))
    return found
