"""A shop's visitors, drawn from a seed: what they do, and when it is sent.

Visitors have several devices and one shared one, orders and leads are told by browser and server,
refunds come before their purchase, consent is withdrawn and given again, batches come late, out of
order, twice and cut anew, days after or months after, and much happens around midnight.
"""

import heapq
import random
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from tests.faults.parcel import Parcel, Saying, misspelt, said
from tests.faults.sites import Site
from tests.flow.happenings import DAY_MS, HOUR_MS, Happening, Order

_PEOPLE = 60
_GAPS_MS = (1, 5_000, 11_000, 300_000, 1_799_999, 1_800_000, 1_800_001)
_BESIDE_MIDNIGHT_MS = (-1_800_000, -2_000, -1, 0, 1, 2_000)
_CAMPAIGNS = (
    None,
    None,
    None,
    ("google", "cpc"),
    ("google", "cpc", "winter"),
    ("google", "cpc", "winter-shopping"),
    ("newsletter", "email"),
    ("facebook", "paid_social", "launch"),
    ("friends", "affiliate", "spring"),
    ("poster", "street"),
)
_VALUES = ("10", "0.01", "19.99", "1234.5678")
# A browser may be 7 days late; the rest is for a run of hours.
_LATEST_MS = 7 * DAY_MS - 12 * HOUR_MS
_ALWAYS, _NEVER, _WITHDRAWN = (True,), (False,), (True, False, True)
_CONSENTS = (*[_ALWAYS] * 6, _NEVER, _WITHDRAWN)

Channel = Literal["browser", "server"]


class Shop:
    """Parcels without end; the same seed gives the same ones."""

    def __init__(self, site: Site, seed: int, now_ms: int) -> None:
        self._site = site
        self._zone = ZoneInfo(site.timezone)
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
        # What a shop's own server tells of a page makes sessions too, and may be months old.
        channel: Channel = "server" if chance.random() < 0.08 else "browser"
        at_ms = self._when(channel)
        campaign = chance.choice(_CAMPAIGNS)
        told = []
        for number in range(chance.randint(1, 5)):
            view = self._event("page_view", at_ms, device, user, channel)
            told.append(view._replace(campaign=campaign if number == 0 else None))
            at_ms += chance.choice(_GAPS_MS)
        consents = chance.choice(_CONSENTS)
        sayings = [
            self._said(one, consents[len(consents) * number // len(told)])
            for number, one in enumerate(told)
        ]
        if chance.random() < 0.1:
            sayings.append(misspelt(self._event("page_view", at_ms, device, user, channel)))
        chance.shuffle(sayings)
        self._in_parcels(channel, sayings)
        if chance.random() < 0.15 and channel == "browser":
            self._inquire(at_ms, device, user, consents[-1])
        if chance.random() < 0.4:
            self._buy(at_ms, device, user, consents[-1])

    def _when(self, channel: Channel) -> int:
        chance = self._chance
        if channel == "server":
            return self._now_ms - chance.randrange(DAY_MS, chance.choice((60, 400)) * DAY_MS)
        at_ms = self._now_ms - chance.randrange(DAY_MS // 2, _LATEST_MS)
        return self._near_midnight(at_ms) if chance.random() < 0.25 else at_ms

    def _near_midnight(self, at_ms: int) -> int:
        """Move it beside the midnight of the site's zone that follows, if that has been."""
        day = datetime.fromtimestamp(at_ms // 1000, self._zone).date() + timedelta(days=1)
        midnight = datetime.combine(day, time(), self._zone)
        moved = int(midnight.timestamp() * 1000) + self._chance.choice(_BESIDE_MIDNIGHT_MS)
        return moved if moved < self._now_ms - DAY_MS // 2 else at_ms

    def _said(self, told: Happening, consented: bool) -> Saying:
        return said(told, consented, self._site.currency)

    def _in_parcels(self, channel: Channel, sayings: Sequence[Saying]) -> None:
        """Send them cut at random, sometimes late, sometimes once more in another cut."""
        late = self._chance.choice((0, 0, 0, 3, 200))
        cut = self._chance.randint(0, len(sayings))
        for part in (sayings[:cut], sayings[cut:]):
            if part:
                self._send(Parcel(self._site, channel, tuple(part)), late)
        if self._chance.random() < 0.1:
            again = Parcel(self._site, channel, tuple(sayings))
            self._send(again, late + self._chance.choice((0, 2, 50)))

    def _inquire(self, at_ms: int, device: str, user: str | None, consented: bool) -> None:
        """A lead: the server knows it later, and of another value; its visitor it may not know."""
        chance = self._chance
        order = Order(None, chance.choice(_VALUES), self._currency())
        lead = self._event("generate_lead", at_ms, device, user)
        lead = lead._replace(order=chance.choice((None, order, order._replace(transaction_id="x"))))
        copy = lead._replace(
            channel="server",
            at_ms=at_ms + chance.choice((-HOUR_MS, 2_000, 2 * HOUR_MS)),
            path=None,
            anonymous_id=chance.choice((None, device)),
            order=chance.choice((None, order._replace(value="77.7", currency=self._currency()))),
        )
        for side in chance.choice(((lead, copy), (lead, copy), (lead,), (copy,))):
            self._in_parcels(side.channel, [self._said(side, consented)])

    def _buy(self, at_ms: int, device: str, user: str | None, consented: bool) -> None:
        chance = self._chance
        if chance.random() < 0.2:
            at_ms = self._near_midnight(at_ms)
        priced = chance.random() < 0.2
        order = Order(
            f"T{self._next()}",
            None if priced else chance.choice(_VALUES),
            self._currency(),
            ("3.5", "1") if priced else (),
            "1.9",
            chance.choice((None, "4.9")),
        )
        old = at_ms < self._now_ms - _LATEST_MS
        bought = self._event("purchase", at_ms, device, user, "server" if old else "browser")
        bought = bought._replace(order=order)
        copy = bought._replace(
            channel="server", at_ms=at_ms + 2_000, path=None, user_id=user or f"u{device}"
        )
        both = (bought,) if old else (bought, copy)
        for side in chance.choice((both, both, (bought,), (copy,))):
            self._in_parcels(side.channel, [self._said(side, consented)])
        if chance.random() < 0.4:
            self._refund(order, at_ms)

    def _currency(self) -> str | None:
        """Mostly the site's, said or not."""
        mine = self._site.currency
        return self._chance.choice((mine, mine, None, "EUR", "USD"))

    def _refund(self, order: Order, at_ms: int) -> None:
        """Or a correction, or a cancellation. The server tells it at once; the purchase may well
        come later."""
        name = self._chance.choice(("refund", "refund", "refund", "update_order", "cancel_order"))
        back = order._replace(value=self._chance.choice((None, "0.01", order.value)), prices=())
        back = back._replace(tax=None, shipping=None)
        told = self._event(name, at_ms + HOUR_MS, None, None, "server")
        told = told._replace(path=None, order=back)
        parcel = Parcel(self._site, "server", (self._said(told, True),))
        self._send(parcel, self._chance.choice((0, 0, 100)))

    def _event(
        self,
        name: str,
        at_ms: int,
        device: str | None,
        user: str | None,
        channel: Channel = "browser",
    ) -> Happening:
        number = self._next()
        path = f"/{number % 17}"
        return Happening(self._site.name, name, f"e{number}", at_ms, channel, device, user, path)
