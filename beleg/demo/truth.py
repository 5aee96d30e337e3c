"""What a store must say about demo traffic, worked out from the hits alone, in plain Python.

Deliberately written from the promises and not with the product's own code: a test compares the two.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Literal

import msgspec
import orjson

from beleg.demo.site import DEMO_SITE
from beleg.demo.visit import Hit

_FIELDS = frozenset(
    {
        "event_id", "name", "occurred_at", "anonymous_id", "user_id", "identifiers", "page",
        "consent", "commerce", "properties",
    }
)  # fmt: skip
_ORDERS = frozenset({"purchase", "refund"})
_SESSION_GAP = timedelta(minutes=30)


class DemoTruth(msgspec.Struct, frozen=True):
    """The right numbers for some hits under the consent rule `eu`.

    Shape: `answers` counts what the collector says, copies included; `events` are distinct and
    accepted (two channels are one event); visitors, sessions and persons only where consented.
    Units: `gross` and `refunded` are amounts by currency, without tax and shipping."""

    answers: Mapping[str, int]
    events: int
    orders: int
    gross: Mapping[str, Decimal]
    refunded: Mapping[str, Decimal]
    visitors: int
    sessions: int
    persons: int


class _Consent(msgspec.Struct):
    purposes: dict[str, bool]


class _Commerce(msgspec.Struct):
    transaction_id: str | None = None
    currency: str | None = None
    value: Decimal | None = None


class _Event(msgspec.Struct, kw_only=True):
    event_id: str
    name: str
    occurred_at: datetime
    anonymous_id: str | None = None
    user_id: str | None = None
    consent: _Consent
    commerce: _Commerce = msgspec.field(default_factory=_Commerce)

    @property
    def identified(self) -> bool:
        return self.consent.purposes.get("analytics", False)


def truth(hits: Iterable[Hit]) -> DemoTruth:
    """The same figures in whatever order and however often the hits arrive."""
    answers: Counter[str] = Counter()
    accepted: dict[tuple[str, str, str], _Event] = {}
    for hit in hits:
        event = msgspec.json.decode(orjson.dumps(hit.event), type=_Event)
        status = _status(hit.event, event)
        answers[status] += hit.times_sent
        if status == "accepted":
            accepted[event.name, event.event_id, hit.channel] = event
    consented = [event for event in accepted.values() if event.identified]
    gross = _gross(accepted.values())
    return DemoTruth(
        answers=dict(answers),
        events=len({(name, event_id) for name, event_id, _ in accepted}),
        orders=len(gross),
        gross=_by_currency(gross.values()),
        refunded=_by_currency(_refunds(accepted.values(), gross)),
        visitors=len({event.anonymous_id or event.user_id for event in consented}),
        sessions=_sessions(
            event
            for (_, _, channel), event in accepted.items()
            if channel == "browser" and event.identified
        ),
        persons=_persons(consented),
    )


def _status(raw: Mapping[str, object], event: _Event) -> Literal["accepted", "refused", "dropped"]:
    if raw.keys() - _FIELDS or event.commerce.currency not in {None, DEMO_SITE.currency}:
        return "refused"
    return "accepted" if event.identified or event.name in _ORDERS else "dropped"


_Money = tuple[str, Decimal]


def _gross(events: Iterable[_Event]) -> dict[str, _Money]:
    """Amount and currency of every order, however many channels and events report it."""
    return {
        event.commerce.transaction_id: (event.commerce.currency or "", event.commerce.value)
        for event in events
        if event.name == "purchase" and event.commerce.transaction_id and event.commerce.value
    }


def _refunds(events: Iterable[_Event], gross: Mapping[str, _Money]) -> Iterable[_Money]:
    for event in events:
        order = event.commerce.transaction_id
        if event.name == "refund" and order is not None and order in gross:
            currency, whole = gross[order]
            yield currency, whole if event.commerce.value is None else event.commerce.value


def _by_currency(amounts: Iterable[_Money]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for currency, amount in amounts:
        sums[currency] += amount
    return dict(sums)


def _sessions(events: Iterable[_Event]) -> int:
    """A visitor's browser events, cut where more than 30 minutes lie between two."""
    times: dict[str | None, list[datetime]] = defaultdict(list)
    for event in events:
        times[event.anonymous_id].append(event.occurred_at)
    return sum(
        1 + sum(later - earlier > _SESSION_GAP for earlier, later in pairwise(at))
        for at in map(sorted, times.values())
    )


def _persons(events: Iterable[_Event]) -> int:
    """Devices on which the same user logged in are one person; nobody shares a device here."""
    owner: dict[str | None, str | None] = {}
    for event in events:
        owner[event.anonymous_id] = event.user_id or owner.get(event.anonymous_id)
    return len({user_id or anonymous_id for anonymous_id, user_id in owner.items()})
