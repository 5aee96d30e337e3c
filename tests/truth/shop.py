"""What the people of the truth report do in the shop, and how it is told to a collector.

Pure and seeded. Every event knows what no collector may know: who it was, when it truly happened,
which touch brought them.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

import networkx

from tests.truth.people import Device, Person
from tests.truth.ways import WAYS

Channel = Literal["browser", "server"]

_DAYS = 6  # browser keys may report the last 7
_PRICES = tuple(map(Decimal, ("28.49", "50.34", "66.30", "33.53", "108.32", "16.76", "12.56")))
_CENT = Decimal("0.01")
_SAME_SESSION_S, _NEXT_SESSION_S = (120.0, 1_200.0), (2_700.0, 40_000.0)
_BACKEND = "shop-backend/3.1"


class Told(NamedTuple):
    """An event and what only the truth knows of it.

    Shape: `event` has everything but its time; `evidence` names whom the identifiers on it and on
    its device prove, '' where they prove nothing; `touch` is the channel group that brought the
    visitor, '' for none. Units: `at` is the true time, `posted` orders what is sent."""

    event: Mapping[str, object]
    channel: Channel
    device: Device
    user_agent: str
    at: datetime
    posted: float
    copies: int
    person: Person
    evidence: str
    touch: str


class Order(NamedTuple):
    """An order as it truly is. Shape: `is_verified` when the backend told of it."""

    transaction_id: str
    gross: Decimal
    refunded: Decimal
    is_verified: bool


class Traffic(NamedTuple):
    """All that happened."""

    told: Sequence[Told]
    orders: Mapping[str, Order]
    leads: int


class _Visit(NamedTuple):
    person: Person
    device: Device
    at: datetime


def traffic(people: Sequence[Person], seed: int, until: datetime) -> Traffic:
    """Act out six days that end twelve hours before `until`."""
    chance = random.Random(f"visits {seed}")
    ends_at = until.astimezone(UTC).replace(microsecond=0) - timedelta(hours=12)
    by_device: dict[str, list[_Visit]] = {}
    for person in people:
        for visit in _wishes(person, chance, ends_at):
            by_device.setdefault(visit.device.anonymous_id, []).append(visit)
    told: list[Told] = []
    orders: dict[str, Order] = {}
    for visits in by_device.values():
        free_at = datetime.min.replace(tzinfo=UTC)
        for visit in sorted(visits, key=lambda each: each.at):
            # Two visits of a device never come near the time-out: clocks are put right to the
            # millisecond, but not better.
            gap_s = _SAME_SESSION_S if chance.random() < 0.25 else _NEXT_SESSION_S
            at = max(visit.at, free_at + timedelta(seconds=chance.uniform(*gap_s)))
            if at > ends_at - timedelta(hours=2):
                break
            acting = Acting(visit.person, visit.device, at, chance)
            acting.play()
            told += acting.told
            orders |= acting.orders
            free_at = acting.at
    proven = _proven(told)
    told = [one._replace(evidence=_evidence(one, proven)) for one in told]
    leads = sum(one.event["name"] == "generate_lead" and is_kept(one) for one in told)
    return Traffic(told, orders, leads)


def is_kept(one: Told) -> bool:
    """Say whether an event may be kept whole and tells of a person: consented, and of no bot."""
    return one.person.consent != "none" and not one.person.is_bot


def _wishes(person: Person, chance: random.Random, ends_at: datetime) -> Iterator[_Visit]:
    visits = chance.randint(2, 4) if person.is_bot else chance.choice((1, 2, 2, 3, 4, 6))
    for nth in range(visits):
        shared = person.devices[-1]
        own = person.devices[nth % len(person.devices)]
        device = shared if shared.is_shared and chance.random() < 0.5 else own
        days_ago = chance.uniform(0.2, _DAYS)
        yield _Visit(person, device, ends_at - timedelta(days=days_ago))


def _proven(told: Sequence[Told]) -> Mapping[str, str]:
    """Say for every device of one owner, user id and address whose evidence proves it to be: what
    is named on one event is one person's, and so is what that leads to."""
    named = networkx.Graph()
    for one in told:
        if is_kept(one):
            names = _names(one)
            named.add_edges_from((names[0], name) for name in names)
    return {name: min(names) for names in networkx.connected_components(named) for name in names}


def _evidence(one: Told, proven: Mapping[str, str]) -> str:
    names = _names(one) if is_kept(one) else []
    return proven[names[0]] if names else ""


def _names(one: Told) -> list[str]:
    names = [] if one.device.is_shared else [f"device {one.device.anonymous_id}"]
    if "user_id" in one.event:
        names.append(f"user {one.event['user_id']}")
    if "identifiers" in one.event:
        names.append(f"address {one.person.email}")
    return names


class Acting:
    """A visit under way; what happened is in `told` and `orders`."""

    def __init__(self, person: Person, device: Device, at: datetime, chance: random.Random) -> None:
        self.person, self.device, self.at, self.chance = person, device, at, chance
        self.is_logged_in = False
        self.told: list[Told] = []
        self.orders: dict[str, Order] = {}

    def play(self) -> None:
        chance = self.chance
        if self.person.is_bot:
            for page in range(chance.randint(15, 50)):
                self._page(f"/seite/{page}")
            return
        logs_in = bool(self.person.user_id) and chance.random() < self.person.log_in_share
        late = not self.device.is_shared or chance.random() < 0.1
        if self.device.is_shared:
            logs_in = True  # nobody shops on a device of others without saying who they are
        self.is_logged_in = logs_in and not late
        self._land()
        for _ in range(chance.choice((0, 0, 1, 2, 4))):
            self._page(f"/artikel/{chance.randrange(40)}")
            self._browser("view_item", {})
        self.is_logged_in = logs_in
        if self.is_logged_in:
            self._browser("login", {})
        if chance.random() < 0.05:
            self._browser("generate_lead", {})
        if chance.random() < 0.3:
            self._buy()

    def _land(self) -> None:
        way = self.chance.choices(WAYS, [each.share for each in WAYS])[0]
        group = way.group if self.person.consent == "all" else way.group_without_ads
        page = {"url": f"https://shop.example/?{way.query}".rstrip("?")}
        if way.referrer:
            page["referrer"] = way.referrer
        self._browser("page_view", {"page": page}, touch=group)

    def _page(self, path: str) -> None:
        self._browser("page_view", {"page": {"url": f"https://shop.example{path}"}})

    def _buy(self) -> None:
        chance = self.chance
        gross = sum(chance.choices(_PRICES, k=chance.randint(1, 4)), Decimal(0))
        number = f"T{chance.getrandbits(48):012x}"
        for name in ("add_to_cart", "begin_checkout", "add_payment_info"):
            self._browser(name, {"commerce": {"currency": "EUR", "value": str(gross)}})
        tax, shipping = (gross * Decimal("0.19")).quantize(_CENT), Decimal("4.90")
        commerce = {"transaction_id": number, "currency": "EUR", "value": float(gross)}
        extras = {"tax": str(tax), "shipping": str(shipping)}
        event_id = f"{chance.getrandbits(64):016x}"
        way = chance.random()
        if way < 0.85:
            # A page that counts otherwise than the books do: the backend is right.
            wrong = float(gross + 1) if 0.1 <= way < 0.14 else float(gross)
            self._browser("purchase", {"commerce": {**commerce, "value": wrong}}, event_id)
        if is_verified := way >= 0.1:
            same = chance.random() < 0.7
            server_id = event_id if same else f"{chance.getrandbits(64):016x}"
            whole = {"commerce": {**commerce, **extras}}
            self._server("purchase", server_id, chance.uniform(1, 90), whole)
        refunded = self._send_back(number, gross) if chance.random() < 0.15 else Decimal(0)
        self.orders[number] = Order(number, gross, refunded, is_verified)

    def _send_back(self, number: str, gross: Decimal) -> Decimal:
        commerce: dict[str, object] = {"transaction_id": number, "currency": "EUR"}
        if self.chance.random() < 0.4:  # without an amount it is all of it
            self._refund(commerce)
            return gross
        parts = [(gross * Decimal("0.3")).quantize(_CENT)] * self.chance.choice((1, 1, 2))
        for part in parts:
            self._refund({**commerce, "value": str(part)})
        return sum(parts, Decimal(0))

    def _refund(self, commerce: Mapping[str, object]) -> None:
        event_id = f"{self.chance.getrandbits(64):016x}"
        self._server("refund", event_id, self.chance.uniform(60, 7_000), {"commerce": commerce})

    def _browser(
        self, name: str, more: Mapping[str, object], event_id: str = "", touch: str = ""
    ) -> None:
        self.at += timedelta(seconds=round(self.chance.uniform(2, 240), 3))
        event = self._event(name, event_id or f"{self.chance.getrandbits(64):016x}")
        event.setdefault("page", {"url": "https://shop.example/"})
        self._tell({**event, **more}, "browser", self.at, touch)

    def _server(self, name: str, event_id: str, after_s: float, more: Mapping[str, object]) -> None:
        event = {**self._event(name, event_id), **more}
        mail = hashlib.sha256(self.person.email.encode()).hexdigest()
        event["identifiers"] = {"email_sha256": mail}
        self._tell(event, "server", self.at + timedelta(seconds=round(after_s, 3)), "")

    def _event(self, name: str, event_id: str) -> dict[str, object]:
        purposes = {
            "analytics": self.person.consent != "none",
            "ads_measurement": self.person.consent == "all",
        }
        event: dict[str, object] = {
            "event_id": event_id,
            "name": name,
            "anonymous_id": self.device.anonymous_id,
            "consent": {"purposes": purposes},
        }
        if self.is_logged_in:
            event["user_id"] = self.person.user_id
        return event

    def _tell(
        self, event: Mapping[str, object], channel: Channel, at: datetime, touch: str
    ) -> None:
        chance = self.chance
        late_s = chance.uniform(3_600, 200_000) if chance.random() < 0.04 else 0.0
        agent = self.device.user_agent if channel == "browser" else _BACKEND
        copies = 2 if chance.random() < 0.05 else 1
        posted = at.timestamp() + late_s
        told = Told(event, channel, self.device, agent, at, posted, copies, self.person, "", touch)
        self.told.append(told)
