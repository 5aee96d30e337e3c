"""Where is my event? The whole path of one event id, from stored data alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from processors.judge import NOBODY
from spine.digest import identifier_id
from spine.store import Row, Store

_EVENTS = """
SELECT site, name, toString(channel), lower(hex(identity)), lower(hex(event_key)),
    if(visitor_id = toFixedString('', 16), NULL, lower(hex(visitor_id))),
    toString(occurred_at), toString(received_at), consent_kept, consent_rule, consent_version,
    arrayStringConcat(consent_purposes, ','), arrayStringConcat(consent_denied, ','),
    arrayStringConcat(consent_signals, ','), arrayStringConcat(consent_exports, ','), retention,
    arrayStringConcat(flags, ','), transaction_id
FROM events FINAL WHERE event_id = {event_id:String} ORDER BY site, name, channel
"""
_FATES = """
SELECT log_id, log_partition, log_offset,
    if(appended_at = 0, NULL, toString(appended_at)), toString(received_at), fate, code
FROM fates FINAL WHERE identity = unhex({identity:String})
ORDER BY log_id, log_partition, log_offset
"""
_RESULTS = """
SELECT session_id, person_id, visitor_id, transaction_id FROM v_events
WHERE event_id = {event_id:String} AND site = {site:String} AND name = {name:String}
"""
_ORDERS = """
SELECT status, toString(gross), toString(refunded), currency, verified, session_id, person_id
FROM v_orders WHERE site = {site:String} AND transaction_id = {transaction_id:String}
"""
_PROVENANCE = """
SELECT field, value, channel, name, event_id FROM v_order_provenance
WHERE site = {site:String} AND transaction_id = {transaction_id:String} ORDER BY field
"""
_SESSIONS = """
SELECT toString(started_at), toString(ended_at), events, channel_group, source, medium
FROM v_sessions WHERE site = {site:String} AND session_id = {session_id:String}
"""
_FACTS = """
SELECT
    (SELECT uniqExact(identity) FROM visitor_facts
        WHERE visitor_id = unhex({visitor_id:String}) AND identity = unhex({identity:String})),
    (SELECT uniqExact(identity) FROM order_facts
        WHERE order_key = unhex({order_key:String}) AND identity = unhex({identity:String})),
    (SELECT count() FROM lead_facts FINAL WHERE site = {site:String}
        AND event_key = unhex({event_key:String}) AND channel = {channel:String}),
    (SELECT uniqExact(identity) FROM identity_evidence
        WHERE key IN (
            SELECT arrayJoin([visitor_id, user_key, crm_key, email_key, phone_key]) FROM events
            WHERE event_id = {event_id:String} AND identity = unhex({identity:String})
        ) AND identity = unhex({identity:String}))
"""
_FACT_TABLES = ("visitor_facts", "order_facts", "lead_facts", "identity_evidence")
_REJECTS = """
SELECT log_id, log_partition, log_offset, toString(appended_at), code, detail
FROM rejects FINAL WHERE position(value, {event_id:String}) > 0
ORDER BY appended_at, log_id, log_partition, log_offset LIMIT 20
"""
_EVENT_FIELDS = (
    "site", "name", "channel", "identity", "event_key", "visitor_id", "occurred_at", "received_at",
    "consent_kept", "consent_rule", "consent_version", "consent_purposes",
    "consent_denied", "consent_signals", "consent_exports", "retention", "flags", "transaction_id",
)  # fmt: skip


async def trace(store: Store, event_id: str) -> Sequence[Mapping[str, Any]]:
    """Give every event of that id with its copies' fates, and the rows it led to.

    Empty when nothing has landed under the id: it never came, was refused or dropped (then it
    left no trace but a count), or is still on the log. Raises: Unavailable."""
    found = await store.select(_EVENTS, {"event_id": event_id})
    return [
        await _path(store, event_id, dict(zip(_EVENT_FIELDS, row, strict=True))) for row in found
    ]


async def rejected(store: Store, event_id: str) -> Sequence[Mapping[str, Any]]:
    """Give the records with these bytes in them that could not be read, at most 20.

    Nobody can tell whose they are: an id may stand in a record for another reason."""
    return _named(
        ("log_id", "partition", "offset", "appended_at", "code", "detail"),
        await store.select(_REJECTS, {"event_id": event_id}),
    )


async def _path(store: Store, event_id: str, event: dict[str, Any]) -> Mapping[str, Any]:
    path: dict[str, Any] = {"event_id": event_id, **event}
    site, transaction_id = event["site"], event["transaction_id"]
    path["copies"] = _named(
        ("log_id", "partition", "offset", "appended_at", "received_at", "fate", "code"),
        await store.select(_FATES, {"identity": event["identity"]}),
    )
    path["rows"] = [table for table, count in await _facts(store, path) if count]
    results = await store.select(
        _RESULTS, {"event_id": event_id, "site": site, "name": event["name"]}
    )
    if results:
        path["session_id"], path["person_id"] = results[0][0], results[0][1]
        path["sessions"] = _named(
            ("started_at", "ended_at", "events", "channel_group", "source", "medium"),
            await store.select(_SESSIONS, {"site": site, "session_id": results[0][0] or ""}),
        )
    if transaction_id is not None:
        path["orders"] = _named(
            ("status", "gross", "refunded", "currency", "verified", "session_id", "person_id"),
            await store.select(_ORDERS, {"site": site, "transaction_id": transaction_id}),
        )
        path["order_fields"] = _named(
            ("field", "value", "channel", "name", "event_id"),
            await store.select(_PROVENANCE, {"site": site, "transaction_id": transaction_id}),
        )
    return path


def _named(names: Sequence[str], rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in rows]


async def _facts(store: Store, event: Mapping[str, Any]) -> Sequence[tuple[str, int]]:
    """Say in which tables of facts the event has rows, beside `events`."""
    keys = {name: event[name] for name in ("site", "channel", "identity", "event_key")}
    keys["visitor_id"] = event["visitor_id"] or NOBODY.hex()
    order = identifier_id(event["site"], "transaction_id", event["transaction_id"] or "")
    ((*counts,),) = await store.select(
        _FACTS, {**keys, "order_key": order.hex(), "event_id": event["event_id"]}
    )
    return [("events", 1), *zip(_FACT_TABLES, counts, strict=True)]
