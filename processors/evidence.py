"""What one event is evidence for: a session, an order, a person. Pure, of the record alone."""

from processors.judge import NOBODY
from spine.digest import identifier_id
from spine.event import ORDER_NAMES
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


def is_edge(record: EventRecord) -> bool:
    """Say whether an event is evidence that two identifiers are one person."""
    event = record.event
    named = event.user_id is not None and event.anonymous_id is not None
    return named and record.stamp.linked and _has_visitor(record)


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
