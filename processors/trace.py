"""Where is my event? The whole path of one event id, from stored data alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from spine.store import Store

_EVENTS = """
SELECT site, name, toString(channel), lower(hex(identity)), lower(hex(event_key)),
    if(visitor_id = toFixedString('', 16), NULL, lower(hex(visitor_id))),
    toString(occurred_at), toString(received_at), consent_kept, consent_rule, consent_version,
    arrayStringConcat(consent_purposes, ','), arrayStringConcat(flags, ','), transaction_id
FROM events FINAL WHERE event_id = {event_id:String} ORDER BY site, name, channel
"""
_FATES = """
SELECT log_id, log_partition, log_offset, toString(received_at), fate, code
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
_EVENT_FIELDS = (
    "site", "name", "channel", "identity", "event_key", "visitor_id", "occurred_at", "received_at",
    "consent_kept", "consent_rule", "consent_version", "consent_purposes", "flags",
    "transaction_id",
)  # fmt: skip


async def trace(store: Store, event_id: str) -> Sequence[Mapping[str, Any]]:
    """Give every event of that id with its copies' fates, and the rows it led to.

    Empty when nothing has landed under the id: it never came, was refused or dropped (then it
    left no trace but a count), or is still on the log. Raises: Unavailable."""
    found = await store.select(_EVENTS, {"event_id": event_id})
    return [
        await _path(store, event_id, dict(zip(_EVENT_FIELDS, row, strict=True))) for row in found
    ]


async def _path(store: Store, event_id: str, event: dict[str, Any]) -> Mapping[str, Any]:
    path: dict[str, Any] = {"event_id": event_id, **event}
    fates = await store.select(_FATES, {"identity": event["identity"]})
    path["copies"] = [
        dict(
            zip(("log_id", "partition", "offset", "received_at", "fate", "code"), row, strict=True)
        )
        for row in fates
    ]
    results = await store.select(
        _RESULTS, {"event_id": event_id, "site": event["site"], "name": event["name"]}
    )
    if results:
        path["session_id"], path["person_id"] = results[0][0], results[0][1]
    if event["transaction_id"] is not None:
        orders = await store.select(
            _ORDERS, {"site": event["site"], "transaction_id": event["transaction_id"]}
        )
        names = ("status", "gross", "refunded", "currency", "verified", "session_id", "person_id")
        path["orders"] = [dict(zip(names, row, strict=True)) for row in orders]
    return path
