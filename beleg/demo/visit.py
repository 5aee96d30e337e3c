"""One visit to the demo shop, acted out event by event. Pure: all chance comes with the visitor."""

import hashlib
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from beleg.demo.site import DEMO_SITE, GOODS, SHOP_BACKEND, WAYS_IN, Good, WayIn

_CENT = Decimal("0.01")
_VAT = Decimal("0.19")
_FREE_SHIPPING_FROM, _SHIPPING = Decimal(50), Decimal("4.90")


class Hit(NamedTuple):
    """One event and how it reaches the collector.

    Shape: posted `times_sent` times, first at `posted_at`, which may be long after it occurred."""

    posted_at: datetime
    channel: Literal["browser", "server"]
    event: Mapping[str, object]
    times_sent: int
    user_agent: str


class Device(NamedTuple):
    """A browser of a visitor."""

    anonymous_id: str
    user_agent: str


class Visitor(NamedTuple):
    """Somebody who comes to the shop; `new_id` never gives the same id twice."""

    chance: random.Random
    new_id: Callable[[], str]
    consent: Mapping[str, bool]
    devices: tuple[Device, ...]
    user_id: str
    has_account: bool


class _Line(NamedTuple):
    good: Good
    quantity: int


class Visit:
    """A visit under way: everything that happened is in `hits`, in the order it occurred."""

    def __init__(self, visitor: Visitor, device: Device, at: datetime) -> None:
        self.visitor, self.device, self.at = visitor, device, at
        self.user_id: str | None = None
        self.cart: list[_Line] = []
        self.hits: list[Hit] = []

    def play(self, *, log_in_first: bool) -> list[Hit]:
        """Act out the visit from landing page to leaving, and return what was sent."""
        chance = self.visitor.chance
        self._land(chance.choices(WAYS_IN, [way.share for way in WAYS_IN])[0])
        if log_in_first:
            self._log_in()
        if chance.random() < 0.47:
            return self.hits
        self._browse()
        if chance.random() < 0.02:
            self.browser("generate_lead", "/anfrage", properties={"form": "Firmenkunden"})
        if self.cart and chance.random() < 0.47:
            self._check_out()
        return self.hits

    def browser(self, name: str, path: str, **more: object) -> None:
        """The page reports an event, a little after the one before."""
        self.at += timedelta(seconds=self.visitor.chance.uniform(1, 75))
        event = self._event(name, self.visitor.new_id())
        event["page"] = {"url": DEMO_SITE.origin + path}
        self._put("browser", event | more, self.device.user_agent)

    def server(self, name: str, event_id: str, after_s: float, **more: object) -> None:
        """The shop's backend reports an event; it knows the visitor from the order."""
        event = self._event(name, event_id)
        event["occurred_at"] = _text(self.at + timedelta(seconds=after_s))
        self._put("server", event | more, SHOP_BACKEND, after_s)

    def _event(self, name: str, event_id: str) -> dict[str, object]:
        # Ids are sent whatever the consent says, as careless pages do: the collector has to
        # keep them out, and the demo would show it if it did not.
        event: dict[str, object] = {
            "event_id": event_id,
            "name": name,
            "occurred_at": _text(self.at),
            "anonymous_id": self.device.anonymous_id,
            "consent": {"purposes": dict(self.visitor.consent)},
        }
        if self.user_id:
            event["user_id"] = self.user_id
        return event

    def _put(
        self,
        channel: Literal["browser", "server"],
        event: Mapping[str, object],
        user_agent: str,
        after_s: float = 0.0,
    ) -> None:
        chance = self.visitor.chance
        posted_at = self.at + timedelta(seconds=after_s + _delay_s(chance))
        times_sent = 2 if chance.random() < 0.03 else 1
        self.hits.append(Hit(posted_at, channel, event, times_sent, user_agent))

    def _land(self, way: WayIn) -> None:
        click_id = self.visitor.new_id().replace("-", "") if way.query.endswith("=") else ""
        path = f"/?{way.query}{click_id}" if way.query else "/"
        page = {"url": DEMO_SITE.origin + path, "title": "Kontor am Markt"}
        if way.referrer:
            page["referrer"] = way.referrer
        self.browser("page_view", path, page=page)

    def _browse(self) -> None:
        chance = self.visitor.chance
        shelf = chance.choice(sorted({good.item_category for good in GOODS}))
        goods = [good for good in GOODS if good.item_category == shelf]
        listed: list[dict[str, object]] = [
            {"item_id": good.item_id, "item_list_name": shelf} for good in goods
        ]
        self.browser("page_view", f"/{shelf.lower()}")
        self.browser("view_item_list", f"/{shelf.lower()}", commerce={"items": listed})
        for good in chance.sample(goods, k=chance.randint(1, 3)):
            path = f"/artikel/{good.item_id.lower()}"
            line = _Line(good, chance.choice((1, 1, 1, 2, 3)))
            self.browser("page_view", path)
            self.browser("view_item", path, commerce=_goods([_Line(good, 1)]))
            if chance.random() < 0.24:
                self.cart.append(line)
                self.browser("add_to_cart", path, commerce=_goods([line]))

    def _log_in(self) -> None:
        if self.user_id is None:
            self.user_id = self.visitor.user_id
            self.browser("login", "/konto", identifiers=_email(self.user_id))

    def _check_out(self) -> None:
        chance, cart = self.visitor.chance, _goods(self.cart)
        self.browser("begin_checkout", "/kasse", commerce=cart)
        if self.visitor.has_account and chance.random() < 0.8:
            self._log_in()
        elif self.user_id is None and chance.random() < 0.2:
            self.user_id = self.visitor.user_id
            self.browser("sign_up", "/konto/neu", identifiers=_email(self.user_id))
        if chance.random() < 0.9:
            self.browser("add_payment_info", "/kasse/zahlung", commerce=cart)
            if chance.random() < 0.9:
                self._buy()

    def _buy(self) -> None:
        """Browser and backend report the same order, as real shops do: not always, not alike."""
        chance, event_id = self.visitor.chance, self.visitor.new_id()
        order = f"D{self.visitor.new_id()[:8].upper()}"
        commerce = _goods(self.cart) | _extras(self.cart) | {"transaction_id": order}
        way = chance.random()
        if way < 0.88:
            self.browser("purchase", "/kasse/danke", commerce=commerce, event_id=event_id)
        if way > 0.08:
            same = chance.random() < 0.85
            server_id = event_id if same else self.visitor.new_id()
            amounts = _as_text(commerce) if chance.random() < 0.5 else commerce
            self.server("purchase", server_id, chance.uniform(1, 9), commerce=amounts)
        if chance.random() < 0.12:
            self._send_back(order, chance.random() < 0.5)

    def _send_back(self, order: str, whole: bool) -> None:
        after_s = self.visitor.chance.uniform(20, 72) * 3600
        commerce: dict[str, object] = {"transaction_id": order, "currency": DEMO_SITE.currency}
        if not whole:
            returned = [_Line(self.cart[0].good, 1)]
            commerce |= _as_text(_goods(returned))
        # A refund without value and items is a full one.
        self.server("refund", self.visitor.new_id(), after_s, commerce=commerce)


def _goods(lines: list[_Line]) -> dict[str, object]:
    items: list[dict[str, object]] = [
        {
            "item_id": line.good.item_id,
            "item_name": line.good.item_name,
            "item_category": line.good.item_category,
            "price": float(line.good.price),
            "quantity": line.quantity,
        }
        for line in lines
    ]
    return {"currency": DEMO_SITE.currency, "value": float(_value(lines)), "items": items}


def _value(lines: list[_Line]) -> Decimal:
    return sum((line.good.price * line.quantity for line in lines), Decimal(0))


def _extras(lines: list[_Line]) -> dict[str, object]:
    value = _value(lines)
    shipping = Decimal(0) if value >= _FREE_SHIPPING_FROM else _SHIPPING
    return {"tax": float((value * _VAT).quantize(_CENT)), "shipping": float(shipping)}


def _as_text(commerce: Mapping[str, object]) -> dict[str, object]:
    """The same amounts as decimal strings, as careful backends send them."""
    return {
        name: f"{value:.2f}" if isinstance(value, float) else value
        for name, value in commerce.items()
    }


def _email(user_id: str) -> dict[str, object]:
    return {"email_sha256": hashlib.sha256(f"{user_id}@kunden.example".encode()).hexdigest()}


def _delay_s(chance: random.Random) -> float:
    """Most events arrive at once, some behind their followers, a few when the phone is back."""
    kind = chance.random()
    if kind < 0.02:
        return chance.uniform(600, 36 * 3600)
    return chance.uniform(1, 180) if kind < 0.12 else 0.0


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
