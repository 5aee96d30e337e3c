"""The body of a request, within limits: however it is sent, the answer is bytes or a value."""

import asyncio
import zlib

from aiohttp import web

from collector.decode import Unreadable

_ACCEPTED_TYPES = ("application/json", "text/plain")


async def read(request: web.Request, max_bytes: int, timeout_s: float) -> bytes | Unreadable:
    """Give the body, unpacked, of at most `max_bytes` both as sent and as unpacked."""
    if request.headers.get("Content-Type") and request.content_type not in _ACCEPTED_TYPES:
        return Unreadable("unsupported_type", "send application/json or text/plain")
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        return Unreadable("unsupported_encoding", "send the body as it is, or in gzip")
    body = await _read(request, max_bytes, timeout_s)
    if encoding == "gzip" and isinstance(body, bytes):
        return gunzip(body, max_bytes)
    return body


async def _read(request: web.Request, max_bytes: int, timeout_s: float) -> bytes | Unreadable:
    too_large = Unreadable("body_too_large", f"a body may have {max_bytes} bytes")
    if (request.content_length or 0) > max_bytes:
        return too_large
    try:
        if request.content.is_eof():  # it has come with its headers, as small bodies do
            return await request.read()
        async with asyncio.timeout(timeout_s):
            return await request.read()
    except (TimeoutError, ConnectionError):  # the client may have gone: then it is counted only
        return Unreadable("slow_request", "the body did not arrive in time")
    except web.HTTPRequestEntityTooLarge:
        return too_large


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
