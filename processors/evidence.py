"""What one event is evidence for: a session, an order, a person. Pure, of the record alone."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from processors.bookkeeping import Columns
from processors.identity.graph import DEVICE
from processors.judge import NOBODY
from spine.blocked import names_nobody
from spine.digest import identifier_id
from spine.event import ORDER_NAMES, Event
from spine.record import EventRecord

_NOBODY_HEX = NOBODY.hex()


def opens_session(record: EventRecord) -> bool:
    """Say whether an event makes or extends sessions: browser events, and server events that
    track a page on behalf of a browser."""
    if not _has_visitor(record):
        return False
    if record.channel == "browser":
        return True
    event = record.event
    return event.anonymous_id is not None and event.page is not None and bool(event.page.url)


def is_report(record: EventRecord) -> bool:
    """Say whether an event reports something about an order."""
    event = record.event
    commerce = event.commerce if event.name in ORDER_NAMES else None
    return commerce is not None and commerce.transaction_id is not None


def order_key(record: EventRecord) -> bytes:
    """Name the order that a report is about."""
    commerce = record.event.commerce
    transaction_id = commerce.transaction_id if commerce is not None else None
    return identifier_id(record.site, "transaction_id", transaction_id or "")


def identifiers_of(record: EventRecord) -> Sequence[tuple[str, bytes]]:
    """Give the identifiers that an event is evidence for, each with its kind, by priority: two or
    more, or none. What names nobody in particular is left out."""
    event = record.event
    if not record.stamp.linked or (event.user_id is None and event.identifiers is None):
        return ()
    named = [
        (kind, identifier_id(record.site, kind, value))
        for kind, value in claimed(event)
        if not names_nobody(value)
    ]
    device = event.anonymous_id
    if device is not None and _has_visitor(record) and not names_nobody(device):
        named.append((DEVICE, visitor_of(record)))
    return named if len(named) > 1 else ()


def evidence_columns(asking: Collection[str], records: Iterable[EventRecord]) -> Columns:
    """Two rows for each pair of identifiers on one event, the first by priority with each other
    one, once from either end.

    Shape: what browsers tell is weak at the sites that are `asking` for a server's word."""
    ends = [
        (record, *ends)
        for record in records
        for named in (identifiers_of(record),)
        for other in named[1:]
        for ends in ((named[0], other), (other, named[0]))
    ]
    return {
        "key": [key for _, (_, key), _ in ends],
        "other_key": [key for _, _, (_, key) in ends],
        "key_type": [kind for _, (kind, _), _ in ends],
        "other_type": [kind for _, _, (kind, _) in ends],
        "site": [record.site for record, _, _ in ends],
        "occurred_at": [record.occurred_ms for record, _, _ in ends],
        "identity": [bytes.fromhex(record.identity) for record, _, _ in ends],
        "channel": [record.channel for record, _, _ in ends],
        "is_weak": [int(one.channel == "browser" and one.site in asking) for one, _, _ in ends],
        "retention": [retention_of(record) for record, _, _ in ends],
    }


def claimed(event: Event) -> Iterator[tuple[str, str]]:
    """Give what an event says of who somebody is beside the device, by priority."""
    if event.user_id is not None:
        yield "user_id", event.user_id
    named = event.identifiers
    if named is None:
        return
    if named.crm_id is not None:
        yield "crm_id", named.crm_id
    if named.email_sha256 is not None:
        yield "email_sha256", named.email_sha256
    if named.phone_sha256 is not None:
        yield "phone_sha256", named.phone_sha256


def further_key(record: EventRecord, kind: str) -> bytes:
    """Give the digest of an identifier beside device and user, or the digest that names nobody."""
    named = record.event.identifiers
    value = None if named is None else getattr(named, kind)
    return NOBODY if value is None else identifier_id(record.site, kind, value)


def _has_visitor(record: EventRecord) -> bool:
    return record.visitor is not None and record.visitor != _NOBODY_HEX


def visitor_of(record: EventRecord) -> bytes:
    """Give the visitor's digest, or the digest that names nobody."""
    return bytes.fromhex(record.visitor) if record.visitor else NOBODY


def user_of(record: EventRecord) -> bytes:
    """Give the digest of the user id, or the digest that names nobody."""
    user_id = record.event.user_id
    return identifier_id(record.site, "user_id", user_id) if user_id is not None else NOBODY


def retention_of(record: EventRecord) -> str:
    """Name the class of how long an event may stay; of a stamp without one, the class that Beleg's
    own rules would have named."""
    if record.stamp.retention:
        return record.stamp.retention
    if record.stamp.kept == "whole":
        return "usage"
    return "audience" if _has_visitor(record) else "accounting"
