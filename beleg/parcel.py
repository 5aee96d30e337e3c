"""Cutting a file of events (NDJSON, one event per line) into requests. Pure: no network, no clock.

A line that cannot be sent is a value beside the others, with its number, and stops nothing.
"""

import codecs
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

import orjson

_HEAD, _TAIL = b'{"events":[', b"]}"
_ENVELOPE_BYTES = len(_HEAD) + len(_TAIL)
_SKIP_BYTES = 1 << 16


class Refusal(NamedTuple):
    """A line that did not become an event, and why; lines are counted from 1."""

    line: int
    code: str
    detail: str


class Parcel(NamedTuple):
    """Neighbouring lines of a file that travel in one request.

    Shape: event i of the request came from line `numbers[i]`; `unsendable` are the lines between
    them that stay behind; `first_without_id` is the first line without event_id, if any.
    Units: `read_bytes` is what the file gave for all of them."""

    events: tuple[bytes, ...]
    numbers: tuple[int, ...]
    unsendable: tuple[Refusal, ...]
    without_id: int
    first_without_id: int | None
    read_bytes: int

    def body(self) -> bytes:
        """The request's JSON document; the lines are in it byte for byte."""
        return _HEAD + b",".join(self.events) + _TAIL


class _Checked(NamedTuple):
    number: int
    event: bytes
    refusal: Refusal | None
    has_id: bool
    read_bytes: int


def bounded_lines(file: BinaryIO, max_bytes: int) -> Iterator[bytes]:
    """Every line of a file, while never more than about `max_bytes` of it are in memory.

    Of a longer line the first `max_bytes` + 1 bytes are given, which `cut` then calls too long."""
    while line := file.readline(max_bytes + 1):
        piece = line
        while piece and not piece.endswith(b"\n"):
            piece = file.readline(_SKIP_BYTES)
        yield line


def cut(lines: Iterable[bytes], *, max_events: int, max_bytes: int) -> Iterator[Parcel]:
    """Every line that is not blank goes into exactly one parcel, in order, and none is too big.

    Shape: at most `max_events` lines in a parcel, at most `max_bytes` in its body."""
    parcel: list[_Checked] = []
    size_bytes = _ENVELOPE_BYTES
    for line in _checked(lines, max_bytes - _ENVELOPE_BYTES):
        cost_bytes = len(line.event) + 1
        # The last event needs no comma, hence the 1.
        if len(parcel) == max_events or size_bytes + cost_bytes - 1 > max_bytes:
            yield _pack(parcel)
            parcel, size_bytes = [], _ENVELOPE_BYTES
        parcel.append(line)
        if line.refusal is None:
            size_bytes += cost_bytes
    if parcel:
        yield _pack(parcel)


def _pack(lines: list[_Checked]) -> Parcel:
    good = [line for line in lines if line.refusal is None]
    nameless = [line.number for line in good if not line.has_id]
    return Parcel(
        events=tuple(line.event for line in good),
        numbers=tuple(line.number for line in good),
        unsendable=tuple(line.refusal for line in lines if line.refusal is not None),
        without_id=len(nameless),
        first_without_id=nameless[0] if nameless else None,
        read_bytes=sum(line.read_bytes for line in lines),
    )


def _checked(lines: Iterable[bytes], max_event_bytes: int) -> Iterator[_Checked]:
    for number, line in enumerate(lines, start=1):
        # Windows tools begin a text file with a byte order mark; JSON knows none.
        event = (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).strip()
        if not event:
            continue
        refusal, has_id = _look(number, event, max_event_bytes)
        yield _Checked(number, b"" if refusal else event, refusal, has_id, len(line))


def _look(number: int, event: bytes, max_event_bytes: int) -> tuple[Refusal | None, bool]:
    if len(event) > max_event_bytes:
        return Refusal(number, "too_long", f"more than {max_event_bytes} bytes"), False
    try:
        document = orjson.loads(event)
    except orjson.JSONDecodeError as error:
        return Refusal(number, "not_json", str(error)), False
    if not isinstance(document, dict):
        return Refusal(number, "wrong_type", "the line is not a JSON object"), False
    return None, bool(document.get("event_id"))
