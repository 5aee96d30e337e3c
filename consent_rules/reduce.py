"""Take away from an event what may not stay. Pure, and idempotent: twice is once."""

import re
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from consent_rules.regime import ALL_IDS, Extent, Rule
from spine.bots import REDUCED, bot_of
from spine.click_ids import (
    is_click_id,
    may_hold_a_parameter,
    may_hold_one,
    without_click_ids,
)
from spine.event import Commerce, Event, Item, Page

# Whoever is named before an @, and all that comes with parameters, has to go: in doubt more goes.
_ADDRESS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^/?#@\\]*@)*(?P<host>[\w.:\[\]-]+)"
    r"(?P<path>/[^?#;&=@\\]*)?",
    re.IGNORECASE,
)
_ENCODED_PARAMETER = re.compile(r"%(?:25)*(?:3f|23|3b|26|3d|40|5c)", re.IGNORECASE)
_BROWSERS = (
    ("Edge", re.compile(r"\bEdg(?:e|A|iOS)?/(\d{1,3})")),
    ("Opera", re.compile(r"\b(?:OPR|Opera)/(\d{1,3})")),
    ("Samsung", re.compile(r"\bSamsung(?:Browser)?/(\d{1,3})")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)/(\d{1,3})")),
    ("Chrome", re.compile(r"\b(?:Chrome|CriOS)/(\d{1,3})")),
    ("Safari", re.compile(r"(?:\bVersion/(?=.{1,40}\bSafari/)|^Safari/)(\d{1,3})")),
)
_SYSTEMS = (
    ("Windows", re.compile(r"\bWindows\b")),
    ("Android", re.compile(r"\bAndroid\b")),
    ("iOS", re.compile(r"\b(?:iPhone|iPad|iPod|iOS\))")),
    ("macOS", re.compile(r"\b(?:Macintosh|macOS)\b")),
    ("ChromeOS", re.compile(r"\b(?:CrOS|ChromeOS)\b")),
    ("Linux", re.compile(r"\bLinux\b")),
)
_json = msgspec.json.Encoder().encode
_PAGE_PATHS = {"page.url": "url", "page.referrer": "referrer"}


class Limits(NamedTuple):
    """What a rule takes from the events that it keeps."""

    ids: tuple[str, ...] = ALL_IDS
    url: Extent = "whole"
    referrer: Extent = "whole"
    ip: str = "cut"
    user_agent: str = "whole"


NO_LIMITS = Limits()
"""What is kept whole stays whole."""


def limits_of(rule: Rule) -> Limits:
    """Give the limits of what a rule keeps; of a strip, the address is always gone."""
    if rule.action == "strip":
        return Limits(ALL_IDS, rule.url, rule.referrer, "drop", rule.user_agent or "drop")
    agent = rule.user_agent or "whole"
    limits = Limits(rule.ids, rule.url, rule.referrer, rule.ip, agent)
    return NO_LIMITS if limits == NO_LIMITS else limits


def limited(event: Event, limits: Limits) -> Event:
    """Give the event with what the limits leave of it."""
    if limits is NO_LIMITS or limits == NO_LIMITS:
        return event
    bare = event.page is None and event.ip is None and event.user_agent is None
    if bare and limits.ids == ALL_IDS:  # as most strips are
        return event
    page = event.page and Page(
        reduced_address(event.page.url, limits.url),
        reduced_address(event.page.referrer, limits.referrer),
        event.page.title,
    )
    gone = dict.fromkeys([name for name in ALL_IDS if name not in limits.ids])
    agent = reduced_agent(event.user_agent or "", limits.user_agent)
    ip = None if limits.ip == "drop" else event.ip
    return msgspec.structs.replace(event, page=page, ip=ip, user_agent=agent or None, **gone)


def reduced_address(address: str | None, extent: Extent) -> str | None:
    """Give an address without its parameters, or its origin alone; nothing of what is none."""
    if address is None or extent == "whole":
        return address
    found = _ADDRESS.match(address)
    if found is None:
        return None
    path = found["path"] or "/"
    if extent == "origin":
        path = "/"
    elif (parameter := _ENCODED_PARAMETER.search(path)) is not None:
        path = path[: parameter.start()]
    return f"{found['scheme'].lower()}://{found['host'].lower()}{path}"


def reduced_agent(agent: str, extent: str) -> str:
    """Give a user agent, its family and system in words of ours, or nothing."""
    if extent == "whole" or not agent:
        return agent
    if extent == "drop":
        return ""
    if bot_of(agent):  # nobody's privacy, and nobody would know it any more
        return REDUCED
    browser = "Other"
    for name, pattern in _BROWSERS:
        if (found := pattern.search(agent)) is not None:
            browser = f"{name}/{found[1]}"
            break
    system = next((name for name, pattern in _SYSTEMS if pattern.search(agent)), None)
    return f"{browser} ({system})" if system else browser


def strip(event: Event, keep: frozenset[str]) -> Event:
    """Give an event with only the named fields; paths as `faults.keepable_paths` has them."""
    fields: dict[str, Any] = {
        field: getattr(event, field) for field in Event.__struct_fields__ if field in keep
    }
    if event.page is not None and not keep.isdisjoint(_PAGE_PATHS):
        fields["page"] = Page(
            **{
                name: getattr(event.page, name)
                for path, name in _PAGE_PATHS.items()
                if path in keep
            }
        )
    if event.commerce is not None:
        fields["commerce"] = _strip_commerce(event.commerce, keep)
    return Event(**fields)


def _strip_commerce(commerce: Commerce, keep: frozenset[str]) -> Commerce:
    fields: dict[str, Any] = {
        field: getattr(commerce, field)
        for field in Commerce.__struct_fields__
        if f"commerce.{field}" in keep
    }
    if commerce.items and any(path.startswith("commerce.items.") for path in keep):
        fields["items"] = tuple(
            Item(
                **{
                    field: getattr(item, field)
                    for field in Item.__struct_fields__
                    if f"commerce.items.{field}" in keep
                }
            )
            for item in commerce.items
        )
    return Commerce(**fields)


def drop_click_ids(event: Event) -> Event:
    """Give the event without the ids of ad clicks, in whatever text a page may put an address.

    The event's own name and ids stay as they are: they say which event it is and whose."""
    if not _may_hold_one(event):
        return event
    return msgspec.structs.replace(
        event,
        page=_without(event.page),
        commerce=_without(event.commerce),
        properties=_without(event.properties),
        user_agent=_without(event.user_agent),
    )


def _may_hold_one(event: Event) -> bool:
    """Say no, cheaply, of nearly every event without the id of a click.

    Where nothing stands under a name, nothing has to be looked for; what is left is searched once,
    not text by text."""
    page, properties, commerce = event.page, event.properties, event.commerce
    texts = [event.user_agent]
    if page is not None:
        texts += (page.url, page.referrer, page.title)
    found = [text for text in texts if text is not None and may_hold_a_parameter(text)]
    if properties is not None:
        if _some_name_one(tuple(properties)):
            return True
        found += [
            text
            for text in properties.values()
            if text.__class__ is str and (":" in text or "=" in text or "%" in text)
        ]
    if commerce is not None:
        found.append(_json(commerce).decode())
    return bool(found) and may_hold_one("\n".join(found))


@lru_cache(maxsize=256)  # a site's events have the same properties again and again
def _some_name_one(names: tuple[str, ...]) -> bool:
    return any(map(is_click_id, names))


def _without(value: Any) -> Any:
    if isinstance(value, str):
        return without_click_ids(value)
    if isinstance(value, msgspec.Struct):
        fields = {name: _without(getattr(value, name)) for name in value.__struct_fields__}
        return type(value)(**fields)
    if isinstance(value, dict):
        return {name: _without(part) for name, part in value.items() if not is_click_id(name)}
    if isinstance(value, tuple):
        return tuple([_without(part) for part in value])
    return value
