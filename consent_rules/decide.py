"""Decide what may be kept of an event. Pure, and closed when in doubt.

Invariants:

1. An undecided, missing or unreadable decision is a refusal of every purpose.
2. A strip is an allow-list: what is not named is gone, whatever it is called.
3. Nothing of a dropped event leaves this function but the id of the rule that dropped it.
"""

from typing import Any, NamedTuple

import msgspec

from consent_rules.rules import Rules
from spine.click_ids import is_click_id, without_click_ids
from spine.event import UNDECIDED, Commerce, ConsentClaim, Event, Item, Page
from spine.record import Stamp

_claim = msgspec.json.Decoder(ConsentClaim | None)


class Kept(NamedTuple):
    """What may be written of an event, with the stamp that says why.

    Shape: `event` carries no consent object; the stamp has what may stay of it."""

    event: Event
    stamp: Stamp
    readable: bool


class Dropped(NamedTuple):
    """Nothing may be written of the event."""

    rule: str
    readable: bool


def decide(rules: Rules, event: Event) -> Kept | Dropped:
    """Apply the first rule that fits. Pure and total."""
    granted, readable = purposes(event)
    for rule in rules.rule:
        if ("*" in rule.events or event.name in rule.events) and granted.issuperset(rule.needs):
            break
    else:  # `rules.load` refuses rules without a last line that fits everything
        return Dropped("none", readable)
    if rule.action == "drop":
        return Dropped(rule.id, readable)
    if rule.action == "strip":
        stamp = Stamp(rule=rule.id, version=rules.version, kept="stripped")
        return Kept(strip(event, frozenset(rule.keep)), stamp, readable)
    stamp = Stamp(
        rule=rule.id,
        version=rules.version,
        kept="whole",
        purposes=tuple(sorted(granted)),
        linked=granted.issuperset(rules.needs.identity),
        signal=bytes(event.consent).decode("utf-8", "replace"),
    )
    kept = msgspec.structs.replace(event, consent=UNDECIDED)
    if not granted.issuperset(rules.needs.click_ids):
        kept = drop_click_ids(kept)
        stamp = msgspec.structs.replace(stamp, signal=without_click_ids(stamp.signal))
    return Kept(kept, stamp, readable)


def purposes(event: Event) -> tuple[frozenset[str], bool]:
    """Give the purposes the visitor granted, and whether the decision could be read."""
    if not bytes(event.consent):
        return frozenset(), True
    try:
        claim = _claim.decode(event.consent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return frozenset(), False
    decided = (claim.purposes if claim else None) or {}
    return frozenset(purpose for purpose, granted in decided.items() if granted), True


def strip(event: Event, keep: frozenset[str]) -> Event:
    """Give an event with only the named fields; paths as `rules.keepable_paths` has them."""
    fields: dict[str, Any] = {
        field: getattr(event, field) for field in Event.__struct_fields__ if field in keep
    }
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
    """Give the event without the ids of ad clicks: in its URLs, and in its free properties."""
    changes: dict[str, Any] = {}
    if event.page is not None:
        changes["page"] = Page(
            url=_without(event.page.url),
            referrer=_without(event.page.referrer),
            title=_without(event.page.title),
        )
    if event.properties:
        changes["properties"] = {
            name: without_click_ids(value) if isinstance(value, str) else value
            for name, value in event.properties.items()
            if not is_click_id(name)
        }
    return msgspec.structs.replace(event, **changes) if changes else event


def _without(text: str | None) -> str | None:
    return None if text is None else without_click_ids(text)
