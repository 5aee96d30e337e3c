"""The traffic that is measured: visits of a shop as JSON events of about 960 bytes, seeded."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

MARK = b"@@@@@@@@"
"""Stands in a ring's bodies where each request puts its own number, of the same length."""

_SECONDS_BETWEEN_EVENTS_OF_A_VISIT = 60
_MAX_VISITS_AT_ONCE = 5_000
_RETURNING, _BUYING = 0.3, 0.15
_LOOKING = ("page_view", "view_item", "page_view", "view_item", "page_view", "view_item")
_PURCHASE = ("page_view", "view_item", "add_to_cart", "page_view", "begin_checkout", "purchase")
_WITH_ITEMS = frozenset({"view_item", "add_to_cart", "begin_checkout", "purchase"})
_WAYS_IN = (
    ("https://www.google.com/", "utm_source=google&utm_medium=cpc&utm_campaign=kitchen&gclid=Cj0K"),
    ("https://www.google.de/", "ref=organic-listing&page=category-listing&sort=popularity&visit="),
    ("", "utm_source=newsletter&utm_medium=email&utm_campaign=autumn&recipient-segment=regular-"),
    ("https://m.facebook.com/", "utm_source=facebook&utm_medium=paid_social&fbclid=IwAR-0x8"),
    ("https://blog.example.org/cooking/pans", "ref=article-about-pans&position=inline&visit="),
)
_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36"
)


class Span(NamedTuple):
    """When the events happened. Units: milliseconds since 1970."""

    first_ms: int
    last_ms: int


class _Visit(NamedTuple):
    visitor: int
    way_in: int
    names: tuple[str, ...]


def visits(events: int, span: Span, *, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Yield events in the order of their time: overlapping visits, new and returning visitors."""
    dice = random.Random(seed)
    step_ms = (span.last_ms - span.first_ms) / events
    at_once = round(1000 * _SECONDS_BETWEEN_EVENTS_OF_A_VISIT / step_ms)
    at_once = min(max(at_once, 1), _MAX_VISITS_AT_ONCE)
    under_way = [(_visit(dice, visitor), 0) for visitor in range(at_once)]
    newcomer = at_once
    for number in range(events):
        visit, step = under_way[number % at_once]
        yield event(number, visit, step, round(span.first_ms + number * step_ms))
        step += 1
        if step == len(visit.names):
            visit, step = _visit(dice, newcomer), 0
            newcomer += 1
        under_way[number % at_once] = (visit, step)


def _visit(dice: random.Random, newcomer: int) -> _Visit:
    visitor = dice.randrange(newcomer + 1) if dice.random() < _RETURNING else newcomer
    looking = _LOOKING[: dice.randint(2, len(_LOOKING))]
    names = _PURCHASE if dice.random() < _BUYING else looking
    return _Visit(visitor, dice.randrange(len(_WAYS_IN)), names)


def event(number: int, visit: _Visit, step: int, at_ms: int) -> dict[str, Any]:
    """Make one event; its number is in its id."""
    name = visit.names[step]
    referrer, query = _WAYS_IN[visit.way_in]
    page = f"https://shop.example/en/kitchen/pans-and-pots/p-{number % 997:05d}-cast-iron-pan"
    found: dict[str, Any] = {
        "event_id": f"01935f00-0000-7000-8000-{number:012d}",
        "name": name,
        "occurred_at": datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "anonymous_id": f"5c1ef1f0-9a3b-4d2e-8f6a-{visit.visitor:012d}",
        "page": {
            "url": f"{page}?{query}{visit.visitor:012d}" if step == 0 else page,
            "referrer": referrer if step == 0 else "https://shop.example/en/kitchen/pans-and-pots",
            "title": "Cast iron pan, 28 cm, with wooden handle - Shop Example, everything to cook",
        },
        "consent": {
            "purposes": {"analytics": True, "ads_measurement": True, "personalisation": False},
            "decided_at": f"2026-01-05T08:{visit.visitor % 60:02d}:00.{visit.visitor % 997:03d}Z",
        },
        "properties": {
            "screen": "1920x1080", "viewport": "1583x912", "language": "de-DE", "logged_in": False,
            "experiment": "checkout-two-steps:b", "scroll_depth": 40, "dark_mode": False,
            "page_type": "product", "stock": "available", "delivery_days": 2, "version": "web-412",
            "template": "product-detail-wide", "recommendations": "also-bought:12,also-seen:8",
        },
    }  # fmt: skip
    if name in _WITH_ITEMS:
        found["commerce"] = _commerce(name, number)
    if name in ("begin_checkout", "purchase"):
        found["user_id"] = f"customer-{visit.visitor:08d}"
    return found


def _commerce(name: str, number: int) -> dict[str, Any]:
    items = [
        {"item_id": f"SKU-{number % 97 + line:05d}", "item_name": "Cast iron pan, 28 cm",
         "item_category": "Kitchen", "price": 19.99 + line, "quantity": 1 + line}
        for line in range(2 if name == "purchase" else 1)
    ]  # fmt: skip
    commerce: dict[str, Any] = {"currency": "EUR", "value": 39.98, "items": items}
    if name == "purchase":
        commerce |= {"transaction_id": f"T-{number:012d}", "tax": 6.38, "shipping": 4.9}
    return commerce


def as_server(event: dict[str, Any]) -> dict[str, Any]:
    """Give the event as a site that tracks from its server sends it."""
    return event | {"ip": "203.0.113.77", "user_agent": _AGENT}


def ring(bodies: int, batch: int, now_ms: int) -> list[bytes]:
    """Give bodies that become new ones for ever: `MARK` in every id is replaced by a number.

    Shape: one event in a body when `batch` is 1, else a batch with `sent_at`."""
    span = Span(now_ms - 3_600_000, now_ms)
    found = visits(bodies * batch, span)
    made = []
    for _ in range(bodies):
        events = [_marked(next(found), place) for place in range(batch)]
        made.append(orjson.dumps(events[0] if batch == 1 else {"events": events}))
    return made


def _marked(event: dict[str, Any], place: int) -> dict[str, Any]:
    mark = f"{MARK.decode()}-{place:03d}"
    event["event_id"] = f"01935f00-0000-7000-8000-{mark}"
    if "transaction_id" in event.get("commerce", {}):
        event["commerce"]["transaction_id"] = f"T-{mark}"
    return event
