"""What happened, told so that both the processors and a plain model of the result understand it.

A `Happening` carries the digests as opaque texts: the model never computes one itself.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

from spine import digest
from spine.event import Commerce, Event, Identifiers, Item, Page
from spine.log import Record
from spine.record import EventRecord, Stamp, encode

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Order(NamedTuple):
    """What an event says about an order or a lead; `prices` are items of quantity 1."""

    transaction_id: str | None
    value: str | None = None
    currency: str | None = "EUR"
    prices: tuple[str | None, ...] = ()
    tax: str | None = None
    shipping: str | None = None


class Happening(NamedTuple):
    """One event of one site, as one kind of key reported it.

    Shape: `campaign` is source and medium, and the campaign's name if it has one."""

    site: str
    name: str
    event_id: str
    at_ms: int
    channel: Literal["browser", "server"] = "browser"
    anonymous_id: str | None = None
    user_id: str | None = None
    path: str | None = "/"
    campaign: tuple[str, ...] | None = None
    order: Order | None = None
    received_on: int = 19_800
    flags: tuple[str, ...] = ()
    stripped: bool = False
    late_ms: int = 0
    user_agent: str = ""
    place: str = ""
    referrer: str | None = None
    named: tuple[tuple[str, str], ...] = ()

    @property
    def event_key(self) -> str:
        return digest.event_key(self.site, self.name, self.event_id).hex()

    @property
    def identity(self) -> str:
        return digest.identity(bytes.fromhex(self.event_key), self.channel).hex()

    @property
    def visitor(self) -> str | None:
        found = digest.visitor_id(self.site, self.anonymous_id, self.user_id)
        return found.hex() if found else None

    @property
    def user(self) -> str | None:
        if self.user_id is None:
            return None
        return digest.identifier_id(self.site, "user_id", self.user_id).hex()

    @property
    def page_url(self) -> str:
        if self.path is None:
            return ""
        tags = zip(("utm_source", "utm_medium", "utm_campaign"), self.campaign or (), strict=False)
        query = "&".join(f"{name}={value}" for name, value in tags)
        return f"https://{self.site}.example{self.path}{'?' if query else ''}{query}"


def record(told: Happening) -> EventRecord:
    """Write the happening as a collector would."""
    event = Event(
        name=told.name,
        anonymous_id=told.anonymous_id,
        user_id=told.user_id,
        identifiers=Identifiers(**dict(told.named)) if told.named else None,
        page=Page(told.page_url, told.referrer) if told.path is not None else None,
        commerce=_commerce(told.order),
    )
    return EventRecord(
        site=told.site,
        channel=told.channel,
        event_id=told.event_id,
        identity=told.identity,
        event_key=told.event_key,
        visitor=told.visitor,
        body=digest.body_digest(repr(told).encode()).hex(),
        occurred_ms=told.at_ms,
        received_ms=max(told.at_ms, 0) + told.late_ms,
        received_on=told.received_on,
        stamp=Stamp(
            rule="eu", version="1", kept="stripped" if told.stripped else "whole",
            linked=not told.stripped,
        ),
        flags=told.flags,
        user_agent=told.user_agent,
        place=told.place,
        event=event,
    )  # fmt: skip


def _commerce(order: Order | None) -> Commerce | None:
    if order is None:
        return None
    return Commerce(
        transaction_id=order.transaction_id,
        currency=order.currency,
        value=_decimal(order.value),
        tax=_decimal(order.tax),
        shipping=_decimal(order.shipping),
        items=tuple(Item(price=_decimal(price)) for price in order.prices) or None,
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def records(happenings: Sequence[Happening], first_offset: int = 0) -> list[Record]:
    """Put them on a log of one partition, in this order."""
    return [
        Record(0, first_offset + number, encode(record(told)), told.at_ms)
        for number, told in enumerate(happenings)
    ]
