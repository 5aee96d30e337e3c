"""Bytes to a listener and back, as an attacker sends them: nothing is put in order on the way."""

import asyncio
import contextlib
import json
from typing import Any, NamedTuple

from tests.flow.door import BROWSER

PATIENCE_S = 60.0
BODY = b'{"name":"page_view","consent":{"purposes":{"analytics":true}}}'
KEY = b"Authorization: Bearer " + BROWSER.encode() + b"\r\n"


def head(*lines: bytes, start: bytes = b"POST /v1/events HTTP/1.1", host: bytes = b"x") -> bytes:
    """Give the head of a request, whatever its lines are."""
    return b"\r\n".join((start, b"Host: " + host, KEY.rstrip(), *lines)) + b"\r\n\r\n"


def request(body: bytes = BODY, *lines: bytes) -> bytes:
    """Give a request as it should be, with more lines in its head."""
    return head(b"Content-Length: %d" % len(body), *lines) + body


class Reply(NamedTuple):
    """One answer. Shape: `headers` by lower-case name; the body is JSON."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def code(self) -> str | None:
        """The code of a refusal."""
        return self.body.get("code") if isinstance(self.body, dict) else None


class Wire:
    """A connection of raw bytes; made by `connect`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def write(self, content: bytes) -> None:
        """Send bytes without waiting until they are taken."""
        self._writer.write(content)

    async def send(self, content: bytes) -> None:
        """Send bytes as they are; that nobody takes them any more is no mistake."""
        self._writer.write(content)
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def send_in_two(self, content: bytes, cut: int) -> None:
        """Send bytes, those from `cut` on a moment later."""
        await self.send(content[:cut])
        if cut < len(content):
            await asyncio.sleep(0.05)
            await self.send(content[cut:])

    async def stays(self) -> bool:
        """Say whether one more request is taken, and go away."""
        await self.send(request())
        try:
            return (await self.reply()).status == 202
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        finally:
            self.close()

    async def reply(self) -> Reply:
        """Read one answer."""
        async with asyncio.timeout(PATIENCE_S):
            text = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = text.rstrip().split("\r\n")
            headers = {
                line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines
            }
            assert len(headers) == len(lines), "a header came twice"
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Reply(int(first.split()[1]), headers, json.loads(body) if body else None)

    async def ended(self) -> bytes:
        """Read until the other side closes; give what came."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""
            finally:
                self.close()

    def close(self) -> None:
        """Go away without a word."""
        self._writer.transport.abort()


async def connect(port: int) -> Wire:
    """Open a connection."""
    return Wire(*await asyncio.open_connection("127.0.0.1", port))


async def reply_to(port: int, content: bytes) -> Reply:
    """Send bytes on a connection of their own and read one answer."""
    wire = await connect(port)
    try:
        await wire.send(content)
        return await wire.reply()
    finally:
        wire.close()
