"""Which user agents belong to programs and not to people: the list of `crawler-user-agents`.

All its patterns are searched at once and in linear time, by the engine of `ua-parser`: one after
the other they take a hundred times as long.
"""

import re
from functools import cache, lru_cache
from importlib.metadata import version
from typing import NamedTuple

from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from ua_parser_rs import UserAgentExtractor

REDUCED = "Bot"
"""What stays of the user agent of a bot where only its family may."""

BOT_LIST = f"crawler-user-agents {version('crawler-user-agents')}"
"""The list by which bots are told, and its version."""

LONGEST_REMEMBERED = 500
"""How long a user agent may be for what it is to be remembered; browsers' are shorter.

Units: characters."""

# People's apps send with it, and call themselves by it.
_NO_BOTS = frozenset({"okhttp"})


class _List(NamedTuple):
    names: list[str]
    patterns: UserAgentExtractor


@cache  # only where somebody asks: it takes 20 MB
def _list() -> _List:
    known = [one["pattern"] for one in CRAWLER_USER_AGENTS_DATA]
    wanted = [f"^{REDUCED}$", *(pattern for pattern in known if pattern not in _NO_BOTS)]
    patterns = UserAgentExtractor(
        (f"({pattern})", str(nth), None, None, None, None) for nth, pattern in enumerate(wanted)
    )
    return _List([_readable(pattern) for pattern in wanted], patterns)


def bot_of(agent: str) -> str:
    """Name the entry of the list that a user agent fits; empty where it may be a person's.

    An empty agent is nobody's: one that was taken away is no sign of a bot."""
    return _bot_of(agent) if len(agent) > LONGEST_REMEMBERED else _remembered(agent)


def _bot_of(agent: str) -> str:
    found = _list().patterns.extract(agent) if agent else None
    return _list().names[int(found.family)] if found is not None else ""


_remembered = lru_cache(maxsize=16_384)(_bot_of)


def _readable(pattern: str) -> str:
    """Give a pattern in words: `Googlebot` for `Googlebot\\/`."""
    words = re.sub(r"\[(\w)\w+\]", r"\1", pattern.replace("\\", "")).lstrip("^(?:")
    return words.split("(")[0].strip("^$/. ") or pattern
