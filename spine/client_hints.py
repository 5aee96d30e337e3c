"""Client hints: what a browser says of itself beside its user agent. Pure.

Source: W3C, User-Agent Client Hints; WICG UA-CH, section 3 (the low-entropy hints, which browsers
send without being asked).
"""

import re
from functools import lru_cache
from typing import NamedTuple

MOST_CHARACTERS = 500
_BRAND = re.compile(r'"([^"\\]{1,64})"\s*;\s*v="(\d{1,4})')
_NO_BRAND = re.compile(r"not.{0,3}a.{0,3}brand", re.IGNORECASE)  # what keeps readers tolerant
_UNFIT = re.compile(r"[^\w .-]", re.ASCII)
_ENGINE = "Chromium"
_MOBILE = {"?1": True, "?0": False}


class ClientHints(NamedTuple):
    """What the hints of a request say; empty or None for what was not said.

    Shape: `brand` and `platform` as browsers write them, such as `Google Chrome` and `macOS`;
    `version` is the major one."""

    brand: str = ""
    version: str = ""
    platform: str = ""
    is_mobile: bool | None = None


_NOTHING = ClientHints()


@lru_cache(maxsize=4096)  # of few browsers
def reduced(brands: str, mobile: str, platform: str) -> str:
    """Put the three headers into one text that `client_hints` reads; empty without any."""
    named = [
        (_fit(name), version)
        for name, version in _BRAND.findall(brands[:MOST_CHARACTERS])
        if not _NO_BRAND.search(name)
    ]
    # The engine stands beside the browser that is made of it.
    brand, version = min(named, key=lambda one: one[0] == _ENGINE, default=("", ""))
    mobile = mobile if mobile in _MOBILE else ""
    told = f"{brand}/{version};{_fit(platform)};{mobile}"
    return "" if told == "/;;" else told


def client_hints(text: str) -> ClientHints:
    """Read what `reduced` has written; of any other text nothing. Total."""
    parts = text.split(";")
    if len(parts) != 3:
        return _NOTHING
    brand, _, version = parts[0].rpartition("/")
    return ClientHints(brand, version, parts[1], _MOBILE.get(parts[2]))


def _fit(text: str) -> str:
    return _UNFIT.sub("", text[:64]).strip()
