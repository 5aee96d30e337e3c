"""Whatever bytes come, the quick ways in answer and write what aiohttp's own way does.

The same bytes go, cut at the same places, to a listener as it is and to one of the same collector
that leaves every request to aiohttp; to the first twice, so that heads are known the second time.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, cast

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.door.server import Server
from spine.record import EventRecord, decode
from spine.runtime import serve
from tests.attacks.wire import KEY
from tests.flow.door import BROWSER, ORIGIN, OTHER, SERVER, Door, door

EXAMPLES = 100
LAST = b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
ONE = b'{"name":"a","event_id":"1","consent":{"purposes":{"analytics":true}}}'
BODIES = [ONE, b'{"events":[%b,{"name":7}]}' % ONE, b"{", b"", b"{}" + ONE, ONE + b"\r\n\r\n"]
STARTS = [
    b"POST /v1/events HTTP/1.1",
    b"POST /v1/events HTTP/1.0",
    b"POST /v1/events?key=" + BROWSER.encode() + b"&gdpr=1&gdpr_consent=x HTTP/1.1",
    b"POST /v1/events?key=" + SERVER.encode() + b" HTTP/1.1",
    b"POST //v1/events HTTP/1.1",
    b"POST /v1/%65vents HTTP/1.1",
    b"POST /v1/events/ HTTP/1.1",
    b"POST http://x/v1/events HTTP/1.1",
    b"POST /v1/consent HTTP/1.1",
    b"PUT /v1/events HTTP/1.1",
    b"OPTIONS /v1/events HTTP/1.1",
    b"GET /v1/pixel.gif?key=" + BROWSER.encode() + b"&name=a&event_id=2&consent=analytics HTTP/1.1",
]
PLAIN = [
    b"Authorization: Bearer " + SERVER.encode(),
    b"authorization: bearer " + OTHER.encode(),
    b"Origin: " + ORIGIN.encode(),
    b"Origin: https://other.example",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Content-Type: text/html",
    b"Content-Encoding: gzip",
    b"Cookie: euconsent-v2=x",
    b"Sec-GPC: 1",
    b"User-Agent: \xff",
]
ODD = [
    b"Connection: upgrade",
    b"Upgrade: h2c",
    b"Upgrade: websocket",
    b"Expect: 100-continue",
    b"Expect: nothing",
    b"X-Length: 5",
    b"X-A: b\r\n c",
    b"X-A : b",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding: Chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: identity",
    b"Transfer_Encoding: chunked",
    b"Content_Length: 3",
    b"Content-Length: 3",
]
LENGTHS = [b"Content-Length: %d"] * 9 + [
    b"content-length: %d", b"Content-Length: 0%d", b"Content-Length: +%d", b"Content-Length: %d ",
    b"Content-Length:%d", b"Content-Length:\t%d", b"Content-Length: 0x%d", b"X-Content-Length: %d",
]  # fmt: skip
CHUNKS = [b"%x\r\n%b\r\n0\r\n\r\n", b"%x;a=b\r\n%b\r\n0\r\nX: y\r\n\r\n"]
PIECES = [b"\r\n", b"\n", b"\r", b" ", b":", b"\x00", b"0", b"\r\n\r\n", b"POST ", b";a=b"]
_MADE_UP = re.compile(rb"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}")


class Told(NamedTuple):
    """What came back, and what was written."""

    answers: bytes
    records: list[EventRecord]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    body = draw(st.sampled_from(BODIES))
    is_odd = draw(st.sampled_from([False, False, True]))
    lines = draw(st.lists(st.sampled_from(PLAIN), max_size=3, unique=True))
    lines += draw(st.lists(st.sampled_from(ODD), max_size=2, unique=True)) if is_odd else []
    lines += [KEY.rstrip()] if draw(st.booleans()) else []
    if any(line.lower().startswith(b"transfer-encoding: c") for line in lines):
        body = draw(st.sampled_from(CHUNKS)) % (len(body), body)
    else:
        lines.append((draw(st.sampled_from(LENGTHS)) if is_odd else LENGTHS[0]) % len(body))
    start = draw(st.sampled_from(STARTS)) if draw(st.booleans()) else STARTS[0]
    made = b"\r\n".join((start, b"Host: x", *lines)) + b"\r\n\r\n" + body
    spoiled = st.tuples(st.integers(0, len(made)), st.integers(0, 2), st.sampled_from(PIECES))
    for at, removed, put in draw(st.lists(spoiled, max_size=1)) if is_odd else []:
        made = made[:at] + put + made[at + removed :]
    return made


streams = st.lists(requests(), min_size=1, max_size=3)


@asynccontextmanager
async def two_ways(tmp_path: Path) -> AsyncIterator[tuple[Door, int]]:
    """Open a door, and beside it one of the same collector that answers nothing directly."""
    async with door(
        tmp_path, header_timeout_s=0.5, body_timeout_s=0.5, unknown_keys_per_minute=1_000_000
    ) as front:
        runner = front.collector.runner(0.5)
        slow = await serve(runner, "collector.listen", "127.0.0.1:0")
        gate = cast("Server", runner.server).gate
        gate.words = gate.words._replace(is_direct=lambda _: False)
        try:
            yield front, int(slow.address.rpartition(":")[2])
        finally:
            await slow.close()


class Ways:
    """Sends to one listener after the other, and looks at the log in between."""

    def __init__(self, front: Door, slow_port: int) -> None:
        self._front = front
        self._ports = (front.port, front.port, slow_port)
        self._read_to = 0

    async def told(self, parts: list[bytes]) -> list[Told]:
        """Send a stream in so many parts, each way; give what came of each."""
        return [await self._told(port, parts) for port in self._ports]

    async def _told(self, port: int, parts: list[bytes]) -> Told:
        answers = await everything(port, parts)
        answers = re.sub(rb"Date: [^\r]*", b"", _MADE_UP.sub(b"", answers))
        written = await self._front.log.read(0, self._read_to, 1000)
        self._read_to += len(written)
        records = [decode(record.value) for record in written]
        return Told(answers, [_plain(one) for one in records if isinstance(one, EventRecord)])


async def everything(port: int, parts: list[bytes]) -> bytes:
    """Send parts one after the other; give all that comes, also before a reset."""
    loop, came = asyncio.get_running_loop(), b""
    with socket.create_connection(("127.0.0.1", port)) as wire, suppress(ConnectionError):
        wire.setblocking(False)
        try:
            for part in (*parts, LAST):
                await loop.sock_sendall(wire, part)
                for _ in range(20):  # turns of the loop, in which it is read by itself
                    await asyncio.sleep(0)
                await asyncio.sleep(0.01)  # and perhaps answered
        finally:
            while some := await loop.sock_recv(wire, 65_536):
                came += some
    return came


def _plain(record: EventRecord) -> EventRecord:
    return msgspec.structs.replace(record, event_id="", identity="", event_key="")


def cut(sent: list[bytes], places: list[int], *, joined: bool) -> list[bytes]:
    """Give a stream in parts: cut at these places, and where one request begins unless joined."""
    content = b"".join(sent)
    ends = [] if joined else list(accumulate(map(len, sent)))
    at = sorted({min(place, len(content)) for place in (*places, *ends)} - {0, len(content)})
    return [content[a:b] for a, b in zip([0, *at], [*at, len(content)], strict=True)]


def test_whichever_way_bytes_come_in_they_mean_the_same(tmp_path: Path) -> None:
    with asyncio.Runner() as loop:
        stack = AsyncExitStack()
        ways = Ways(*loop.run(stack.enter_async_context(two_ways(tmp_path))))

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(streams, st.just([]) | st.lists(st.integers(0, 900), max_size=2), st.booleans())
        def same(sent: list[bytes], places: list[int], joined: bool) -> None:
            parts = cut(sent, places, joined=joined)
            first, again, slow = loop.run(ways.told(parts))
            if not first == again == slow:  # a busy machine may bring two parts as one
                first, again, slow = loop.run(ways.told(parts))
            assert first == slow
            assert again == slow

        try:
            same()
        finally:
            loop.run(stack.aclose())
