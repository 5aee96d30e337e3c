"""How a value stands in a segment of the spill: a frame that tells when it is damaged.

A frame has a magic number, a checksum, its length and its sequence number before the value. What
does not read as a frame is a `Cut`; what follows it is found again by the magic number. Pure.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from spine.log import Entry

_MAGIC = b"\xbeLg\x01"  # no JSON value has it: the first byte begins no UTF-8 character
_HEAD = struct.Struct("<4sIIQ")  # magic, checksum of what follows it, bytes after the head, number
_CHECKED_FROM = 8
_KEY_BYTES = 16


class Frame(NamedTuple):
    """A value as it stands in a segment, with its sequence number."""

    number: int
    entry: Entry


class Cut(NamedTuple):
    """Bytes of a segment that are no frame."""

    start: int
    content: bytes


def frames_of(number: int, entries: Iterable[Entry]) -> Iterator[bytes]:
    """Give the bytes of the frames of these values, numbered from `number` on."""
    for each, entry in enumerate(entries, number):
        key, value = entry.key, entry.value
        head = _HEAD.pack(_MAGIC, 0, len(key) + len(value), each)
        checksum = zlib.crc32(value, zlib.crc32(key, zlib.crc32(head[_CHECKED_FROM:])))
        yield _HEAD.pack(_MAGIC, checksum, len(key) + len(value), each) + key + value


def parts_of(content: bytes) -> Iterator[Frame | Cut]:
    """Read a segment: its frames, and what lies between them. Total, whatever the bytes are."""
    at = 0
    while at < len(content):
        found = at
        while (read := _frame(content, found)) is None:
            found = content.find(_MAGIC, found + 1)
            if found < 0:
                yield Cut(at, content[at:])
                return
        if found > at:
            yield Cut(at, content[at:found])
        frame, at = read
        yield frame


def _frame(content: bytes, at: int) -> tuple[Frame, int] | None:
    if len(content) - at < _HEAD.size:
        return None
    magic, checksum, length, number = _HEAD.unpack_from(content, at)
    start, end = at + _HEAD.size, at + _HEAD.size + length
    if magic != _MAGIC or length < _KEY_BYTES or end > len(content):
        return None
    if zlib.crc32(memoryview(content)[at + _CHECKED_FROM : end]) != checksum:
        return None
    key_end = start + _KEY_BYTES
    return Frame(number, Entry(content[start:key_end], content[key_end:end])), end
