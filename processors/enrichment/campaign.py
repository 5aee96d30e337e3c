"""From the address of a page and its referrer to the campaign touch that brought the visitor.

What is believed, field by field, the first that says something:

1. the utm parameters, of the query or else of the fragment;
2. the click id that comes first in `spine/click_ids.toml`;
3. the referrer, unless it is one of the site's own hosts or an ignored one. It is asked only when
   1 and 2 tell neither source nor medium: half a tag is not completed with another visit's half.

What then is still unknown of source and medium is `(not set)`, as in GA4. A visit without any of
the three is no touch; to call it direct is up to the session, which may have had one before.
"""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from processors.enrichment.channel_group import channel_group
from processors.enrichment.referrer_host import Origin, origin
from spine.click_ids import CLICK_IDS, ClickId


class Touch(NamedTuple):
    """Where a visitor came from; '' for what was not said.

    Shape: each at most 200 characters, all printable; source and medium in lower case and never
    empty, campaign, term and content as sent. `click_id` is '' when longer: half an id is none.
    `is_tagged` when the address of the page tells it, not the referrer alone."""

    source: str
    medium: str
    campaign: str
    term: str
    content: str
    channel_group: str
    click_id_name: str
    click_id: str
    is_tagged: bool = False


_MAX_LENGTH = 200
_MAX_FIELDS = 200
_MOST_REMEMBERED = 1_000  # characters; longer ones are read each time, in some microseconds
_NOT_SET = "(not set)"
_UTM = frozenset({"utm_source", "utm_medium", "utm_campaign", "utm_id", "utm_term", "utm_content"})
_CLICK_IDS = {known.param.lower(): known for known in CLICK_IDS if known.is_id}
_PRECEDENCE = {name: place for place, name in enumerate(_CLICK_IDS)}
_WANTED = _UTM | _CLICK_IDS.keys()
_ADDRESS = re.compile(
    r"(?:https?|android-app)://(?:[^/?#\\@]*@)?([\w.-]{1,200})(?![^:/?#\\])", re.IGNORECASE
)
_OWN_HOST = re.compile(r"(?:\w+://)?(?:\*\.)?([\w.-]{1,200})")


def touch(url: str, referrer: str, own_hosts: frozenset[str]) -> Touch | None:
    """Return what brought the visitor to this page, None when nothing outside the site did.

    Never raises, whatever the texts are. Shape: each of `own_hosts` stands for the hosts below it
    too; its scheme, port and leading www. do not count. The page's own host is always one."""
    if len(url) + len(referrer) > _MOST_REMEMBERED:
        return _touch_of(url, referrer, own_hosts)
    return _remembered(url, referrer, own_hosts)


def _touch_of(url: str, referrer: str, own_hosts: frozenset[str]) -> Touch | None:
    fields = _fields(url)
    came_from = _came_from(referrer, url, own_hosts) if referrer else None
    if not fields:
        return None if came_from is None else _touch(came_from, fields, "")
    said = Origin(
        fields.get("utm_source", "").lower()[:_MAX_LENGTH],
        fields.get("utm_medium", "").lower()[:_MAX_LENGTH],
        (fields.get("utm_campaign") or fields.get("utm_id", ""))[:_MAX_LENGTH],
    )
    clicked = min(_CLICK_IDS.keys() & fields.keys(), key=_PRECEDENCE.__getitem__, default="")
    if clicked:
        said = _completed(said, _CLICK_IDS[clicked], came_from)
    elif said.source or said.medium:
        said = _assistant(said)
    elif came_from is not None:
        said = came_from._replace(campaign=said.campaign or came_from.campaign)
    return _touch(said, fields, clicked)


_remembered = lru_cache(maxsize=4096)(_touch_of)  # most events come from few pages


def _touch(said: Origin, fields: Mapping[str, str], clicked: str) -> Touch:
    source, medium = said.source or _NOT_SET, said.medium or _NOT_SET
    click_id = fields[clicked] if clicked else ""
    return Touch(
        source,
        medium,
        said.campaign,
        fields.get("utm_term", "")[:_MAX_LENGTH],
        fields.get("utm_content", "")[:_MAX_LENGTH],
        channel_group(source, medium, said.campaign),
        _CLICK_IDS[clicked].param if clicked else "",
        click_id if len(click_id) <= _MAX_LENGTH else "",
        bool(fields),
    )


def _completed(said: Origin, click: ClickId, came_from: Origin | None) -> Origin:
    """Fill from the click id what utm does not say.

    An id that does not tell paid from unpaid makes a referral, but adds no medium to a tagged
    source. The referrer may name the platform's part more exactly (instagram for an fbclid)."""
    platform = Origin(click.source, click.medium or "referral", "")
    if came_from is not None and came_from.source in click.same_platform:
        platform = came_from
    return Origin(
        said.source or platform.source,
        said.medium or (click.medium if said.source else platform.medium),
        said.campaign,
    )


def _assistant(said: Origin) -> Origin:
    """Know an AI assistant that tags its links with its name and nothing else, as ChatGPT does."""
    known = origin(said.source) if not said.medium else None
    if known is None or known.medium != "ai-assistant":
        return said
    return known._replace(campaign=said.campaign or known.campaign)


def _came_from(referrer: str, url: str, own_hosts: Collection[str]) -> Origin | None:
    host = _host(_ADDRESS, referrer)
    if not host or host == _host(_ADDRESS, url):
        return None
    for own in map(_own_host, own_hosts):
        if own and (host == own or host.endswith("." + own)):
            return None
    return origin(host)


def _host(pattern: re.Pattern[str], address: str) -> str:
    found = pattern.match(address.strip())
    return found[1].lower().strip(".").removeprefix("www.") if found is not None else ""


@lru_cache(maxsize=1024)
def _own_host(own: str) -> str:
    return _host(_OWN_HOST, own)


def _fields(url: str) -> dict[str, str]:
    """Return the wanted parameters that have a value; of one that is repeated, the first."""
    address, _, fragment = url.partition("#")
    fields: dict[str, str] = {}
    for query in (address.partition("?")[2], fragment.rpartition("?")[2]):
        for pair in query.split("&", _MAX_FIELDS)[:_MAX_FIELDS] if query else ():
            name, _, value = pair.partition("=")
            name = (unquote(name) if "%" in name else name).lower().removeprefix("amp;")
            if value and name in _WANTED and name not in fields:
                text = _clean(value)
                if text:
                    fields[name] = text
    return fields


def _clean(value: str) -> str:
    text = unquote_plus(value)
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return text.strip()
