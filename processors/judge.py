"""Decide the fate of every record of a batch. Pure: no clock, no store, no log.

Invariants:

1. Every record gets exactly one fate.
2. Of all copies of an identity the one at the lowest position is stored, the others are duplicates.
3. A record seen at its own position has landed before a crash: it is stored, is not inserted again,
   and what it touches is derived again.
4. Of what somebody had withdrawn when it was received, and a collector did not know yet, lands what
   the collector would have kept. Where that is nothing it is erased: neither stored nor the first
   of its copies. So is what is not later than its person's erasure, whether it had landed or not.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from spine.log import Record
from spine.record import (
    ConsentRecord,
    ControlRecord,
    EventRecord,
    Unreadable,
    control_identity,
    decode_to_land,
)

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


Passes = Callable[[Reading], Reading | str]
"""Gives what may land of a record after what was withdrawn when it was received, or the code by
which nothing may: of whom was erased nothing lands, whether it had landed before or not."""


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

    Shape: `fresh` is to be inserted, `landed` was inserted before a crash; both are touched.
    `reduced` are those, as they stand on the log, of which not all may land, and which are not
    known to have landed: an interrupted landing may have left something of them."""

    fates: list[Fate]
    fresh: list[Reading]
    landed: list[Reading]
    rejected: list[Reading]
    reduced: list[Reading]

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
    passes: Passes = lambda reading: reading,
) -> Verdict:
    """Give every record its fate.

    Shape: `seen` holds every identity of the batch that has landed before, and may hold more."""
    firsts: dict[bytes, Reading] = {}
    verdict = Verdict([], [], [], [], [])
    for reading in readings:
        landed, left = seen.get(reading.identity), passes(reading)
        if left is not reading and landed is None:
            verdict.reduced.append(reading)
        if isinstance(left, str):
            if landed is None or left == "erased_before":
                verdict.fates.append(_erased(reading, left))
                continue
            left = reading
        elif _is_at(landed, log_id, reading.record):  # whatever of it had landed is derived again
            left = reading
        verdict.fates.append(_judge(log_id, left, landed, firsts, verdict))
    return verdict


def _is_at(landed: Seen | None, log_id: str, record: Record) -> bool:
    return landed is not None and landed[:3] == (log_id, record.partition, record.offset)


def _erased(reading: Reading, code: str) -> Fate:
    record, content = reading.record, reading.content
    if isinstance(content, EventRecord | ConsentRecord):
        return Fate(record, content.site, content.received_ms, NOBODY, "erased", code)
    return Fate(record, "", record.appended_ms, NOBODY, "erased", code)


def _judge(
    log_id: str,
    reading: Reading,
    landed: Seen | None,
    firsts: dict[bytes, Reading],
    verdict: Verdict,
) -> Fate:
    record, content = reading.record, reading.content
    if isinstance(content, Unreadable):
        if content.code == "erased_before":
            return Fate(record, "", record.appended_ms, NOBODY, "erased", content.code)
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
