"""What the store must say about the traffic, from what truly happened. Nothing of the product's."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from tests.truth.shop import Order, Told, Traffic, is_kept

_TIMEOUT = timedelta(minutes=30)
_ENGAGED_AFTER = timedelta(seconds=10)


class Session(NamedTuple):
    """One session of a device. Shape: `group` is its channel group; `events` are distinct."""

    device: str
    started_at: datetime
    ended_at: datetime
    events: int
    engaged: bool
    group: str


class Truth(NamedTuple):
    """All of it.

    Shape: `persons` and `evidence` are by event id: who it was, and whom evidence proves ('' for
    what proves nothing); `bots` is how many events bots sent."""

    sessions: Sequence[Session]
    orders: Mapping[str, Order]
    leads: int
    persons: Mapping[str, str]
    evidence: Mapping[str, str]
    bots: int


def truth(traffic: Traffic) -> Truth:
    """Work out what there was."""
    kept = [one for one in traffic.told if is_kept(one)]
    return Truth(
        _sessions(one for one in kept if one.channel == "browser"),
        traffic.orders,
        traffic.leads,
        {str(one.event["event_id"]): one.person.name for one in kept},
        {str(one.event["event_id"]): one.evidence for one in kept},
        sum(one.person.is_bot for one in traffic.told),
    )


def _sessions(told: Iterable[Told]) -> list[Session]:
    by_device: dict[str, list[Told]] = defaultdict(list)
    for one in told:
        by_device[one.device.anonymous_id].append(one)
    sessions: list[Session] = []
    for events in by_device.values():
        chain: list[Told] = []
        for one in sorted(events, key=lambda each: each.at):
            if chain and one.at - chain[-1].at > _TIMEOUT:
                sessions.append(_session(chain))
                chain = []
            chain.append(one)
        sessions.append(_session(chain))
    return sessions


def _session(chain: Sequence[Told]) -> Session:
    first, last = chain[0], chain[-1]
    names = [one.event["name"] for one in chain]
    engaged = (
        last.at - first.at > _ENGAGED_AFTER
        or names.count("page_view") >= 2
        or any(name in ("purchase", "generate_lead") for name in names)
    )
    group = next((one.touch for one in chain if one.touch), "Direct")
    return Session(first.device.anonymous_id, first.at, last.at, len(chain), engaged, group)


class Likeness(NamedTuple):
    """How well persons were told apart, over all pairs of events.

    Shape: precision is the share of pairs that were put together and are one person's; recall
    the share of pairs that evidence proves to be one person's and that were put together."""

    precision: float
    recall: float


def likeness(
    found: Mapping[str, str], persons: Mapping[str, str], evidence: Mapping[str, str]
) -> Likeness:
    """Compare the persons that were found, by event id, with who it was."""
    together = _pairs(found.values())
    right = _pairs((found[event], persons[event]) for event in found)
    proven = {event: whom for event, whom in evidence.items() if whom}
    provable = _pairs(proven.values())
    proved = _pairs((found.get(event, event), whom) for event, whom in proven.items())
    return Likeness(right / together if together else 1.0, proved / provable if provable else 1.0)


def _pairs(groups: Iterable[object]) -> int:
    counts: dict[object, int] = defaultdict(int)
    for group in groups:
        counts[group] += 1
    return sum(count * (count - 1) // 2 for count in counts.values())


def money(orders: Iterable[Order]) -> tuple[Decimal, Decimal, Decimal]:
    """Give the gross, the refunded and the verified net of all orders."""
    orders = list(orders)
    verified = sum((o.gross - o.refunded for o in orders if o.is_verified), Decimal(0))
    return (
        sum((o.gross for o in orders), Decimal(0)),
        sum((o.refunded for o in orders), Decimal(0)),
        verified,
    )
