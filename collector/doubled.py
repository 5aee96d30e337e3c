"""An event in whose JSON `consent` stands twice. Pure.

Decoders keep the last of two, so that a grant would hide the refusal before it. Nearly no body has
one: bytes are counted, and only where they do not come out even it is read once more, slowly.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from consent_rules.signals.claim import TWICE
from spine.codes import Refused
from spine.event import Event

_NAME = b'"consent"'
# A letter of the name may be written as an escape; nobody does, who has nothing to hide.
_ESCAPED = re.compile(rb"\\u00(?:6[3eEfF5]|7[34])")
_SAID_TWICE = msgspec.Raw(TWICE)


def heard_out(body: bytes, events: Sequence[Event | Refused]) -> Sequence[Event | Refused]:
    """Give the events of a body; one in which `consent` stands twice has consent to nothing."""
    named = [event for event in events if isinstance(event, Event) and event.consent]
    even = body.count(_NAME) == len(named)
    # A byte is found much faster than four.
    if even and not (b"\\" in body and b"\\u00" in body and _ESCAPED.search(body)):
        return events
    told = _doubled(body, len(events))
    return [
        msgspec.structs.replace(event, consent=_SAID_TWICE)
        if is_doubled and isinstance(event, Event)
        else event
        for event, is_doubled in zip(events, told, strict=True)
    ]


def _doubled(body: bytes, count: int) -> list[bool]:
    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs) and [name for name, _ in pairs].count("consent") > 1:
            found["consent"] = _SAID_TWICE
        return found

    try:
        tree = json.loads(body, object_pairs_hook=look, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):  # where it cannot be told, it may be
        return [True] * count
    batch = tree.get("events", msgspec.UNSET) if isinstance(tree, dict) else msgspec.UNSET
    told = batch if isinstance(batch, list) else [tree]
    if len(told) != count:
        return [True] * count
    return [isinstance(one, dict) and one.get("consent") is _SAID_TWICE for one in told]
