"""The digests that name things: identity, event key, visitor, body. Pure, stable for ever.

A change here makes every stored event a stranger to itself; it needs a new schema of the record.
Each digest is BLAKE2b of 16 bytes over length-prefixed UTF-8 parts, so that no choice of parts can
imitate another.
"""

from functools import lru_cache
from hashlib import blake2b

BLANKED = b"erased:"
"""Stands on the log in place of a record of somebody who was erased, before its digest."""

# A copy of one that has read nothing costs half of what making it costs.
_of_16_bytes = blake2b(digest_size=16).copy
_of_8_bytes = blake2b(digest_size=8).copy
_CHANNELS = {"browser": b"\x01", "server": b"\x02"}


def _digest(kind: str, *parts: str) -> bytes:
    text = f"{len(kind)}:{kind}"
    for part in parts:
        text += f"{len(part)}:{part}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def event_key(site: str, name: str, event_id: str) -> bytes:
    """Name an event whatever key reported it: whatever counts, counts event keys.

    Shape: 16 bytes."""
    # As `_digest` has it, written out: this is done for every event.
    text = f"{_kind_of_event(site, name)}{len(event_id)}:{event_id}"
    found = _of_16_bytes()
    found.update(text.encode("utf-8", "surrogatepass"))
    return found.digest()


@lru_cache(maxsize=1024)
def _kind_of_event(site: str, name: str) -> str:
    return f"5:event{len(site)}:{site}{len(name)}:{name}"


def identity(key: bytes, channel: str) -> bytes:
    """Name an event as reported by one kind of key; each identity lands once.

    Shape: 16 bytes, those of `key` (as `event_key` made it) with the channel for the last one."""
    return key[:15] + _CHANNELS[channel]


def visitor_id(site: str, anonymous_id: str | None, user_id: str | None) -> bytes | None:
    """Name who did it, from one event alone: the anonymous id, else the user id, else nobody.

    Shape: 16 bytes. The same digest names an identifier in `persons`."""
    if anonymous_id is not None:
        return identifier_id(site, "anonymous_id", anonymous_id)
    if user_id is not None:
        return identifier_id(site, "user_id", user_id)
    return None


_OF_A_DAY = b"of_day"


def visitor_of_day(salt: bytes, site: str, ip: str, user_agent: str) -> bytes:
    """Name who did it for as long as the salt is there, where the event says nothing of it.

    Shape: 16 bytes that end in `of_day`, so that whoever counts can tell it from a lasting one."""
    text = f"{len(site)}:{site}{len(ip)}:{ip}{user_agent}"
    found = blake2b(text.encode("utf-8", "surrogatepass"), key=salt, digest_size=10)
    return found.digest() + _OF_A_DAY


def is_of_day(visitor: bytes) -> bool:
    """Say whether `visitor_of_day` named a visitor: of other ones it is true of one in 2^48."""
    return visitor.endswith(_OF_A_DAY)


@lru_cache(maxsize=8192)  # the events of a visitor come in a row
def identifier_id(site: str, identifier_type: str, identifier: str) -> bytes:
    """Name one identifier of a site.

    Shape: 16 bytes."""
    return _digest(identifier_type, site, identifier)


def tally_identity(collector: str, boot: str, sequence: int) -> bytes:
    """Name one flush of tallies, so that a repeated append counts once.

    Shape: 16 bytes."""
    return _digest("tally", collector, boot, str(sequence))


def spill_identity(spill: str, number: int, waiting: int) -> bytes:
    """Name what was said about a spill, so that a repeated append counts once.

    Shape: 16 bytes."""
    return _digest("spill", spill, str(number), str(waiting))


def consent_identity(subject: str, received_ms: int, *decided: str) -> bytes:
    """Name what a subject decided at a time, so that a repeated append counts once.

    Shape: 16 bytes."""
    return _digest("consent", subject, str(received_ms), *decided)


def filled_id(site: str, body: bytes) -> str:
    """Make the event id of a body that came without one; the same body gets the same."""
    return "h-" + record_digest(site.encode() + b"\x00" + body).hex()


def body_digest(*parts: bytes) -> bytes:
    """Tell two bodies of one identity apart.

    Shape: 8 bytes."""
    found = _of_8_bytes()
    found.update(b"\x00".join(parts))
    return found.digest()


def record_digest(value: bytes) -> bytes:
    """Recognise a record of the log again, also after it was blanked.

    Shape: 16 bytes."""
    if value.startswith(BLANKED):
        return value[len(BLANKED) :]
    return blake2b(value, digest_size=16).digest()


def blanked(value: bytes) -> bytes:
    """Give what stands in place of a record from now on: nothing but its digest."""
    return value if value.startswith(BLANKED) else BLANKED + record_digest(value)


def partition_of(key: bytes, partitions: int) -> int:
    """Choose the partition of a record; all copies of an event share it."""
    return int.from_bytes(key[:8], "big") % partitions
