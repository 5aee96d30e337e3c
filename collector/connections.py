"""Connections of the public listener, bounded: how many, how long, how much for how little.

aiohttp reads requests and writes answers. What it leaves open is closed here, between its parser
and its connection, in one place that every request passes:

1. A connection beyond the bound is closed at once; one that has sent half a head for too long, or
   does not take its answers, too.
2. After so many requests the answer says `Connection: close`, so that connections spread again over
   processes that share a port.
3. While requests are turned away, those that are whole are answered before aiohttp makes a task,
   a request and an answer of its own of them, and plain ones before it parses them: turning away
   must be cheaper than taking. After so many in a moment, connections are not read until the next.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from collector.busy import Busy
from collector.glance import is_plain
from collector.pressure import MOMENT_S, Pressure
from spine.metrics import Metrics

_MOST_HEADERS = 100
_HEAD_TOO_LARGE = 431
_LINGER_S = 1.0
_SWEEP_TICKS = 50
_SHED_A_MOMENT = 256


class Bounds(NamedTuple):
    """What one listener and one connection may take."""

    connections: int
    requests: int
    head_bytes: int
    head_timeout_s: float
    idle_timeout_s: float


class Words(NamedTuple):
    """What is said to a sender without asking the application.

    Shape: `unreadable` makes the answer to bytes that are no request, from a code; `turned_away`
    gives the whole answer to a request that is not let in, and nothing when it is; a plain one has
    no message, and the flag says whether it is the last of its connection."""

    unreadable: Callable[[str], web.Response]
    turned_away: Callable[[RawRequestMessage | None, bool], bytes | None]


class Server(web.Server):
    """Makes a connection of every socket, and keeps them within their bounds."""

    def __init__(
        self, made: web.Server, bounds: Bounds, words: Words, pressure: Pressure, metrics: Metrics
    ) -> None:
        super().__init__(made.request_handler, request_factory=made.request_factory)
        self.bounds = bounds
        self.words = words
        self.pressure = pressure
        self.sockets: dict[_Connection, asyncio.Transport] = {}
        self._closed = metrics.connections_closed
        metrics.connections.set_function(lambda: len(self.sockets))
        metrics.in_flight_requests.set_function(lambda: pressure.requests)
        self._resting: deque[asyncio.Transport] = deque()
        self._shed = 0
        self._busy = Busy()
        self._ticks = 0
        self._ticking = self._loop.call_later(MOMENT_S, self._tick)

    def __call__(self) -> web.RequestHandler:
        """Make a connection."""
        return _Connection(self, self._loop)

    def turned_away(self, socket: asyncio.Transport) -> None:
        """Read no more from a connection for a moment, or some, once enough were turned away."""
        self._shed += 1
        if self._shed > _SHED_A_MOMENT:
            socket.pause_reading()
            self._resting.append(socket)

    def count_closed(self, why: str) -> None:
        """Count a connection that is closed against its sender's wish."""
        self._closed.labels(why).inc()

    def _tick(self) -> None:
        self.pressure.moment(*self._busy.since())
        self._shed = 0
        for _ in range(min(_SHED_A_MOMENT, len(self._resting))):
            socket = self._resting.popleft()
            if not socket.is_closing():
                socket.resume_reading()
        self._ticking = self._loop.call_later(MOMENT_S, self._tick)
        self._ticks += 1
        if self._ticks % _SWEEP_TICKS == 0:
            self._sweep(self._loop.time() - self.bounds.head_timeout_s)

    def _sweep(self, before: float) -> None:
        for connection, socket in self.sockets.items():
            if 0 < connection.head_since < before:
                self.count_closed("slow_head")
                socket.abort()
            elif not socket.get_write_buffer_size():
                connection.stuck_since = 0.0
            elif not connection.stuck_since:
                connection.stuck_since = self._loop.time()
            elif connection.stuck_since < before:
                self.count_closed("slow_reader")
                socket.abort()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as aiohttp has it
        """Close every connection; those that are being answered after their answer."""
        self._ticking.cancel()
        self._busy.close()
        await super().shutdown(timeout)


class _Connection(web.RequestHandler):
    __slots__ = (
        "_last_request",
        "_server",
        "entered",
        "head_bytes",
        "head_since",
        "stuck_since",
    )

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        bounds = server.bounds
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=bounds.idle_timeout_s,
            lingering_time=_LINGER_S,
            max_line_size=bounds.head_bytes,
            max_field_size=bounds.head_bytes,
            max_headers=_MOST_HEADERS,
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type] # as AppRunner hands it down
        )
        self._server = server
        self._parser = _Entrance(self, self._parser, server)  # type: ignore[assignment]
        # Not all at once, when they were opened at once.
        self._last_request = random.randint(bounds.requests * 3 // 4, bounds.requests)  # noqa: S311
        self.entered = 0
        self.head_bytes = 0
        self.head_since = 0.0
        self.stuck_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        socket = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        server = self._server
        if len(server.sockets) >= server.bounds.connections:
            server.count_closed("too_many")
            self._force_close = True
            socket.abort()
            return
        server.sockets[self] = socket
        self.head_since = self._loop.time()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.sockets.pop(self, None)
        super().connection_lost(exc)

    @property
    def idle(self) -> bool:
        """Whether every request that came was answered."""
        waiter = self._waiter
        return waiter is not None and not waiter.done() and not self._messages

    def ends(self, more: int) -> bool:
        """Say whether the connection has its fill of requests, with so many more."""
        return self._request_count + more >= self._last_request

    def enter(self, requests: int) -> None:
        """Count requests that will be answered by the application, from now on."""
        self.entered += requests
        self._server.pressure.requests += requests

    def leave(self, requests: int) -> None:
        """Take off what was answered, or never will be."""
        self.entered -= requests
        self._server.pressure.requests -= requests

    def wait_for_head(self, size: int) -> None:
        """Note bytes of a head that is not whole."""
        if not self.head_since:
            self.head_since = self._loop.time()
        self.head_bytes += size
        if self.head_bytes > self._server.bounds.head_bytes:
            raise HttpProcessingError(code=_HEAD_TOO_LARGE, message="")

    def turn_away(self, message: RawRequestMessage | None, *, last: bool) -> bool:
        """Answer for the application, without asking it, unless the request is let in."""
        transport = self.transport
        if transport is None or self.writing_paused:  # on top of answers that nobody reads
            return False
        answer = self._server.words.turned_away(message, last)
        if answer is None:
            return False
        self.head_since = 0
        self._request_count += 1
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        transport.write(answer)
        if last:
            transport.close()
        else:
            self._server.turned_away(transport)
        return True

    async def start(self) -> None:
        try:
            await super().start()
        finally:
            self.leave(self.entered)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        self.leave(1)
        if self.ends(0):
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, HttpProcessingError):
            too_large = isinstance(exc, LineTooLong) or exc.code == _HEAD_TOO_LARGE
            response = self._server.words.unreadable(
                "head_too_large" if too_large else "bad_request"
            )
            response.force_close()
            return response
        return super().handle_error(request, status, exc, message)


class _Entrance:
    """aiohttp's parser of a connection, and a look at what comes out of it."""

    __slots__ = ("_connection", "_parser", "_server", "message_consumed")

    def __init__(self, connection: _Connection, parser: Any, server: Server) -> None:
        self._connection = connection
        self._parser = parser
        self._server = server
        self.message_consumed = parser.message_consumed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> tuple[Sequence[Any], bool, bytes]:
        connection = self._connection
        if self._server.pressure.tight and self._is_turned_away_unparsed(data):
            return (), False, b""
        try:
            found: tuple[Sequence[Any], bool, bytes] = self._parser.feed_data(data)
            if not found[0]:
                if data and connection.idle:
                    connection.wait_for_head(len(data))
                return found
        except HttpProcessingError:
            connection.enter(1)  # to be answered that it cannot be read
            raise
        connection.head_since = connection.head_bytes = 0
        messages = found[0]
        if (
            self._server.pressure.tight
            and len(messages) == 1
            and connection.idle
            and self._is_turned_away(*messages[0])
        ):
            return (), found[1], found[2]
        connection.enter(len(messages))
        return found

    def _is_turned_away_unparsed(self, data: bytes) -> bool:
        connection = self._connection
        if not connection.idle or connection.head_bytes:  # it may be the rest of something
            return False
        return is_plain(data) and connection.turn_away(None, last=connection.ends(1))

    def _is_turned_away(self, message: RawRequestMessage, payload: Any) -> bool:
        last = message.should_close or self._connection.ends(1)
        if not payload.is_eof() or not self._connection.turn_away(message, last=last):
            return False
        self.message_consumed()
        return True
