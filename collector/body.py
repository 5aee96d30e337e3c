"""The body of a request, within limits: however it is sent, the answer is bytes or a value."""

import asyncio
from typing import NamedTuple, Protocol

from aiohttp import web
from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_TYPE
from multidict import CIMultiDictProxy

from collector.decode import Unreadable
from collector.pressure import Pressure
from collector.unpack import knows, unpacked

_ACCEPTED_TYPES = ("application/json", "text/plain")
_IDENTITY = "identity"


def whole(encoding: str | Unreadable, body: bytes, max_bytes: int) -> bytes | Unreadable:
    """Give a body that came with its head, unpacked, within the same limits as `read`."""
    return _unpacked(body, encoding, max_bytes) if isinstance(encoding, str) else encoding


class Turn(Protocol):
    """The turn that a request takes, of the connection that it came on."""

    def set_aside(self) -> None:
        """Let others have it."""

    def take_again(self) -> None:
        """Count as under way again."""


class Arriving(NamedTuple):
    """What a body that is still arriving counts towards, and whose it is."""

    pressure: Pressure
    turn: Turn
    comes_again: bool


async def read(
    request: web.Request, max_bytes: int, timeout_s: float, arriving: Arriving
) -> bytes | Unreadable | None:
    """Give the body, unpacked, of at most `max_bytes` both as sent and as unpacked; nothing when
    there is no room for it.

    Shape: what is arriving counts as pressure; what is given is for the caller to count."""
    encoding = encoding_of(request.headers)  # first: what cannot be read need not come
    if isinstance(encoding, Unreadable):
        return encoding
    body = await _read(request, max_bytes, timeout_s, arriving)
    return _unpacked(body, encoding, max_bytes) if isinstance(body, bytes) else body


def encoding_of(headers: CIMultiDictProxy[str]) -> str | Unreadable:
    """Give how the body of a request is encoded, or why it cannot be read."""
    sent_as = headers.get(CONTENT_TYPE)
    if sent_as and sent_as not in _ACCEPTED_TYPES and _bare(sent_as) not in _ACCEPTED_TYPES:
        return Unreadable("unsupported_type", "send application/json or text/plain")
    if CONTENT_ENCODING not in headers:
        return _IDENTITY
    encoding = ",".join(headers.getall(CONTENT_ENCODING)).strip().lower()
    if encoding != _IDENTITY and not knows(encoding):
        return Unreadable("unsupported_encoding", "send the body as it is, or in one encoding")
    return encoding


def _bare(sent_as: str) -> str:
    return sent_as.partition(";")[0].strip().lower()


def _unpacked(body: bytes, encoding: str, max_bytes: int) -> bytes | Unreadable:
    if len(body) > max_bytes:
        return _too_large(max_bytes)
    return body if encoding == _IDENTITY else unpacked(body, encoding, max_bytes)


async def _read(
    request: web.BaseRequest, max_bytes: int, timeout_s: float, arriving: Arriving
) -> bytes | Unreadable | None:
    if (request.content_length or 0) > max_bytes:
        return _too_large(max_bytes)
    content = request.content
    try:
        if content.is_eof():  # it has come with its head, as small bodies do
            return content.read_nowait()
        async with asyncio.timeout(timeout_s):
            return await _arriving(request, max_bytes, arriving)
    except (TimeoutError, ConnectionError):  # the client may have gone: then it is counted only
        return Unreadable("slow_request", "the body did not arrive in time")
    except web.RequestPayloadError:  # said by aiohttp's parser in Python only
        return Unreadable("unreadable_body", "the body is not sent as HTTP sends it")


def _too_large(max_bytes: int) -> Unreadable:
    return Unreadable("body_too_large", f"a body may have {max_bytes} bytes")


async def _arriving(request: web.BaseRequest, max_bytes: int, arriving: Arriving) -> bytes | None:
    """Give a body that has not come yet, or somewhat more than may come; nothing when there is no
    room for it."""
    if request.headers.get("Expect", "").lower() == "100-continue":  # it waits to be let in
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer is still to come
    pressure, turn, comes_again = arriving
    body = bytearray()
    turn.set_aside()  # until it is there, it is bytes, and takes none
    try:
        while len(body) <= max_bytes and (chunk := await request.content.readany()):
            body += chunk
            if not pressure.arrive(len(chunk), len(body), comes_again=comes_again):
                return None
    finally:
        turn.take_again()
        pressure.arrived(len(body))
    return bytes(body)
