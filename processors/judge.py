"""Decide the fate of every record of a batch. Pure: no clock, no store, no log.

Invariants:

1. Every record gets exactly one fate.
2. Of all copies of an identity the one at the lowest position is stored, the others are duplicates.
3. A record seen at its own position has landed before a crash: it is stored, is not inserted again,
   and what it touches is derived again.
4. Of what somebody had withdrawn when it was received, and a collector did not know yet, lands what
   the collector would have kept. Where that is nothing it is erased: neither stored nor the first
   of its copies.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from spine.log import Record
from spine.record import ControlRecord, EventRecord, Unreadable, control_identity, decode_to_land

NOBODY = bytes(16)
"""The digest that names nothing: no visitor, no identity."""


Decode = Callable[[bytes], EventRecord | ControlRecord | Unreadable]


class Seen(NamedTuple):
    """Where an identity was landed first, and which body it had."""

    log_id: str
    partition: int
    offset: int
    body: bytes


class Reading(msgspec.Struct, frozen=True, gc=False):
    """A record with what it says, and the identity under which it counts."""

    record: Record
    content: EventRecord | ControlRecord | Unreadable
    identity: bytes
    body: bytes


Leaves = Callable[[Reading, EventRecord], Reading | None]
"""Gives what may land of an event, after what was withdrawn when it was received."""


class Fate(msgspec.Struct, frozen=True, gc=False):
    """What became of one position of the log.

    Shape: `fate` is `stored`, `duplicate`, `rejected`, `erased` or `control`."""

    record: Record
    site: str
    received_ms: int
    identity: bytes
    fate: str
    code: str


class Verdict(NamedTuple):
    """A judged batch.

    Shape: `fresh` is to be inserted, `landed` was inserted before a crash; both are touched."""

    fates: list[Fate]
    fresh: list[Reading]
    landed: list[Reading]
    rejected: list[Reading]

    @property
    def touched(self) -> list[EventRecord]:
        """The events whose derived rows may change."""
        readings = (*self.fresh, *self.landed)
        return [r.content for r in readings if isinstance(r.content, EventRecord)]


def read(batch: Sequence[Record], decode: Decode = decode_to_land) -> list[Reading]:
    """Decode every record; what cannot be decoded is a value too."""
    return [_read(record, decode(record.value)) for record in batch]


def _read(record: Record, content: EventRecord | ControlRecord | Unreadable) -> Reading:
    if isinstance(content, EventRecord):
        identity, body = bytes.fromhex(content.identity), bytes.fromhex(content.body)
        return Reading(record, content, identity, body)
    if isinstance(content, Unreadable):
        return Reading(record, content, NOBODY, bytes(8))
    return Reading(record, content, control_identity(content), bytes(8))


def judge(
    log_id: str,
    readings: Sequence[Reading],
    seen: Mapping[bytes, Seen],
    leaves: Leaves = lambda reading, _: reading,
) -> Verdict:
    """Give every record its fate.

    Shape: `seen` holds every identity of the batch that has landed before, and may hold more."""
    firsts: dict[bytes, Reading] = {}
    verdict = Verdict([], [], [], [])
    for reading in readings:
        landed, content = seen.get(reading.identity), reading.content
        left: Reading | None = reading
        if isinstance(content, EventRecord) and not _is_at(landed, log_id, reading.record):
            left = leaves(reading, content)
            if left is None and landed is None:
                verdict.fates.append(_erased(reading.record, content))
                continue
        verdict.fates.append(_judge(log_id, left or reading, landed, firsts, verdict))
    return verdict


def _is_at(landed: Seen | None, log_id: str, record: Record) -> bool:
    return landed is not None and landed[:3] == (log_id, record.partition, record.offset)


def _erased(record: Record, content: EventRecord) -> Fate:
    return Fate(record, content.site, content.received_ms, NOBODY, "erased", "withdrawn_before")


def _judge(
    log_id: str,
    reading: Reading,
    landed: Seen | None,
    firsts: dict[bytes, Reading],
    verdict: Verdict,
) -> Fate:
    record, content = reading.record, reading.content
    if isinstance(content, Unreadable):
        verdict.rejected.append(reading)
        return Fate(record, "", record.appended_ms, NOBODY, "rejected", content.code)
    site, fate = (content.site, "stored") if isinstance(content, EventRecord) else ("", "control")
    first = landed or firsts.setdefault(reading.identity, reading)
    if _is_at(landed, log_id, record):
        verdict.landed.append(reading)
    elif first is reading:
        verdict.fresh.append(reading)
    else:
        code = "duplicate_copy" if first.body == reading.body else "duplicate_conflict"
        return Fate(record, site, content.received_ms, reading.identity, "duplicate", code)
    return Fate(record, site, content.received_ms, reading.identity, fate, "")
