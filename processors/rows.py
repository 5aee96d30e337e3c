"""Records → the columns of what lands. Pure: field for column, nothing is asked or decided twice.

Columns are built directly, because turning 10,000 rows into columns stalls the event loop 50 ms.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from processors.bookkeeping import (
    Columns,
    decision_columns,
    fate_columns,
    reject_columns,
    seen_columns,
    spill_columns,
    tally_columns,
)
from processors.enrichment.campaign import Touch
from processors.enrichment.client import Client, client_columns
from processors.enrichment.enrich import enriched
from processors.evidence import (
    evidence_columns,
    further_key,
    is_report,
    opens_session,
    order_key,
    retention_of,
    user_of,
    visitor_of,
)
from processors.judge import Reading, Verdict
from processors.site import Site
from spine.event import Commerce, Event, Identifiers, Page
from spine.money import amount
from spine.record import EventRecord, Stamp

_NO_PAGE, _NO_COMMERCE, _NO_IDENTIFIERS = Page(), Commerce(), Identifiers()
_NO_SITE = Site()


class Landing(msgspec.Struct, frozen=True, gc=False):
    """An event on its way into the tables, with what was added to it; what several tables need is
    made once.

    Shape: what is not `counted` is a bot's: it makes orders, and nothing else."""

    reading: Reading
    record: EventRecord
    event: Event
    event_key: bytes
    visitor: bytes
    retention: str
    client: Client
    touch: Touch
    conversion: str
    step: int
    counted: bool
    page: Page
    commerce: Commerce
    amount: Decimal | None


def landings(readings: Iterable[Reading], sites: Mapping[str, Site]) -> list[Landing]:
    """Prepare the events among `readings`."""
    return [
        _landing(reading, reading.content, sites.get(reading.content.site, _NO_SITE))
        for reading in readings
        if isinstance(reading.content, EventRecord)
    ]


def _landing(reading: Reading, record: EventRecord, site: Site) -> Landing:
    event = record.event
    page, commerce = event.page or _NO_PAGE, event.commerce
    added = enriched(record, site)
    return Landing(
        reading,
        record,
        event,
        bytes.fromhex(record.event_key),
        visitor_of(record),
        retention_of(record),
        added.client,
        added.touch,
        added.conversion,
        added.step,
        site.counts_bots or not added.client.bot,
        page,
        commerce or _NO_COMMERCE,
        amount(commerce) if commerce is not None else None,
    )


def tables(
    log_id: str, verdict: Verdict, sites: Mapping[str, Site]
) -> Sequence[tuple[str, Columns]]:
    """Give what a batch brought, table by table, in the order in which it has to land: facts
    first, then what says that they are there, fates last."""
    events = landings(verdict.fresh, sites)
    asking = {name for name, site in sites.items() if site.asks_servers}
    return [
        ("events", event_columns(log_id, events)),
        ("visitor_facts", visitor_fact_columns(events)),
        ("order_facts", order_fact_columns(events)),
        ("lead_facts", lead_fact_columns(events)),
        ("identity_evidence", evidence_columns(asking, [e.record for e in events if e.counted])),
        ("tallies", tally_columns(verdict.fresh)),
        ("spills", spill_columns(verdict.fresh)),
        ("consent_log", decision_columns(verdict.fresh)),
        ("rejects", reject_columns(log_id, verdict.rejected)),
        ("seen", seen_columns(log_id, verdict.fresh)),
        ("fates", fate_columns(log_id, verdict.fates)),
    ]


def event_columns(log_id: str, events: Sequence[Landing]) -> Columns:
    """One row per identity."""
    readings = [e.reading for e in events]
    records = [e.record for e in events]
    return {
        "site": [record.site for record in records],
        "event_id": [record.event_id for record in records],
        "channel": [record.channel for record in records],
        "identity": [reading.identity for reading in readings],
        "event_key": [e.event_key for e in events],
        "visitor_id": [e.visitor for e in events],
        "occurred_at": [record.occurred_ms for record in records],
        "received_at": [record.received_ms for record in records],
        "received_on": [record.received_on for record in records],
        "user_key": [user_of(record) for record in records],
        "crm_key": [further_key(record, "crm_id") for record in records],
        "email_key": [further_key(record, "email_sha256") for record in records],
        "phone_key": [further_key(record, "phone_sha256") for record in records],
        "ip": [record.ip for record in records],
        "user_agent": [record.user_agent for record in records],
        "place": [record.place for record in records],
        "flags": [record.flags for record in records],
        **client_columns([e.client for e in events]),
        **_claimed_columns([e.event for e in events]),
        **_page_columns([e.page for e in events], [e.touch for e in events]),
        **_commerce_columns([e.commerce for e in events]),
        "value": [e.amount for e in events],
        **_stamp_columns([record.stamp for record in records]),
        "retention": [e.retention for e in events],
        "log_id": [log_id] * len(events),
        "log_partition": [reading.record.partition for reading in readings],
        "log_offset": [reading.record.offset for reading in readings],
    }


def _claimed_columns(events: Sequence[Event]) -> Columns:
    identifiers = [event.identifiers or _NO_IDENTIFIERS for event in events]
    return {
        "name": [event.name for event in events],
        "anonymous_id": [event.anonymous_id for event in events],
        "user_id": [event.user_id for event in events],
        "email_sha256": [named.email_sha256 for named in identifiers],
        "phone_sha256": [named.phone_sha256 for named in identifiers],
        "crm_id": [named.crm_id for named in identifiers],
        "properties": [_flat(event.properties) for event in events],
    }


def _page_columns(pages: Sequence[Page], touches: Sequence[Touch]) -> Columns:
    return {
        "page_url": [page.url or "" for page in pages],
        "page_referrer": [page.referrer or "" for page in pages],
        "page_title": [page.title or "" for page in pages],
        "source": [one.source for one in touches],
        "medium": [one.medium for one in touches],
        "campaign": [one.campaign for one in touches],
        "term": [one.term for one in touches],
        "content": [one.content for one in touches],
        "channel_group": [one.channel_group for one in touches],
        "click_id_name": [one.click_id_name for one in touches],
        "click_id": [one.click_id for one in touches],
    }


def _commerce_columns(told: Sequence[Commerce]) -> Columns:
    return {
        "transaction_id": [commerce.transaction_id for commerce in told],
        "currency": [commerce.currency or "" for commerce in told],
        "tax": [commerce.tax for commerce in told],
        "shipping": [commerce.shipping for commerce in told],
        "discount": [commerce.discount for commerce in told],
        "coupon": [commerce.coupon or "" for commerce in told],
        "items": [_json(commerce.items) for commerce in told],
    }


def _stamp_columns(stamps: Sequence[Stamp]) -> Columns:
    return {
        "consent_kept": [stamp.kept for stamp in stamps],
        "consent_rule": [stamp.rule for stamp in stamps],
        "consent_version": [stamp.version for stamp in stamps],
        "consent_purposes": [stamp.purposes for stamp in stamps],
        "consent_denied": [stamp.denied for stamp in stamps],
        "consent_signals": [stamp.signals for stamp in stamps],
        "consent_exports": [stamp.exports for stamp in stamps],
        "consent_signal": [stamp.signal for stamp in stamps],
    }


def visitor_fact_columns(events: Sequence[Landing]) -> Columns:
    """One row per event that makes sessions."""
    events = [event for event in events if event.counted and opens_session(event.record)]
    return {
        "site": [e.record.site for e in events],
        "visitor_id": [e.visitor for e in events],
        "occurred_at": [e.record.occurred_ms for e in events],
        "identity": [e.reading.identity for e in events],
        "event_key": [e.event_key for e in events],
        "name": [e.event.name for e in events],
        "is_key": [int(e.conversion != "" or e.event.name == "purchase") for e in events],
        "page": [e.page.url or "" for e in events],
        "source": [e.touch.source for e in events],
        "medium": [e.touch.medium for e in events],
        "campaign": [e.touch.campaign for e in events],
        "channel_group": [e.touch.channel_group for e in events],
        "click_id_name": [e.touch.click_id_name for e in events],
        "click_id": [e.touch.click_id for e in events],
        "retention": [e.retention for e in events],
        "step": [e.step for e in events],
        "device": [e.client.device for e in events],
        "place": [e.record.place for e in events],
        "is_tagged": [e.touch.is_tagged for e in events],
    }


def order_fact_columns(events: Sequence[Landing]) -> Columns:
    """One row per report about an order."""
    events = [event for event in events if is_report(event.record)]
    return {
        "order_key": [order_key(e.record) for e in events],
        "site": [e.record.site for e in events],
        "transaction_id": [e.commerce.transaction_id for e in events],
        "name": [e.event.name for e in events],
        "occurred_at": [e.record.occurred_ms for e in events],
        "identity": [e.reading.identity for e in events],
        "event_key": [e.event_key for e in events],
        "channel": [e.record.channel for e in events],
        "visitor_id": [e.visitor for e in events],
        "currency": [e.commerce.currency or "" for e in events],
        "value": [e.amount for e in events],
        "tax": [e.commerce.tax for e in events],
        "shipping": [e.commerce.shipping for e in events],
        "is_full": [int(e.commerce.value is None and not e.commerce.items) for e in events],
        "retention": [e.retention for e in events],
    }


def lead_fact_columns(events: Sequence[Landing]) -> Columns:
    """One row per report of a lead or of a conversion of the site's own."""
    events = [event for event in events if event.counted and event.conversion]
    return {
        "site": [e.record.site for e in events],
        "event_key": [e.event_key for e in events],
        "channel": [e.record.channel for e in events],
        "event_id": [e.record.event_id for e in events],
        "occurred_at": [e.record.occurred_ms for e in events],
        "visitor_id": [e.visitor for e in events],
        "currency": [e.commerce.currency or "" for e in events],
        "value": [e.amount for e in events],
        "retention": [e.retention for e in events],
        "kind": [e.conversion for e in events],
    }


def _flat(properties: object) -> str:
    """Give free properties as they lie on the log, where they were not decoded."""
    if not isinstance(properties, msgspec.Raw):
        return _json(properties)
    text = bytes(properties).decode()
    return "" if text in ("{}", "null") else text


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode() if value else ""
