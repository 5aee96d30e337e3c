"""OneTrust's cookies `OptanonConsent` and `OptanonAlertBoxClosed`.

The first is written before anybody has chosen, with whatever the banner's default is; there is a
choice only when the second says when. Source: my.onetrust.com on its cookies; walkerOS; captures.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from consent_rules.reading import Reading
from consent_rules.signals.said import NOTHING, NoSignal, Said, by_purpose

MOST_CHARACTERS = 4_096
_MOST_FIELDS = 64
_MOST_GROUPS = 100
_GROUP = re.compile(r"([A-Za-z0-9_.-]{1,64}):([01])")
_PLACE = re.compile(r"([A-Z]{2});([A-Z0-9]{0,3})")
_CLOSED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z")
_CLICKED = {"1": "accept_all", "2": "reject_all"}


class Cookies(NamedTuple):
    """What the two cookies tell.

    Shape: `clicked` is what the undocumented `intType` seems to mean; nothing is decided by it.
    Units: milliseconds since 1970, None before a choice."""

    groups: Mapping[str, bool]
    decided_ms: int | None
    gpc: bool
    country: str
    region: str
    awaiting_reconsent: bool
    clicked: str


def decode(consent: str, closed: str) -> Cookies | None:
    """Read the cookies, encoded once or twice; nothing when the first is unreadable. Total."""
    if len(consent) > MOST_CHARACTERS:
        return None
    if "=" not in consent:
        consent = unquote(consent)
    fields: dict[str, str] = {}
    for part in consent.split("&", _MOST_FIELDS):
        name, _, value = part.partition("=")
        if name in fields:
            return None
        fields[name] = unquote_plus(value)
    groups = _groups(fields.get("groups", ""))
    if groups is None:
        return None
    place = _PLACE.fullmatch(fields.get("geolocation", ""))
    return Cookies(
        groups,
        _decided_ms(unquote(closed[:100])),
        "1" in (fields.get("isGpcEnabled"), fields.get("browserGpcFlag")),
        place[1] if place else "",
        place[2] if place else "",
        fields.get("AwaitingReconsent") == "true",
        _CLICKED.get(fields.get("intType", ""), ""),
    )


def _groups(text: str) -> dict[str, bool] | None:
    groups: dict[str, bool] = {}
    for part in text.split(",", _MOST_GROUPS):
        found = _GROUP.fullmatch(part)
        if found is None or found[1] in groups:
            return None
        groups[found[1]] = found[2] == "1"
    return groups


def _decided_ms(closed: str) -> int | None:
    if not _CLOSED.fullmatch(closed):
        return None
    try:
        return round(datetime.fromisoformat(closed).timestamp() * 1000)
    except ValueError:  # the thirteenth month
        return None


def says(consent: str, closed: str, reading: Reading) -> Iterator[Said | NoSignal]:
    """Give what the cookies say; before a choice no more than that the browser sends GPC. Total."""
    found = decode(consent, closed)
    if found is None:
        yield NoSignal("onetrust", "malformed")
        return
    if found.gpc:
        yield Said("onetrust", NOTHING, frozenset(reading.gpc), proof=_proof(found))
    if found.decided_ms is None:
        yield NoSignal("onetrust", "undecided")
        return
    granted, denied = by_purpose(reading.onetrust, found.groups)
    if found.awaiting_reconsent and reading.awaiting_reconsent == "undecided":
        yield NoSignal("onetrust", "awaiting_reconsent")
        granted = NOTHING
    # When a choice was changed later is not told: a refusal may be as new as anything.
    yield Said("onetrust", granted, denied, found.decided_ms, None, _proof(found))


def _proof(found: Cookies) -> str:
    """Tell the choice without the id of the visitor and the hosts that the cookie names."""
    groups = ",".join(f"{name}:{given:d}" for name, given in sorted(found.groups.items()))
    return f"{groups};gpc:{found.gpc:d};{found.decided_ms}"
