"""What a collector writes to the log, and its bytes.

A record carries everything a landed sort key needs, computed once by the collector, so that newer
code lands an old record under the same key. Its bytes are JSON whose key `schema` names kind and
version; a version this program does not know is a value for the processor (`unknown_schema`).
"""

import re
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from spine.digest import BLANKED, consent_identity, spill_identity, tally_identity
from spine.event import KNOWN_NAMES, Event
from spine.money import unfit

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
"""A digest of 16 bytes in hexadecimal."""

Milliseconds = Annotated[int, Meta(ge=0, le=4_102_444_800_000)]
"""Milliseconds since 1970 UTC, up to the year 2100."""

Channel = Literal["browser", "server"]
"""The kind of key an event came with."""


class Stamp(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,
    cache_hash=True,
):
    """What was decided about consent, by which line of which rules.

    Shape: `kept` is `whole` or `stripped`; `linked` says whether the event is evidence for
    identity; `signal` is the consent object as sent, where the rules let it stay, and `signals`
    are the kinds of signals that counted. `purposes` were granted, `denied` refused, all others
    are undecided. `retention` names the class of how long the event may stay, `exports` are the
    receivers it may go to."""

    rule: str
    version: str
    kept: Literal["whole", "stripped"]
    purposes: tuple[str, ...] = ()
    linked: bool = False
    signal: str = ""
    signals: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    retention: str = ""
    exports: tuple[str, ...] = ()


class EventHead(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    kw_only=True,
    tag_field="schema",
    tag="event.1",
):
    """What the collector observed and decided about an event.

    Shape: digests in hexadecimal; `client_hints` as `spine.client_hints` writes them; `place` is a
    country by ISO 3166-1, or a region of it by ISO 3166-2, such as `DE-BE`. Units: `occurred_ms` is
    the corrected time of the event and `received_ms` the collector's clock, both milliseconds since
    1970 UTC."""

    site: str
    channel: Channel
    event_id: str
    identity: Digest
    event_key: Digest
    visitor: Digest | None = None
    body: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
    occurred_ms: Milliseconds
    received_ms: Milliseconds
    received_on: Annotated[int, Meta(ge=0, le=65_535)]
    stamp: Stamp
    flags: tuple[str, ...] = ()
    ip: str = ""
    user_agent: str = ""
    client_hints: str = ""
    place: str = ""


class EventRecord(EventHead, frozen=True, kw_only=True):
    """An admitted event with what the collector observed and decided."""

    event: Event


_Hex32 = Annotated[str, Meta(min_length=32, max_length=32)]


class LandingEvent(Event, frozen=True, kw_only=True, gc=False):
    """An event on its way into the tables.

    Shape: the properties are JSON as it lies on the log. To decode them and to encode them again
    were a third of what reading a record took."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    properties: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]  # narrower use, same field


class LandingRecord(EventRecord, frozen=True, kw_only=True, gc=False):
    """An event's record on its way into the tables; `decode_to_land` makes it.

    Shape: as `EventRecord`. Patterns are looked at after the decoding, all digests at once: one by
    one they took half of it."""

    identity: _Hex32
    event_key: _Hex32
    visitor: _Hex32 | None = None
    body: Annotated[str, Meta(min_length=16, max_length=16)]
    event: LandingEvent


class TallyRow(msgspec.Struct, frozen=True, array_like=True):
    """How many events of one kind the collector refused or dropped.

    Shape: `name` is a known event name, `(custom)` or `(unreadable)`. Units: `received_on` is
    the day in the site's time zone, in days since 1970."""

    site: str
    received_on: Annotated[int, Meta(ge=0, le=65_535)]
    status: str
    code: str
    name: str
    count: Annotated[int, Meta(ge=0, le=1 << 53)]


class TallyRecord(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="schema",
    tag="tally.1",
):
    """One flush of a collector's tallies."""

    collector: str
    boot: str
    sequence: Annotated[int, Meta(ge=0, le=1 << 53)]
    received_ms: Milliseconds
    rows: tuple[TallyRow, ...]


class SpillRecord(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="schema",
    tag="spill.1",
):
    """What a collector says about its spill: from `number` on so many records wait there.

    Shape: `number` rises; of one spill the highest was said last."""

    collector: str
    spill: str
    number: Annotated[int, Meta(ge=0, le=1 << 53)]
    waiting: Annotated[int, Meta(ge=0, le=1 << 53)]
    received_ms: Milliseconds


class ConsentRecord(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    kw_only=True,
    tag_field="schema",
    tag="consent.1",
):
    """What a device or a user of a site has decided, as told to `POST /v1/consent`.

    Shape: `subject` is the digest of the id of this `kind`, the id itself is nowhere; `denied` is
    `*` alone where everything was withdrawn. Units: `decided_ms` is the sender's clock, never after
    `received_ms`, the collector's; both milliseconds since 1970 UTC."""

    site: str
    channel: Channel
    kind: Literal["anonymous_id", "user_id"]
    subject: Digest
    action: Literal["grant", "withdraw"]
    granted: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    decided_ms: Milliseconds
    received_ms: Milliseconds
    text_version: str = ""


class Unreadable(msgspec.Struct, frozen=True):
    """A value on the log that is no record for this program; its bytes go to `rejects`.

    Shape: `code` is `unreadable_record`, `damaged_record` or `unknown_schema`; or `erased_before`,
    where nothing but a digest is left of it."""

    code: str
    detail: str


DAMAGED = b"damaged:"
"""Stands before bytes that were cut from a damaged spill; what follows is no record any more."""

ControlRecord = TallyRecord | SpillRecord | ConsentRecord
"""No event: what a collector says about itself, and what was decided about consent."""


_R = TypeVar("_R", EventRecord | ControlRecord, LandingRecord | ControlRecord)


def control_identity(record: ControlRecord) -> bytes:
    """Name what a control record says, so that a repeated append counts once.

    Shape: 16 bytes."""
    match record:
        case TallyRecord():
            return tally_identity(record.collector, record.boot, record.sequence)
        case SpillRecord():
            return spill_identity(record.spill, record.number, record.waiting)
        case ConsentRecord():
            decided = (record.action, *record.granted, "", *record.denied, "", record.text_version)
            return consent_identity(record.subject, record.received_ms, *decided)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(EventRecord | TallyRecord | SpillRecord | ConsentRecord)
_landing_decoder = msgspec.json.Decoder(LandingRecord | TallyRecord | SpillRecord | ConsentRecord)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEMA = re.compile(rb'^\{"schema":"(event|tally|spill|consent)\.(\d{1,9})"')


def encode(record: EventRecord | ControlRecord) -> bytes:
    """Give the bytes of a record; `decode` gives the same record back."""
    return _encoder.encode(record)


def decode(value: bytes) -> EventRecord | ControlRecord | Unreadable:
    """Read a record from the log. Total: whatever the bytes are, the answer is a value."""
    return _decoded(value, _decoder.decode)


def decode_to_land(value: bytes) -> LandingRecord | ControlRecord | Unreadable:
    """Read a record from the log as `decode` does, but for the properties of an event: of them
    only the form is looked at. Total."""
    found = _decoded(value, _landing_decoder.decode)
    if isinstance(found, LandingRecord) and (what := _misshapen(found)) is not None:
        return Unreadable("unreadable_record", what)
    if not value.isascii() and not isinstance(found, Unreadable):
        try:
            value.decode()
        except UnicodeDecodeError as error:
            return Unreadable("unreadable_record", str(error)[:200])
    return found


def _misshapen(record: LandingRecord) -> str | None:
    """Say what the patterns of an `EventRecord` would not let through."""
    digests = record.identity + record.event_key + record.body + (record.visitor or "")
    try:
        if bytes.fromhex(digests).hex() != digests:  # it takes capitals and spaces, too
            return "a digest is not in lower-case hexadecimal"
    except ValueError as error:
        return f"a digest is not hexadecimal: {error}"
    name = record.event.name
    if name not in KNOWN_NAMES and _CONTROL.search(name):
        return "a control character - at `$.event.name`"
    return None


def _decoded(value: bytes, decoded: Callable[[bytes], _R]) -> _R | Unreadable:
    try:
        record = decoded(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if value.startswith(DAMAGED):
            return Unreadable("damaged_record", f"{len(value) - len(DAMAGED)} bytes of a spill")
        if value.startswith(BLANKED):
            return Unreadable("erased_before", "")
        known = _SCHEMA.match(value)
        if known and int(known[2]) > 1:
            return Unreadable("unknown_schema", f"{known[1].decode()}.{int(known[2])}")
        return Unreadable("unreadable_record", str(error)[:200])
    commerce = record.event.commerce if isinstance(record, EventRecord) else None
    if commerce is not None and (path := unfit(commerce)):
        return Unreadable("unreadable_record", f"an amount does not fit - at `{path}`")
    return record
