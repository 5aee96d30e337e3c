"""A shop's visitors, drawn from a seed: what they do, and what of it must land.

Visitors have several devices and one shared one, orders are told by browser and server, refunds
come before their purchase, batches come late, out of order, twice and cut anew.
"""

import heapq
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from tests.flow.happenings import DAY_MS, Happening, Order

_PEOPLE = 60
_GAPS_MS = (1, 5_000, 11_000, 300_000, 1_799_999, 1_800_000, 1_800_001)
_CAMPAIGNS = (None, None, ("google", "cpc"), ("newsletter", "email"))
_VALUES = ("10", "0.01", "19.99", "1234.5678")
_GRANT, _DENY = {"purposes": {"analytics": True}}, {"purposes": {"analytics": False}}


class Saying(NamedTuple):
    """One event as a client sends it.

    Shape: `told` is what must land when it is accepted; None when it must not be accepted."""

    body: Mapping[str, Any]
    told: Happening | None


class Parcel(NamedTuple):
    """The events of one request."""

    channel: Literal["browser", "server"]
    sayings: tuple[Saying, ...]


class Shop:
    """Parcels without end; the same seed gives the same ones."""

    def __init__(self, seed: int, now_ms: int) -> None:
        self._chance = random.Random(seed)
        self._now_ms = now_ms
        self._number = 0
        self._step = 0
        self._waiting: list[tuple[int, int, Parcel]] = []

    def parcel(self) -> Parcel:
        """Give what is sent next."""
        self._step += 1
        while not self._waiting or self._waiting[0][0] > self._step:
            self._visit()
        parcel = heapq.heappop(self._waiting)[2]
        if self._chance.random() < 0.1:
            self._send(parcel, self._chance.choice((1, 5, 300)))
        return parcel

    def _send(self, parcel: Parcel, in_steps: int = 0) -> None:
        heapq.heappush(self._waiting, (self._step + in_steps, self._next(), parcel))

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _visit(self) -> None:
        chance = self._chance
        person = chance.randrange(_PEOPLE)
        device = "shared" if person % 20 == 0 else f"d{person}-{chance.randrange(1 + person % 3)}"
        user = f"u{person}" if person % 4 and chance.random() < 0.3 else None
        at_ms = self._now_ms - chance.randrange(DAY_MS // 2, 5 * DAY_MS)
        campaign = chance.choice(_CAMPAIGNS)
        told = []
        for number in range(chance.randint(1, 5)):
            told.append(
                self._event("page_view", at_ms, device, user)._replace(
                    campaign=campaign if number == 0 else None
                )
            )
            at_ms += chance.choice(_GAPS_MS)
        if chance.random() < 0.1:
            told.append(self._event("generate_lead", at_ms, device, user))
        consented = chance.random() < 0.8
        said = [_said(one, consented) for one in told]
        if chance.random() < 0.1:
            said.append(_misspelt(self._event("page_view", at_ms, device, user)))
        chance.shuffle(said)
        self._in_parcels("browser", said)
        if chance.random() < 0.4:
            self._buy(at_ms, device, user, consented)

    def _in_parcels(self, channel: Literal["browser", "server"], said: list[Saying]) -> None:
        """Send them cut at random, sometimes late, sometimes once more in another cut."""
        late = self._chance.choice((0, 0, 0, 3, 200))
        cut = self._chance.randint(0, len(said))
        for part in (said[:cut], said[cut:]):
            if part:
                self._send(Parcel(channel, tuple(part)), late)
        if self._chance.random() < 0.1:
            self._send(Parcel(channel, tuple(said)), late + self._chance.choice((0, 2, 50)))

    def _buy(self, at_ms: int, device: str, user: str | None, consented: bool) -> None:
        chance = self._chance
        transaction = f"T{self._next()}"
        priced = chance.random() < 0.2
        order = Order(
            transaction,
            None if priced else chance.choice(_VALUES),
            chance.choice(("EUR", "EUR", "EUR", "USD")),
            ("3.5", "1") if priced else (),
            "1.9",
            chance.choice((None, "4.9")),
        )
        bought = self._event("purchase", at_ms, device, user)._replace(order=order)
        copy = bought._replace(
            channel="server", at_ms=at_ms + 2_000, path=None, user_id=user or f"u{device}"
        )
        sides = chance.choice(((bought, copy), (bought, copy), (bought,), (copy,)))
        for side in sides:
            self._in_parcels(side.channel, [_said(side, consented)])
        if chance.random() < 0.4:
            self._refund(order, at_ms)

    def _refund(self, order: Order, at_ms: int) -> None:
        """The server tells it at once; the purchase may well come later."""
        back = order._replace(value=self._chance.choice((None, "0.01", order.value)), prices=())
        back = back._replace(tax=None, shipping=None)
        told = self._event("refund", at_ms + 3_600_000, None, None)
        told = told._replace(channel="server", path=None, order=back)
        self._send(Parcel("server", (_said(told, True),)), self._chance.choice((0, 0, 100)))

    def _event(self, name: str, at_ms: int, device: str | None, user: str | None) -> Happening:
        number = self._next()
        path = f"/{number % 17}"
        return Happening("shop", name, f"e{number}", at_ms, "browser", device, user, path)


def _said(told: Happening, consented: bool) -> Saying:
    body = _body(told, consented)
    if consented:
        return Saying(body, told)
    if told.name not in ("purchase", "refund"):
        return Saying(body, None)
    bare = told._replace(anonymous_id=None, user_id=None, path=None, campaign=None, stripped=True)
    return Saying(body, bare)


def _misspelt(told: Happening) -> Saying:
    return Saying({**_body(told, True), "evnt": "x"}, None)


def _body(told: Happening, consented: bool) -> Mapping[str, Any]:
    at = datetime.fromtimestamp(told.at_ms // 1000, UTC).replace(
        microsecond=told.at_ms % 1000 * 1000
    )
    body: dict[str, Any] = {
        "event_id": told.event_id,
        "name": told.name,
        "occurred_at": at.isoformat(),
        "anonymous_id": told.anonymous_id,
        "user_id": told.user_id,
        "page": {"url": told.page_url} if told.path is not None else None,
        "commerce": _commerce(told.order) if told.order else None,
        "consent": _GRANT if consented else _DENY,
    }
    return {name: value for name, value in body.items() if value is not None}


def _commerce(order: Order) -> Mapping[str, Any]:
    items = [{"item_id": "i", "price": price, "quantity": 1} for price in order.prices]
    told = {**order._asdict(), "prices": None, "items": items or None}
    return {name: value for name, value in told.items() if value is not None}
