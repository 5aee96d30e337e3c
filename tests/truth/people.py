"""Who comes to the shop of the truth report: people, their devices, their consent, their clocks.

Pure and seeded: the same arguments give the same people.
"""

import random
from collections.abc import Mapping
from typing import Literal, NamedTuple

Consent = Literal["all", "analytics", "none"]

_CONSENTS: Mapping[Consent, float] = {"all": 0.68, "analytics": 0.12, "none": 0.2}
_FAMILY_SHARE, _KIOSK_SHARE, _ACCOUNT_SHARE, _SKEWED_SHARE = 0.12, 0.06, 0.6, 0.08
_SKEWS_S = (-172_800.0, -7_200.0, -95.0, 40.0, 3_600.0, 90_000.0)
_BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "HeadlessChrome/142.0.0.0 Safari/537.36",
)
_BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
)


class Device(NamedTuple):
    """A browser. Units: `skew_s` is by how much its clock is ahead."""

    anonymous_id: str
    user_agent: str
    skew_s: float
    is_shared: bool


class Person(NamedTuple):
    """Somebody, as only the truth knows them.

    Shape: `user_id` is '' for who has no account; `log_in_share` is how often they log in."""

    name: str
    user_id: str
    email: str
    consent: Consent
    devices: tuple[Device, ...]
    log_in_share: float
    is_bot: bool = False


def population(count: int, seed: int) -> list[Person]:
    """Draw `count` people and the bots that come with them; families share a tablet, and some
    stand at the shop's own kiosk."""
    chance = random.Random(f"people {seed}")
    kiosk = Device(f"kiosk-{seed}", _BROWSERS[0], 0.0, is_shared=True)
    people: list[Person] = []
    while len(people) < count:
        if chance.random() < _FAMILY_SHARE:
            tablet = _device(chance, f"tablet-{len(people)}-{seed}", is_shared=True)
            size = chance.choice((2, 2, 3, 4))
            people += [_person(chance, f"{len(people) + n}-{seed}", tablet) for n in range(size)]
        elif chance.random() < _KIOSK_SHARE:
            people.append(_person(chance, f"{len(people)}-{seed}", kiosk))
        else:
            people.append(_person(chance, f"{len(people)}-{seed}", None))
    return people + [_bot(chance, f"{n}-{seed}") for n in range(max(count // 25, 2))]


def _person(chance: random.Random, name: str, shared: Device | None) -> Person:
    has_account = shared is not None or chance.random() < _ACCOUNT_SHARE
    own = tuple(
        _device(chance, f"d{name}-{n}", is_shared=False) for n in range(chance.choice((1, 1, 2, 3)))
    )
    # What is agreed to on a shared device is agreed to for all who use it.
    consents = list(_CONSENTS)
    consent = chance.choices(consents, [_CONSENTS[each] for each in consents])[0]
    return Person(
        name=f"p{name}",
        user_id=f"u{name}" if has_account else "",
        email=f"p{name}@people.example",
        consent="all" if shared is not None else consent,
        devices=own if shared is None else (*own, shared),
        log_in_share=chance.choice((0.3, 0.8, 1.0)),
    )


def _device(chance: random.Random, name: str, *, is_shared: bool) -> Device:
    skew_s = chance.choice(_SKEWS_S) if chance.random() < _SKEWED_SHARE else 0.0
    return Device(name, chance.choice(_BROWSERS), skew_s, is_shared)


def _bot(chance: random.Random, name: str) -> Person:
    device = Device(f"bot{name}", chance.choice(_BOTS), 0.0, is_shared=False)
    return Person(f"b{name}", "", "", "all", (device,), 0.0, is_bot=True)
