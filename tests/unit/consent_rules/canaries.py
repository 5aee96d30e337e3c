"""An event with a canary in every place that has room for one, and where one is looked for."""

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import quote

import msgspec

from consent_rules.decide import Dropped, Kept, decide
from consent_rules.regime import Rules
from consent_rules.standing import NOTHING, Carried
from spine.event import Commerce, Event, Identifiers, Item, Page

CLICK = "Cj0KCQ-canary-click-9f3a"
ID = "id-canary-5b1e77"
MAIL = "max.canary@shop.example"
IP = "198.51.100.77"
AGENT = "Mozilla/5.0 (canary; Linux x86_64)"
AT_MS = 1_795_341_600_000  # 2026-11-22T10:00:00Z


def event(name: str = "purchase", consent: object = None) -> Event:
    """An event that carries a canary in every place that has room for one."""
    address = f"https://shop.example/?gclid={CLICK}&uid={ID}&mail={quote(MAIL)}&ip={IP}&q=1"
    return Event(
        name=name,
        event_id="e-1",
        occurred_at=datetime(2026, 11, 22, 10, tzinfo=UTC),
        anonymous_id=ID,
        user_id=MAIL,
        identifiers=Identifiers("a" * 64, "b" * 64, ID),
        page=Page(address, f"https://r.example/?fbclid={CLICK}&mail={MAIL}", f"{AGENT} {address}"),
        consent=msgspec.Raw(msgspec.json.encode(consent)) if consent is not None else msgspec.Raw(),
        commerce=Commerce(
            transaction_id="T-1",
            currency="EUR",
            value=Decimal("39.98"),
            tax=Decimal("6.38"),
            shipping=Decimal("4.9"),
            discount=Decimal("1"),
            coupon=f"{ID} ?gclid={CLICK}",
            items=(
                Item(
                    item_id="SKU1",
                    item_name=f"{MAIL} {IP}",
                    price=Decimal("19.99"),
                    quantity=2,
                    affiliation=f"https://partner.example/?awc={CLICK}",
                    item_list_name=ID,
                ),
            ),
        ),
        properties={
            "gclid": CLICK,
            f"gclid={CLICK}": 1,
            "landing": f"https://shop.example/?a=1&msclkid={CLICK}",
            "mail": MAIL,
            "encoded": base64.b64encode(MAIL.encode()).decode(),
            "n": 5,
        },
        ip=IP,
        user_agent=AGENT,
    )


def decided(rules: Rules, claimed: Event, carried: Carried = NOTHING) -> Kept | Dropped:
    """What is decided about an event at its time."""
    return decide(rules, claimed, carried, AT_MS)


def spellings(canary: str) -> Iterator[bytes]:
    raw = canary.encode()
    yield raw
    yield quote(canary, safe="").encode()
    yield raw.hex().encode()
    yield base64.b64encode(raw).rstrip(b"=")
    yield base64.urlsafe_b64encode(raw).rstrip(b"=")


def bytes_of(kept: Kept) -> bytes:
    return msgspec.json.encode([kept.event, kept.stamp]).lower()


def paths(tree: object, at: str = "") -> Iterator[str]:
    """Name every leaf of a decoded JSON document."""
    if isinstance(tree, Mapping):
        for name, inside in tree.items():
            yield from paths(inside, f"{at}.{name}" if at else name)
    elif isinstance(tree, list):
        for inside in tree:
            yield from paths(inside, at)
    else:
        yield at


def leaves(kept: Event) -> set[str]:
    return set(paths(msgspec.json.decode(msgspec.json.encode(kept))))
