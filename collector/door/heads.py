"""Heads that came before: what a parser made of such bytes once, it makes of them again.

Who keeps a connection sends the same head with request after request, but for how long the body is.
Invariants:

1. Remembered is only what the parser took for one whole POST of events, from the first byte that
   came to the last.
2. Found is only what has the same bytes, all of them, beside the digits of one `Content-Length`,
   which say exactly how much came behind it. So nothing is understood here that was not understood
   by the parser before.
"""

from typing import NamedTuple

from aiohttp import HttpVersion
from aiohttp.http import RawRequestMessage

from collector.head import Head, head_of
from consent_rules.remembered import Remembered

_END = b"\r\n\r\n"
_BEFORE_LENGTH = b"ength: "
_LENGTH = b"\r\ncontent-length: "
_MOST_DIGITS = 9
_MOST_BYTES = 16 << 20
_LONGEST = 4_096
_BYTES_BESIDE = 3_000


class Asked(NamedTuple):
    """A request that may be answered directly, but for its body.

    Shape: `closes` says that its connection does not stay."""

    head: Head
    version: HttpVersion
    closes: bool


def asked_by(message: RawRequestMessage) -> Asked:
    """Give what a parser made of a head."""
    return Asked(head_of(message.headers, message.url), message.version, message.should_close)


class Heads:
    """The heads of one listener, within a bound of bytes."""

    def __init__(self) -> None:
        self._remembered: Remembered[bytes, Asked] = Remembered(_MOST_BYTES)

    def find(self, data: bytes) -> tuple[Asked, bytes] | None:
        """Give what came before with the same head, and the body; of one whole request only."""
        end, at, stop = _places(data)
        if end < 0 or at < len(_BEFORE_LENGTH):
            return None
        asked = self._remembered.find(data[:at] + data[stop:end])
        if asked is None or not _ends_as_told(data, data[at:stop], end):
            return None
        return asked, data[end + len(_END) :]

    def keep(self, data: bytes, asked: Asked) -> None:
        """Remember the head of what the parser took for one whole request, unless it ends otherwise
        than by the length that it tells."""
        end, at, stop = _places(data)
        head = data[: end + 2].lower()
        if end > _LONGEST or not head[:at].endswith(_LENGTH) or head.count(b"content-length") > 1:
            return
        if _ends_as_told(data, data[at:stop], end):
            self._remembered.keep(data[:at] + data[stop:end], asked, 4 * end + _BYTES_BESIDE)


def missing(data: bytes) -> int | None:
    """Give how many bytes are missing of the one request that begins with these; nothing where
    more came than that, where its head is not whole, or where it is not sure."""
    end, at, stop = _places(data)
    head = data[: end + 2].lower()
    if end < 0 or b"\r\ntransfer-encoding" in head:
        return None
    lengths, digits = head.count(b"content-length"), data[at:stop]
    if lengths == 0:
        length = 0
    elif lengths == 1 and head[:at].endswith(_LENGTH) and _is_length(digits):
        length = int(digits)
    else:
        return None
    left = end + len(_END) + length - len(data)
    return left if left >= 0 else None


def _places(data: bytes) -> tuple[int, int, int]:
    """Give where a head ends, and where in it the digits of a length begin and end."""
    end = data.find(_END)
    at = data.find(_BEFORE_LENGTH, 0, end) + len(_BEFORE_LENGTH)
    return end, at, data.find(b"\r", at)


def _ends_as_told(data: bytes, digits: bytes, end: int) -> bool:
    return _is_length(digits) and len(data) == end + len(_END) + int(digits)


def _is_length(digits: bytes) -> bool:
    return digits.isdigit() and len(digits) <= _MOST_DIGITS
