"""Where a visitor's events are cut, worked out one after the other in plain Python."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.flow.happenings import Happening


class Rule(NamedTuple):
    """Shape: without a name of a time zone nothing is cut but at gaps."""

    timeout_ms: int = 1_800_000
    engaged_after_ms: int = 10_000
    timezone: str = ""


GA4 = Rule()


def cut(events: Sequence[Happening], rule: Rule) -> list[list[Happening]]:
    """Give the sessions of one visitor."""
    found: list[list[Happening]] = []
    last_ms, last_day, current = 0, "", None
    for at_ms, several in groupby(sorted(events, key=lambda e: e.at_ms), key=lambda e: e.at_ms):
        moment = sorted(several, key=lambda e: (bool(rule.timezone) and not touch(e), e.identity))
        campaign, today = touch(moment[0]), day(at_ms, rule)
        begins = not found or at_ms - last_ms > rule.timeout_ms or today != last_day
        changes = bool(rule.timezone and campaign) and campaign != current
        if begins or changes:
            found.append([])
            current = campaign
        found[-1] += moment
        last_ms, last_day = at_ms, today
    return found


def touch(event: Happening) -> tuple[str, ...] | None:
    return (*event.campaign, "")[:3] if event.campaign and event.path is not None else None


def day(at_ms: int, rule: Rule) -> str:
    if not rule.timezone:
        return ""
    at = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(rule.timezone))
    return at.date().isoformat()
