"""Judge a record of the log once more, by the program and the rules of today. Pure.

Invariants:

1. The same record under the same rules comes out byte for byte the same, and no clock takes part:
   however often it is replayed, its copies are copies.
2. A record never gets more than it had (`consent_rules.decide.decide_again`); what it loses, its
   visitor and whatever named the device, is not on the new copy either.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from consent_rules.decide import Dropped, Kept, decide_again, rests_on
from consent_rules.regions import Regimes
from spine import digest
from spine.control.withdrawal import Withdrawn
from spine.event import Event
from spine.money import with_currency
from spine.record import (
    ConsentRecord,
    ControlRecord,
    EventRecord,
    Unreadable,
    control_identity,
    encode,
)

_encoder = msgspec.json.Encoder()

IsErased = Callable[[EventRecord | ConsentRecord], bool]
"""Says whether a record is of somebody who was erased later than it."""


class Regime(NamedTuple):
    """What of a site's settings decides about its records."""

    regimes: Regimes
    currency: str


class Again(NamedTuple):
    """A record that goes onto the log once more.

    Shape: `key` chooses the partition, as it did for the collector. The identity is that of before,
    unless it was made of what may not stay."""

    key: bytes
    identity: bytes
    value: bytes


class Left(NamedTuple):
    """A record that stays where it is.

    Shape: `is_dropped` when the rules of today say so; else something is still to be mended."""

    why: str
    is_dropped: bool = False


def again(
    content: EventRecord | ControlRecord | Unreadable,
    regimes: Mapping[str, Regime],
    erased: IsErased = lambda _: False,
) -> Again | Left:
    """Decide about one record; `erased` knows who was. Total."""
    if isinstance(content, Unreadable):
        return Left(content.code, is_dropped=content.code == "erased_before")
    if isinstance(content, EventRecord | ConsentRecord) and erased(content):
        return Left("erased_before", is_dropped=True)
    if not isinstance(content, EventRecord):  # holds nothing but counts
        key = control_identity(content)
        return Again(key, key, encode(content))
    if content.site not in regimes:
        return Left(f"site {content.site} is not in the settings")
    regime = regimes[content.site]
    decision = decide_again(
        regime.regimes.named(content.stamp.version), _told(content), content.stamp
    )
    if isinstance(decision, Dropped):
        return Left("no_consent", is_dropped=True)
    record = _rewritten(content, decision, regime)
    return Again(bytes.fromhex(record.event_key), bytes.fromhex(record.identity), encode(record))


def without(record: EventRecord, regime: Regime, withdrawn: Withdrawn) -> Again | Left | None:
    """Give what a collector would have put onto the log, had it known of a withdrawal; nothing
    where that is the record as it is. Total."""
    rules = regime.regimes.named(record.stamp.version)
    if not rests_on(rules, record.stamp, withdrawn):
        return None
    decision = decide_again(rules, _told(record), record.stamp, withdrawn)
    if isinstance(decision, Dropped):
        return Left("withdrawn", is_dropped=True)
    left = _rewritten(record, decision, regime)
    return Again(bytes.fromhex(left.event_key), bytes.fromhex(left.identity), encode(left))


def _told(record: EventRecord) -> Event:
    """Give the event as the rules saw it: a server's word about the user agent is part of it."""
    told = record.user_agent or None if record.channel == "server" else None
    return msgspec.structs.replace(record.event, user_agent=told)


def _rewritten(record: EventRecord, kept: Kept, regime: Regime) -> EventRecord:
    event, currency_filled = with_currency(kept.event, regime.currency)
    ip, user_agent = kept.observed(record.ip, record.user_agent)
    if record.channel == "server":
        user_agent = event.user_agent or ""
    event = msgspec.structs.replace(event, user_agent=None)
    if currency_filled:
        flags = tuple(dict.fromkeys((*record.flags, "currency_filled")))
        record = msgspec.structs.replace(record, flags=flags)
    of_day = record.visitor if kept.by_day and _is_of_day(record) else None
    hints = kept.hints(record.client_hints)
    record = msgspec.structs.replace(
        record,
        stamp=kept.stamp,
        ip=ip,
        user_agent=user_agent,
        client_hints=hints,
        place=kept.place(record.place),
    )
    if event == record.event and (of_day or not _is_of_day(record)):
        return record
    return _with_less(record, event, of_day)


def _is_of_day(record: EventRecord) -> bool:
    return record.visitor is not None and digest.is_of_day(bytes.fromhex(record.visitor))


def _with_less(record: EventRecord, event: Event, of_day: str | None) -> EventRecord:
    before, body = _encoder.encode(record.event), _encoder.encode(event)
    event_id = record.event_id
    if event_id == digest.filled_id(record.site, before):  # it would still point to what is gone
        event_id = digest.filled_id(record.site, body)
    key = digest.event_key(record.site, event.name, event_id)
    visitor = digest.visitor_id(record.site, event.anonymous_id, event.user_id)
    return msgspec.structs.replace(
        record,
        event_id=event_id,
        identity=digest.identity(key, record.channel).hex(),
        event_key=key.hex(),
        visitor=visitor.hex() if visitor else of_day,
        body=digest.body_digest(body).hex(),
        event=event,
    )
