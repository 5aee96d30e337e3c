"""A shop with its two keys, a moment, and what was observed at that moment."""

from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from collector.admission import Admission
from collector.admit import admit
from collector.decode import Claims, decode
from collector.observe import Receipt
from collector.source import Source
from consent_rules.regions import Regimes
from consent_rules.rules import load
from spine.record import Channel, EventRecord
from spine.record import decode as read_record

NOW_MS = 1_795_341_600_000  # 2026-11-22T10:00:00Z
DAY_MS = 86_400_000
ALL = {"purposes": {"analytics": True, "ads_measurement": True}}
ANALYTICS = {"purposes": {"analytics": True}}
RECEIPT = Receipt(NOW_MS, "203.0.113.0", "Mozilla/5.0 (X11)")


def source(channel: Channel = "browser") -> Source:
    zone = ZoneInfo("Europe/Berlin")
    return Source(
        "shop", channel, "EUR", zone, frozenset({"https://shop.example"}), Regimes(load("eu"), {})
    )


def claims(*events: object, sent_at: str | None = None) -> Claims:
    """Decode events as they would come in one request."""
    body = {"events": events} | ({"sent_at": sent_at} if sent_at else {})
    found = decode(msgspec.json.encode(body), 500)
    assert isinstance(found, Claims), found
    return found


def admitted(
    *events: object,
    channel: Channel = "browser",
    sent_at: str | None = None,
    receipt: Receipt = RECEIPT,
) -> Admission:
    return admit(claims(*events, sent_at=sent_at), receipt, source(channel))


def record_of(admission: Admission, index: int = 0) -> EventRecord:
    found = read_record(admission.admitted[index].value)
    assert isinstance(found, EventRecord), found
    return found


def purchase(**more: Any) -> dict[str, Any]:
    """An order as a shop's page tells of it."""
    event: dict[str, Any] = {
        "name": "purchase",
        "event_id": "e-1",
        "occurred_at": "2026-11-22T09:59:00Z",
        "anonymous_id": "a-1",
        "consent": ALL,
        "commerce": {
            "transaction_id": "T-1",
            "currency": "EUR",
            "value": 39.98,
            "items": [{"item_id": "SKU1", "item_name": "Schuh", "price": 19.99, "quantity": 2}],
        },
    }
    return event | more
