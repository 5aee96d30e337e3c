"""Records → the columns of what lands. Pure: field for column, nothing is asked or decided twice.

Columns are built directly, because turning 10,000 rows into columns stalls the event loop 50 ms.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from processors.bookkeeping import (
    Columns,
    fate_columns,
    reject_columns,
    seen_columns,
    spill_columns,
    tally_columns,
)
from processors.campaign import Touch, touch
from processors.judge import NOBODY, Reading, Verdict
from spine.digest import identifier_id
from spine.event import ORDER_NAMES, Commerce, Identifiers, Page
from spine.money import amount
from spine.record import EventRecord

_DIRECT = Touch("", "", "", "", "", "", "", "")
_NO_PAGE, _NO_COMMERCE, _NO_IDENTIFIERS = Page(), Commerce(), Identifiers()


class Site(NamedTuple):
    """What of a site's settings shapes its rows."""

    own_hosts: frozenset[str] = frozenset()
    lead_names: frozenset[str] = frozenset({"generate_lead"})


class Landing(NamedTuple):
    """An event on its way into the tables, with the campaign its page tells of."""

    reading: Reading
    record: EventRecord
    touch: Touch
    is_lead: bool
    page: Page
    commerce: Commerce


def landings(readings: Iterable[Reading], sites: Mapping[str, Site]) -> list[Landing]:
    """Prepare the events among `readings`."""
    return [
        _landing(reading, reading.content, sites.get(reading.content.site, Site()))
        for reading in readings
        if isinstance(reading.content, EventRecord)
    ]


def _landing(reading: Reading, record: EventRecord, site: Site) -> Landing:
    page = record.event.page or _NO_PAGE
    found = touch(page.url or "", page.referrer or "", site.own_hosts)
    return Landing(
        reading,
        record,
        found or _DIRECT,
        record.event.name in site.lead_names,
        page,
        record.event.commerce or _NO_COMMERCE,
    )


def tables(
    log_id: str, verdict: Verdict, sites: Mapping[str, Site]
) -> Sequence[tuple[str, Columns]]:
    """Give what a batch brought, table by table, in the order in which it has to land: facts
    first, then what says that they are there, fates last."""
    events = landings(verdict.fresh, sites)
    return [
        ("events", event_columns(log_id, events)),
        ("visitor_facts", visitor_fact_columns(events)),
        ("order_facts", order_fact_columns(events)),
        ("lead_facts", lead_fact_columns(events)),
        ("identity_edges", edge_columns(events)),
        ("tallies", tally_columns(verdict.fresh)),
        ("spills", spill_columns(verdict.fresh)),
        ("rejects", reject_columns(log_id, verdict.rejected)),
        ("seen", seen_columns(log_id, verdict.fresh)),
        ("fates", fate_columns(log_id, verdict.fates)),
    ]


_EVENT_COLUMNS: Mapping[str, Callable[[Landing], Any]] = {
    "site": lambda e: e.record.site,
    "name": lambda e: e.record.event.name,
    "event_id": lambda e: e.record.event_id,
    "channel": lambda e: e.record.channel,
    "identity": lambda e: e.reading.identity,
    "event_key": lambda e: bytes.fromhex(e.record.event_key),
    "visitor_id": lambda e: visitor_of(e.record),
    "occurred_at": lambda e: e.record.occurred_ms,
    "received_at": lambda e: e.record.received_ms,
    "received_on": lambda e: e.record.received_on,
    "anonymous_id": lambda e: e.record.event.anonymous_id,
    "user_id": lambda e: e.record.event.user_id,
    "user_key": lambda e: user_of(e.record),
    "email_sha256": lambda e: (e.record.event.identifiers or _NO_IDENTIFIERS).email_sha256,
    "phone_sha256": lambda e: (e.record.event.identifiers or _NO_IDENTIFIERS).phone_sha256,
    "crm_id": lambda e: (e.record.event.identifiers or _NO_IDENTIFIERS).crm_id,
    "page_url": lambda e: e.page.url or "",
    "page_referrer": lambda e: e.page.referrer or "",
    "page_title": lambda e: e.page.title or "",
    "ip": lambda e: e.record.ip,
    "user_agent": lambda e: e.record.user_agent,
    "source": lambda e: e.touch.source,
    "medium": lambda e: e.touch.medium,
    "campaign": lambda e: e.touch.campaign,
    "term": lambda e: e.touch.term,
    "content": lambda e: e.touch.content,
    "channel_group": lambda e: e.touch.channel_group,
    "click_id_name": lambda e: e.touch.click_id_name,
    "click_id": lambda e: e.touch.click_id,
    "transaction_id": lambda e: e.commerce.transaction_id,
    "currency": lambda e: e.commerce.currency or "",
    "value": lambda e: amount(e.commerce),
    "tax": lambda e: e.commerce.tax,
    "shipping": lambda e: e.commerce.shipping,
    "discount": lambda e: e.commerce.discount,
    "coupon": lambda e: e.commerce.coupon or "",
    "items": lambda e: _json(e.commerce.items),
    "properties": lambda e: _json(e.record.event.properties),
    "consent_kept": lambda e: e.record.stamp.kept,
    "consent_rule": lambda e: e.record.stamp.rule,
    "consent_version": lambda e: e.record.stamp.version,
    "consent_purposes": lambda e: e.record.stamp.purposes,
    "consent_signal": lambda e: e.record.stamp.signal,
    "flags": lambda e: e.record.flags,
    "log_partition": lambda e: e.reading.record.partition,
    "log_offset": lambda e: e.reading.record.offset,
}


def event_columns(log_id: str, events: Sequence[Landing]) -> Columns:
    """One row per identity."""
    columns: dict[str, Sequence[Any]] = {
        name: [value(event) for event in events] for name, value in _EVENT_COLUMNS.items()
    }
    columns["log_id"] = [log_id] * len(events)
    return columns


def opens_session(record: EventRecord) -> bool:
    """Say whether an event makes or extends sessions: browser events, and server events that
    track a page on behalf of a browser."""
    if visitor_of(record) == NOBODY:
        return False
    event = record.event
    on_page = event.page is not None and bool(event.page.url)
    return record.channel == "browser" or (event.anonymous_id is not None and on_page)


def visitor_fact_columns(events: Sequence[Landing]) -> Columns:
    """One row per event that makes sessions."""
    events = [event for event in events if opens_session(event.record)]
    return {
        "site": [e.record.site for e in events],
        "visitor_id": [visitor_of(e.record) for e in events],
        "occurred_at": [e.record.occurred_ms for e in events],
        "identity": [e.reading.identity for e in events],
        "event_key": [bytes.fromhex(e.record.event_key) for e in events],
        "name": [e.record.event.name for e in events],
        "is_key": [int(e.is_lead or e.record.event.name == "purchase") for e in events],
        "page": [e.page.url or "" for e in events],
        "source": [e.touch.source for e in events],
        "medium": [e.touch.medium for e in events],
        "campaign": [e.touch.campaign for e in events],
        "channel_group": [e.touch.channel_group for e in events],
        "click_id_name": [e.touch.click_id_name for e in events],
        "click_id": [e.touch.click_id for e in events],
    }


def is_report(record: EventRecord) -> bool:
    """Say whether an event reports something about an order."""
    commerce = record.event.commerce
    named = commerce is not None and commerce.transaction_id is not None
    return record.event.name in ORDER_NAMES and named


def order_key(record: EventRecord) -> bytes:
    """Name the order that a report is about."""
    commerce = record.event.commerce or _NO_COMMERCE
    return identifier_id(record.site, "transaction_id", commerce.transaction_id or "")


def order_fact_columns(events: Sequence[Landing]) -> Columns:
    """One row per report about an order."""
    events = [event for event in events if is_report(event.record)]
    return {
        "order_key": [order_key(e.record) for e in events],
        "site": [e.record.site for e in events],
        "transaction_id": [e.commerce.transaction_id for e in events],
        "name": [e.record.event.name for e in events],
        "occurred_at": [e.record.occurred_ms for e in events],
        "identity": [e.reading.identity for e in events],
        "event_key": [bytes.fromhex(e.record.event_key) for e in events],
        "channel": [e.record.channel for e in events],
        "visitor_id": [visitor_of(e.record) for e in events],
        "currency": [e.commerce.currency or "" for e in events],
        "value": [amount(e.commerce) for e in events],
        "tax": [e.commerce.tax for e in events],
        "shipping": [e.commerce.shipping for e in events],
        "is_full": [int(e.commerce.value is None and not e.commerce.items) for e in events],
    }


def lead_fact_columns(events: Sequence[Landing]) -> Columns:
    """One row per report of a lead."""
    events = [event for event in events if event.is_lead]
    return {
        "site": [e.record.site for e in events],
        "event_key": [bytes.fromhex(e.record.event_key) for e in events],
        "channel": [e.record.channel for e in events],
        "event_id": [e.record.event_id for e in events],
        "occurred_at": [e.record.occurred_ms for e in events],
        "visitor_id": [visitor_of(e.record) for e in events],
        "currency": [e.commerce.currency or "" for e in events],
        "value": [amount(e.commerce) for e in events],
    }


def is_edge(record: EventRecord) -> bool:
    """Say whether an event is evidence that two identifiers are one person."""
    event = record.event
    named = event.anonymous_id is not None and visitor_of(record) != NOBODY
    return record.stamp.linked and named and event.user_id is not None


def edge_columns(events: Sequence[Landing]) -> Columns:
    """One row per event that links an anonymous id and a user id."""
    events = [event for event in events if is_edge(event.record)]
    return {
        "anonymous_key": [visitor_of(e.record) for e in events],
        "user_key": [user_of(e.record) for e in events],
        "site": [e.record.site for e in events],
        "anonymous_id": [e.record.event.anonymous_id for e in events],
        "user_id": [e.record.event.user_id for e in events],
        "occurred_at": [e.record.occurred_ms for e in events],
        "identity": [e.reading.identity for e in events],
        "channel": [e.record.channel for e in events],
    }


def visitor_of(record: EventRecord) -> bytes:
    """Give the visitor's digest, or the digest that names nobody."""
    return bytes.fromhex(record.visitor) if record.visitor else NOBODY


def user_of(record: EventRecord) -> bytes:
    """Give the digest of the user id, or the digest that names nobody."""
    user_id = record.event.user_id
    return identifier_id(record.site, "user_id", user_id) if user_id is not None else NOBODY


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode() if value else ""
