"""Bytes → events, or the reason why not. Pure; whatever the bytes are, the answer is a value."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec

from collector.doubled import heard_out
from collector.naming import Told
from spine.codes import Refused
from spine.currencies import CURRENCIES
from spine.event import KNOWN_NAMES, Event, Identifier, Instant
from spine.money import in_four_decimals, unfit

_MOST_EVENTS = 5_000


class Unreadable(NamedTuple):
    """The request as a whole cannot be read.

    Shape: `code` is one of kind `request` in `spine.codes`."""

    code: str
    detail: str


class Claims(msgspec.Struct, frozen=True):
    """What a request claims, event by event, in the order it came."""

    events: Sequence[Event | Refused]
    sent_at: datetime | None


class Claim(Event, frozen=True, kw_only=True):
    """An event as it is decoded here: what its name may hold is looked at afterwards, because a
    pattern in the type would be searched for in names that are known, too; and who somebody is may
    be told as it is."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    identifiers: Told | None = None


class _Probe(msgspec.Struct):
    events: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]
    sent_at: Instant | None = None


class _RightBatch(msgspec.Struct, forbid_unknown_fields=True):
    events: Annotated[list[Claim], msgspec.Meta(max_length=_MOST_EVENTS)]
    sent_at: Instant | None = None


class _Named(msgspec.Struct):
    event_id: Identifier | None = None


_named = msgspec.json.Decoder(_Named)
_probe = msgspec.json.Decoder(_Probe)
_batch = msgspec.json.Decoder(_Batch)
_right_batch = msgspec.json.Decoder(_RightBatch)
_event = msgspec.json.Decoder(Claim)
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
# All that is no lone half goes in one match, or escapes without end would take a call each.
_ESCAPES = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F][\da-fA-F]{2})"
    rb"|\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2})++"
    rb"|(\\u[dD][89a-fA-F][\da-fA-F]{2})"
)


def decode(body: bytes, max_events: int) -> Claims | Unreadable:
    """Read one event, or a batch of at most `max_events`."""
    if b"\\" in body and _HALF.search(body):  # a byte is found much faster than a pattern
        body = _ESCAPES.sub(_whole_character, body)
    try:
        try:
            claims: Claims | Unreadable = _decode_right(body)
        except msgspec.ValidationError:
            claims = _decode_each(body, max_events)
    except _MALFORMED as error:
        return Unreadable("unreadable_body", _readable(error))
    if isinstance(claims, Unreadable):
        return claims
    if (too_many := _too_many(claims.events, max_events)) is not None:
        return too_many
    return Claims(heard_out(body, claims.events), claims.sent_at)


def _too_many(events: Sequence[object], max_events: int) -> Unreadable | None:
    if len(events) <= max_events:
        return None
    return Unreadable("too_many_events", f"{len(events)} events; a request may carry {max_events}")


def _decode_right(body: bytes) -> Claims:
    """Read a body whose events are all of the right types, as nearly always, in one pass."""
    try:
        return Claims([_checked(_event.decode(body))], None)
    except msgspec.ValidationError:  # of a batch: at its first key
        batch = _right_batch.decode(body)
        return Claims([_checked(event) for event in batch.events], batch.sent_at)


def _decode_each(body: bytes, max_events: int) -> Claims | Unreadable:
    """Read the events one by one, so that a bad one does not fail its neighbours."""
    if _probe.decode(body).events is msgspec.UNSET:
        return Claims([_decode_event(body)], None)
    batch = _batch.decode(body)
    if (too_many := _too_many(batch.events, max_events)) is not None:
        return too_many
    return Claims([_decode_event(raw) for raw in batch.events], batch.sent_at)


def _whole_character(escape: re.Match[bytes]) -> bytes:
    """Replace half of a surrogate pair: a page that cuts a text in the middle of an emoji sends it.

    Source: JSON.stringify escapes such halves since ECMAScript 2019; where browsers encode text
    themselves they put U+FFFD (WHATWG, Web IDL: USVString)."""
    return b"\\ufffd" if escape[1] else escape[0]


def _readable(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the body is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "the body is not UTF-8"
    return str(error)[:300]


def _decode_event(raw: bytes | msgspec.Raw) -> Event | Refused:
    try:
        event = _event.decode(raw)
    except msgspec.ValidationError as error:
        return refusal(str(error))._replace(event_id=_event_id(raw))
    return _checked(event)


def _event_id(raw: bytes | msgspec.Raw) -> str | None:
    try:
        return _named.decode(raw).event_id
    except _MALFORMED:
        return None


_PATH = re.compile(r" - at (?:`key` in )?`([^`]*)`$")
_CODES = (
    (re.compile(r"^Object missing required field `(.*)`", re.DOTALL), "missing_field"),
    (re.compile(r"^Object contains unknown field `(.*)`", re.DOTALL), "unknown_field"),
    (re.compile(r"of length <= "), "too_long"),
    (re.compile(r"of length >= "), "empty_value"),
    (re.compile(r"RFC3339|timezone component"), "bad_time"),
    (re.compile(r"^Invalid decimal"), "bad_amount"),
    (re.compile(r"matching regex|^Expected `int` [<>]=|out of range$"), "bad_value"),
)


def refusal(message: str) -> Refused:
    """Turn the decoder's sentence into a stable code, the path of the field, and the sentence."""
    at = _PATH.search(message)
    path = at[1] if at else "$"
    sentence = message[: at.start()] if at else message
    for pattern, code in _CODES:
        if found := pattern.search(sentence):
            if code in ("missing_field", "unknown_field"):
                path = f"{path}.{found[1]}"
            return Refused(code, path[:200], sentence[:300])
    return Refused("wrong_type", path[:200], sentence[:300])


def _checked(event: Event) -> Event | Refused:
    """Check what types cannot say, and give amounts the four decimals that are kept."""
    if event.name not in KNOWN_NAMES and _CONTROL.search(event.name):
        why = "Expected a name without control characters"
        return Refused("bad_value", "$.name", why, event.event_id)
    commerce = event.commerce
    if commerce is None:
        return event
    if commerce.currency is not None and commerce.currency not in CURRENCIES:
        why = "Expected a current ISO 4217 code such as EUR"
        return Refused("bad_currency", "$.commerce.currency", why, event.event_id)
    if path := unfit(commerce):
        why = "Expected a finite decimal below 10^14"
        return Refused("bad_amount", path, why, event.event_id)
    return msgspec.structs.replace(event, commerce=in_four_decimals(commerce))
