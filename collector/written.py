"""The bytes of an event's record, put together from parts, most of which are encoded once. Pure.

Invariants:

1. They are the bytes that `spine.record.encode` gives of the record that they hold: whoever reads
   them cannot tell how they were made.
2. What somebody sent gets in as JSON that `msgspec` wrote, or as a digest.
"""

from functools import lru_cache
from typing import NamedTuple

import msgspec

from spine import digest
from spine.event import Event

_json = msgspec.json.Encoder().encode


class Form(NamedTuple):
    """What the records of a request have in common, as it stands in each.

    Shape: `channel` is how an identity ends, in hexadecimal."""

    site: str
    channel: str
    before_id: bytes
    before_stamp: bytes


def form(site: str, channel: str, received_ms: int, received_on: int) -> Form:
    """Give what the records of a request have in common.

    Units: as in a record."""
    return Form(
        site,
        digest.identity(bytes(16), channel)[15:].hex(),
        b'{"schema":"event.1","site":%b,"channel":%b,"event_id":' % (_json(site), _json(channel)),
        b',"received_ms":%d,"received_on":%d,"stamp":' % (received_ms, received_on),
    )


def named(
    form: Form, event: Event, event_id: str, of_day: bytes | None = None
) -> tuple[bytes, bytes]:
    """Give the event key, and a record from its beginning to what names its event and visitor: by
    the event's own ids, else by one of the day."""
    key = digest.event_key(form.site, event.name, event_id)
    visitor = digest.visitor_id(form.site, event.anonymous_id, event.user_id) or of_day
    key_hex = key.hex()
    digests = f',"identity":"{key_hex[:30]}{form.channel}","event_key":"{key_hex}"'
    if visitor is not None:
        digests += f',"visitor":"{visitor.hex()}"'
    return key, b"".join((form.before_id, _json(event_id), digests.encode()))


def timed(form: Form, body: bytes, occurred_ms: int) -> bytes:
    """Give a record from what names its event to its stamp."""
    told = f',"body":"{digest.body_digest(body).hex()}","occurred_ms":{occurred_ms}'
    return told.encode() + form.before_stamp


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
