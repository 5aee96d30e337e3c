"""Take away from an event what may not stay. Pure, and idempotent: twice is once."""

from typing import Any

import msgspec

from spine.click_ids import is_click_id, may_hold_one, without_click_ids
from spine.event import Commerce, Event, Item


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
    """Give the event without the ids of ad clicks, in whatever text a page may put an address.

    The event's own name and ids stay as they are: they say which event it is and whose."""
    texts = (event.page, event.commerce, event.properties, event.user_agent)
    if not may_hold_one(msgspec.json.encode(texts).decode()):  # once, not for every text
        return event
    return msgspec.structs.replace(
        event,
        page=_without(event.page),
        commerce=_without(event.commerce),
        properties=_without(event.properties),
        user_agent=_without(event.user_agent),
    )


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
