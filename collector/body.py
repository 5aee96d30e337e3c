"""The body of a request, within limits: however it is sent, the answer is bytes or a value."""

import asyncio
import zlib

from aiohttp import web

from collector.decode import Unreadable
from collector.pressure import Pressure

_ACCEPTED_TYPES = ("application/json", "text/plain")


async def read(
    request: web.Request, max_bytes: int, timeout_s: float, pressure: Pressure
) -> bytes | Unreadable:
    """Give the body, unpacked, of at most `max_bytes` both as sent and as unpacked.

    Shape: what is arriving counts as pressure; what is given is for the caller to count."""
    if request.headers.get("Content-Type") and request.content_type not in _ACCEPTED_TYPES:
        return Unreadable("unsupported_type", "send application/json or text/plain")
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        return Unreadable("unsupported_encoding", "send the body as it is, or in gzip")
    body = await _read(request, max_bytes, timeout_s, pressure)
    if encoding == "gzip" and isinstance(body, bytes):
        return gunzip(body, max_bytes)
    return body


async def _read(
    request: web.BaseRequest, max_bytes: int, timeout_s: float, pressure: Pressure
) -> bytes | Unreadable:
    too_large = Unreadable("body_too_large", f"a body may have {max_bytes} bytes")
    if (request.content_length or 0) > max_bytes:
        return too_large
    content = request.content
    try:
        if content.is_eof():  # it has come with its head, as small bodies do
            body = content.read_nowait()
        else:
            async with asyncio.timeout(timeout_s):
                body = await _arriving(request, max_bytes, pressure)
    except (TimeoutError, ConnectionError):  # the client may have gone: then it is counted only
        return Unreadable("slow_request", "the body did not arrive in time")
    except web.RequestPayloadError:
        return Unreadable("unreadable_body", "the body is not sent as HTTP sends it")
    return body if len(body) <= max_bytes else too_large


async def _arriving(request: web.BaseRequest, max_bytes: int, pressure: Pressure) -> bytes:
    """Give a body that has not come yet, or somewhat more than may come."""
    if request.headers.get("Expect", "").lower() == "100-continue":  # it waits to be let in
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer is still to come
    body = bytearray()
    pressure.requests -= 1  # until it is there, it is bytes, and takes no turn
    try:
        while len(body) <= max_bytes and (chunk := await request.content.readany()):
            body += chunk
            pressure.bytes += len(chunk)
    finally:
        pressure.requests += 1
        pressure.bytes -= len(body)
    return bytes(body)


def gunzip(body: bytes, max_bytes: int) -> bytes | Unreadable:
    """Unpack a gzip body, never to more than `max_bytes`."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, max_bytes + 1)
    except zlib.error as error:
        return Unreadable("unreadable_body", f"the body is not gzip: {error}")
    if len(unpacked) > max_bytes:
        return Unreadable("body_too_large", f"the body unpacks to more than {max_bytes} bytes")
    if not unpacker.eof or unpacker.unused_data:
        return Unreadable("unreadable_body", "the gzip body is cut off or has something behind it")
    return unpacked
