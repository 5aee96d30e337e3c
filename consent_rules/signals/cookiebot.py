"""Cookiebot's cookie `CookieConsent`: an object literal of JavaScript, or `0` or `-1`.

Source: cookiebot.com, server-side usage; the vendor's WordPress plugin; captures.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

from consent_rules.reading import Reading
from consent_rules.signals.said import NOTHING, NoSignal, Said, by_purpose

MOST_CHARACTERS = 4_096
_MOST_FIELDS = 32
_FIELD = re.compile(r"\s*([a-z]{1,16})\s*:\s*(?:'([^']*)'|(true|false|[0-9]{1,15}))\s*")
_CHOICES = ("preferences", "statistics", "marketing")
_BOOLEANS = {"true": True, "false": False}


class Cookie(NamedTuple):
    """What the cookie tells.

    Shape: `state` is `explicit` after a choice, `implied` without one, `implied_outside_region`
    where Cookiebot asks nobody, `declined` in the old short form. Units: milliseconds since
    1970."""

    state: str
    preferences: bool
    statistics: bool
    marketing: bool
    decided_ms: int | None = None
    region: str = ""
    version: int | None = None


def decode(text: str) -> Cookie | None:
    """Read the cookie, encoded once or twice; nothing when it is unreadable. Total."""
    if len(text) > MOST_CHARACTERS:
        return None
    text = unquote(unquote(text)).strip()
    if text == "0":
        return Cookie("declined", preferences=False, statistics=False, marketing=False)
    if text == "-1":
        return Cookie("implied_outside_region", preferences=True, statistics=True, marketing=True)
    fields = _fields(text)
    return None if fields is None else _cookie(fields)


def _fields(text: str) -> dict[str, str] | None:
    if not (text.startswith("{") and text.endswith("}")):
        return None
    fields: dict[str, str] = {}
    for part in text[1:-1].split(",", _MOST_FIELDS):
        found = _FIELD.fullmatch(part)
        if found is None or found[1] in fields:
            return None
        fields[found[1]] = found[3] if found[2] is None else found[2]
    return fields


def _cookie(fields: dict[str, str]) -> Cookie | None:
    choices = [_BOOLEANS.get(fields.get(name, "")) for name in _CHOICES]
    if None in choices:
        return None
    state = "explicit" if fields.get("method") == "explicit" else "implied"
    if fields.get("stamp") == "-1":
        state = "implied_outside_region"
    preferences, statistics, marketing = [choice is True for choice in choices]
    decided_ms, version = fields.get("utc", ""), fields.get("ver", "")
    return Cookie(
        state,
        preferences,
        statistics,
        marketing,
        int(decided_ms) if decided_ms.isdecimal() else None,
        fields.get("region", ""),
        int(version) if version.isdecimal() else None,
    )


def says(text: str, reading: Reading) -> Iterator[Said | NoSignal]:
    """Give what the cookie says: refusals in any state, grants only of a dated choice. Total."""
    found = decode(text)
    if found is None:
        yield NoSignal("cookiebot", "malformed")
        return
    granted, denied = by_purpose(
        reading.cookiebot,
        {
            "necessary": True,
            "preferences": found.preferences,
            "statistics": found.statistics,
            "marketing": found.marketing,
        },
    )
    if found.state != "explicit" or found.decided_ms is None:
        yield NoSignal("cookiebot", "undated" if found.state == "explicit" else found.state)
        granted = NOTHING
    # Without the visitor's stamp, and without whatever else somebody may have put there.
    proof = (
        f"{found.state};preferences:{found.preferences:d},statistics:{found.statistics:d},"
        f"marketing:{found.marketing:d};{found.decided_ms}"
    )
    yield Said("cookiebot", granted, denied, found.decided_ms, found.decided_ms, proof)
