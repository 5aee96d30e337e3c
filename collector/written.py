"""The bytes of an event's record, put together from parts, most of which are encoded once. Pure.

Invariants:

1. They are the bytes that `spine.record.encode` gives of the record that they hold: whoever reads
   them cannot tell how they were made.
2. What somebody sent gets in as JSON that `msgspec` wrote, or as a digest.
"""

from functools import lru_cache

import msgspec

from spine import digest
from spine.event import Event

_json = msgspec.json.Encoder().encode


class Form(msgspec.Struct, frozen=True, gc=False):
    """What the records of a request have in common, as it stands in each.

    Shape: `channel` is how an identity ends, in hexadecimal."""

    site: str
    channel: str
    before_id: str
    before_stamp: str


def form(site: str, channel: str, received_ms: int, received_on: int) -> Form:
    """Give what the records of a request have in common.

    Units: as in a record."""
    told = f'"site":{_json(site).decode()},"channel":{_json(channel).decode()}'
    return Form(
        site,
        digest.identity(bytes(16), channel)[15:].hex(),
        f'{{"schema":"event.1",{told},"event_id":',
        f',"received_ms":{received_ms},"received_on":{received_on},"stamp":',
    )


def begun(
    form: Form,
    event: Event,
    event_id: str,
    body: bytes,
    occurred_ms: int,
    of_day: bytes | None = None,
) -> tuple[bytes, bytes]:
    """Give the event key, and a record from its beginning to its stamp; its visitor is named by
    the event's own ids, else by one of the day.

    Shape: `body` is the event as it stands in the record."""
    key = digest.event_key(form.site, event.name, event_id)
    key_hex, body_hex = key.hex(), digest.body_digest(body).hex()
    visitor = _visitor(form.site, event.anonymous_id, event.user_id)
    if of_day is not None and not visitor:
        visitor = f',"visitor":"{of_day.hex()}"'
    told = (
        f"{form.before_id}{_json(event_id).decode()}"
        f',"identity":"{key_hex[:30]}{form.channel}","event_key":"{key_hex}"{visitor}'
        f',"body":"{body_hex}","occurred_ms":{occurred_ms}{form.before_stamp}'
    )
    return key, told.encode()


@lru_cache(maxsize=8192)  # the events of a visitor come in a row
def _visitor(site: str, anonymous_id: str | None, user_id: str | None) -> str:
    visitor = digest.visitor_id(site, anonymous_id, user_id)
    return "" if visitor is None else f',"visitor":"{visitor.hex()}"'


@lru_cache(maxsize=512)  # as it is the same for all events of a browser
def observed(
    flags: tuple[str, ...], ip: str, user_agent: str, client_hints: str = "", place: str = ""
) -> bytes:
    """Give a record from its stamp to its event."""
    found = {
        "flags": flags,
        "ip": ip,
        "user_agent": user_agent,
        "client_hints": client_hints,
        "place": place,
    }
    parts = [b',"%b":%b' % (name.encode(), _json(told)) for name, told in found.items() if told]
    return b"".join(parts) + b',"event":'
