"""What an event was sent with: class of device, browser and system, and the bot it may be. Pure.

What is believed, the first that says something: client hints; the words that consent rules leave of
a user agent; the user agent, by the definitions of `ua-parser`.
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from ua_parser.core import Domain
from ua_parser.loaders import load_lazy_builtins
from ua_parser.regex import Resolver

from processors.bookkeeping import Columns
from spine.bots import BOT_LIST, LONGEST_REMEMBERED, bot_of
from spine.client_hints import client_hints


class Client(NamedTuple):
    """What an event was sent with.

    Shape: empty for what is not known. `device` is `desktop`, `mobile`, `tablet`, `bot` or `other`;
    `browser` and `os` are families, `version` the browser's major one, `bot` the entry of the list
    (`spine.bots`) that fits."""

    device: str = ""
    browser: str = ""
    version: str = ""
    os: str = ""
    bot: str = ""


UNKNOWN = Client()
"""The client of whom no user agent and no hint may be known."""


def client_columns(clients: Sequence[Client]) -> Columns:
    """Give the columns of events; who was judged, was so by the list of this program."""
    return {
        "device": [one.device for one in clients],
        "browser": [one.browser for one in clients],
        "browser_version": [one.version for one in clients],
        "os": [one.os for one in clients],
        "bot": [one.bot for one in clients],
        "bot_list": ["" if one is UNKNOWN else BOT_LIST for one in clients],
    }


_REDUCED = re.compile(r"([A-Z]\w+)(?:/(\d{1,3}))?(?: \((\w+)\))?")
_SAME = {
    "Google Chrome": "Chrome",
    "Microsoft Edge": "Edge",
    "Samsung": "Samsung Internet",
    "Mac OS X": "macOS",
    "Chromium OS": "Chrome OS",
    "ChromeOS": "Chrome OS",
    "Other": "",
    "Unknown": "",
}
# The class has a column of its own.
_CLASS_WORDS = frozenset({"Mobile", "iOS"})
_DESKTOPS = frozenset(
    {"Windows", "macOS", "Linux", "Chrome OS", "Ubuntu", "Fedora", "Debian", "FreeBSD", "OpenBSD",
     "NetBSD", "Solaris", "Arch Linux", "Mandriva", "Red Hat", "SUSE", "Gentoo", "Slackware"}
)  # fmt: skip
_PHONES = frozenset(
    {"iOS", "Android", "Windows Phone", "KaiOS", "HarmonyOS", "BlackBerry OS", "Firefox OS"}
)
_TABLET = re.compile(r"\biPad|\bTablet\b(?! PC)|PlayBook|\bKindle\b|\bSilk/")
_SCREEN = re.compile(
    r"\bTV\b|SmartTV|SMART-TV|BRAVIA|\bAFT[A-Z]|GoogleTV|CrKey|Web0S|Xbox|PlayStation"
)


def client(agent: str, hints: str) -> Client:
    """Say what these belong to. Total; what a sender makes up takes linear time."""
    if len(agent) > LONGEST_REMEMBERED:
        return _client_of(agent, hints)
    return _remembered(agent, hints)


def _client_of(agent: str, hints: str) -> Client:
    if not agent and not hints:
        return UNKNOWN
    hinted, parsed = client_hints(hints), _parsed(agent)
    bot = bot_of(agent) or bot_of(hinted.brand)
    browser, version, os = parsed.browser, parsed.version, _named(hinted.platform) or parsed.os
    if hinted.brand:
        browser, version = _named(hinted.brand), hinted.version
    device = "bot" if bot else _hinted_device(hinted.is_mobile, os) or parsed.device
    return Client(device, browser, version, os, bot)


_remembered = lru_cache(maxsize=16_384)(_client_of)  # most events come from few browsers


def _hinted_device(is_mobile: bool | None, os: str) -> str:
    if is_mobile is None:
        return ""
    if is_mobile:
        return "mobile"
    # Source: WICG UA-CH, section 3.2: tablets say ?0.
    return "tablet" if os == "Android" else "desktop" if os in _DESKTOPS else ""


def _parsed(agent: str) -> Client:
    if (words := _REDUCED.fullmatch(agent)) is not None:
        browser, version, os = (_named(word or "") for word in words.groups())
        return Client(_device(agent, os), browser, version, os)
    found = _definitions()(agent, Domain.USER_AGENT | Domain.OS) if agent else None
    browser, version = "", ""
    if found is not None and found.user_agent is not None:
        browser, version = _named(found.user_agent.family), found.user_agent.major or ""
    os = _named(found.os.family) if found is not None and found.os is not None else ""
    return Client(_device(agent, os), browser, version, os)


@cache
def _definitions() -> Resolver:
    return Resolver(load_lazy_builtins())


def _named(family: str) -> str:
    words = [word for word in family.split() if word not in _CLASS_WORDS]
    name = " ".join(words) or family
    return _SAME.get(name, name)


def _device(agent: str, os: str) -> str:
    """Say which class a user agent and its system tell.

    Browsers of Android say Mobile on phones, apps do not. Source: developer.chrome.com, user agent
    strings. An iPad whose browser asks for desktop pages says that it is a Mac."""
    if _SCREEN.search(agent):
        return "other"
    if _TABLET.search(agent):
        return "tablet"
    if os == "Android" and agent.startswith("Mozilla/") and "Mobile" not in agent:
        return "tablet"
    if os in _PHONES:
        return "mobile"
    return "desktop" if os in _DESKTOPS else "other"
