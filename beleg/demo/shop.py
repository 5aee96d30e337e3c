"""A shop's worth of traffic: who comes, when, with which device and which consent.

Pure and seeded: the same arguments give the same hits, to the byte. Ids depend on the end of the
period as well, so that a demo run again tomorrow brings new events and not conflicting copies.
"""

import heapq
import itertools
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from beleg.demo.site import DEMO_SITE, LAPTOPS, PHONES
from beleg.demo.visit import Device, Hit, Visit, Visitor

_DAYS = 6  # browser keys may report the last 7
_HOURS = (1, 1, 1, 1, 1, 2, 4, 7, 9, 10, 11, 12, 13, 11, 10, 10, 11, 12, 14, 17, 18, 14, 8, 3)
_CONSENTS: tuple[tuple[int, Mapping[str, bool]], ...] = (
    (70, {"analytics": True, "ads_measurement": True}),
    (10, {"analytics": True, "ads_measurement": False}),
    (20, {"analytics": False, "ads_measurement": False}),
)
# Longer than any visit, so that a visit that begins this long before the end is over by then.
_LONGEST_VISIT = timedelta(minutes=45)


def shop(seed: int, visitors: int, until: datetime) -> Iterator[Hit]:
    """Everything that these visitors caused in the six days before `until`, as it was posted.

    Shape: ascending by `posted_at`; late and repeated events included; about 8 hits a visitor."""
    ends_at = until.astimezone(UTC).replace(microsecond=0)
    hits: list[Hit] = []
    for number in range(visitors):
        visitor = _visitor(seed, f"{number}", ends_at.isoformat())
        hits += _bad_hits(visitor, ends_at)
        for index, (device, at) in enumerate(_plan(visitor, ends_at)):
            # Two devices become one person because its owner logs in on each.
            log_in = visitor.has_account and index < len(visitor.devices)
            hits += Visit(visitor, device, at).play(log_in_first=log_in)
    past = (hit for hit in hits if _occurred_at(hit) <= ends_at)
    on_time = (hit._replace(posted_at=min(hit.posted_at, ends_at)) for hit in past)
    yield from sorted(on_time, key=lambda hit: hit.posted_at)


def trickle(seed: int, since: datetime, visitors_per_minute: float) -> Iterator[Hit]:
    """New visitors from `since` on, without end; the caller waits for each hit's `posted_at`."""
    at = since.astimezone(UTC)
    pace = random.Random(f"{seed} pace")  # noqa: S311 a demo, no secret
    waiting: list[tuple[datetime, int, Hit]] = []
    order = itertools.count()
    for number in itertools.count():
        at += timedelta(minutes=pace.expovariate(visitors_per_minute))
        while waiting and waiting[0][0] <= at:
            yield heapq.heappop(waiting)[2]
        visitor = _visitor(seed, f"live {number}", since.isoformat())
        visit = Visit(visitor, visitor.devices[0], at)
        for hit in visit.play(log_in_first=False):
            heapq.heappush(waiting, (hit.posted_at, next(order), hit))


def _visitor(seed: int, name: str, stamp: str) -> Visitor:
    chance = random.Random(f"{seed} {name}")  # noqa: S311 a demo, no secret
    new_id = _ids(f"{seed} {name} {stamp}")
    consent = chance.choices([c for _, c in _CONSENTS], [share for share, _ in _CONSENTS])[0]
    phone, laptop = (
        Device(new_id(), chance.choice(PHONES)),
        Device(new_id(), chance.choice(LAPTOPS)),
    )
    kind = chance.random()
    devices = (phone, laptop) if kind < 0.15 else (phone,) if kind < 0.6 else (laptop,)
    has_account = len(devices) > 1 or chance.random() < 0.3
    return Visitor(chance, new_id, consent, devices, f"kunde-{new_id()[:8]}", has_account)


def _ids(stamp: str) -> Callable[[], str]:
    numbers = itertools.count()
    return lambda: str(uuid.uuid5(uuid.NAMESPACE_OID, f"{stamp} {next(numbers)}"))


def _plan(visitor: Visitor, until: datetime) -> list[tuple[Device, datetime]]:
    """When the visitor comes, and with what: every device at least once."""
    chance = visitor.chance
    visits = max(len(visitor.devices), chance.choices((1, 2, 3, 4), (55, 25, 13, 7))[0])
    times = sorted(_moment(chance, until) for _ in range(visits))
    return [(visitor.devices[index % len(visitor.devices)], at) for index, at in enumerate(times)]


def _moment(chance: random.Random, until: datetime) -> datetime:
    hour = chance.choices(range(24), _HOURS)[0]
    days_ago, second = chance.randrange(_DAYS), chance.uniform(0, 3600)
    midnight = until.replace(hour=0, minute=0, second=0)
    at = midnight - timedelta(days=days_ago) + timedelta(hours=hour, seconds=second)
    return at if at + _LONGEST_VISIT <= until else at - timedelta(days=1)


def _bad_hits(visitor: Visitor, until: datetime) -> list[Hit]:
    """Now and then a page sends what the format does not know; the demo shows the refusal."""
    chance = visitor.chance
    if chance.random() >= 0.006:
        return []
    at = _moment(chance, until)
    device = visitor.devices[0]
    event: dict[str, object] = {
        "event_id": visitor.new_id(),
        "name": "view_item",
        "occurred_at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "anonymous_id": device.anonymous_id,
        "page": {"url": f"{DEMO_SITE.origin}/artikel/kue-101"},
        "consent": {"purposes": dict(visitor.consent)},
    }
    if chance.random() < 0.5:
        event["colour"] = "grau"
    else:
        event["commerce"] = {"currency": "EURO", "value": 28.49}
    return [Hit(at, "browser", event, 1, device.user_agent)]


def _occurred_at(hit: Hit) -> datetime:
    return datetime.fromisoformat(str(hit.event["occurred_at"]))
