"""Connections of the public listener, bounded: how many, how long, how much for how little.

aiohttp reads requests and writes answers. What it leaves open is closed here, between its parser
and its connection, in one place that every request passes:

1. A connection beyond the bound is closed at once; one that has sent half a head for too long, or
   does not take its answers, too.
2. After so many requests the answer says `Connection: close`, so that connections spread again over
   processes that share a port.
3. A whole request as nearly all are is answered directly (`collector.direct`).
4. One whose head came before, byte for byte, is not parsed again (`collector.heads`).
5. While requests are turned away, those are answered before aiohttp makes a task, a request and an
   answer of its own of them: turning away must be cheaper than taking. After so many in a moment,
   connections are not read until the next; and while there are such, few new ones are opened: a
   connection costs as much as several requests, and who is not read opens another.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage

from collector.answer import Answer
from collector.busy import Busy
from collector.connection import Connection
from collector.head import Head
from collector.heads import Heads
from collector.pressure import MOMENT_S, Pressure
from spine.metrics import Metrics

_SWEEP_TICKS = 50
_SHED_S = 0.4 * MOMENT_S
_LEAST_READ_AGAIN = 8
_OPENED_A_MOMENT = 16


class Bounds(NamedTuple):
    """What one listener and one connection may take."""

    connections: int
    requests: int
    head_bytes: int
    head_timeout_s: float
    idle_timeout_s: float


class Words(NamedTuple):
    """What is said to a sender without asking the application.

    Shape: `unreadable` makes the answer to bytes that are no request, from a code. Of requests that
    are `direct` and whole, `turned_away` gives the whole answer to one that is not let in, and
    nothing when it is, and the flag says whether it is the last of its connection; `take` is handed
    head, peer and body, and who is to be told the answer."""

    unreadable: Callable[[str], web.Response]
    turned_away: Callable[[Head, bool], bytes | None]
    is_direct: Callable[[RawRequestMessage], bool]
    take: Callable[[Head, str, bytes, Callable[[Answer], None]], None]


class Unwanted(asyncio.Protocol):
    """A connection that is closed at once: nothing is made of it, and nothing is read."""

    def __init__(self, server: "Server") -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        self._server.count_closed("too_busy")
        cast("asyncio.Transport", transport).abort()


class Server(web.Server):
    """Makes a connection of every socket, and keeps them within their bounds."""

    def __init__(
        self, made: web.Server, bounds: Bounds, words: Words, pressure: Pressure, metrics: Metrics
    ) -> None:
        super().__init__(made.request_handler, request_factory=made.request_factory)
        self.bounds = bounds
        self.words = words
        self.pressure = pressure
        self.heads = Heads()
        self.sockets: dict[Connection, asyncio.Transport] = {}
        self._closed = metrics.connections_closed
        metrics.connections.set_function(lambda: len(self.sockets))
        metrics.in_flight_requests.set_function(lambda: pressure.requests)
        self._resting: deque[asyncio.Transport] = deque()
        self._shed = self._opened = 0
        self._shed_s = 0.0
        self._fitting = _LEAST_READ_AGAIN
        self._busy = Busy()
        self._ticks = 0
        self._ticking = self._loop.call_later(MOMENT_S, self._tick)

    def __call__(self) -> asyncio.BaseProtocol:  # type: ignore[override] # one that is closed is none
        """Make a connection, unless there were enough while not even turning away keeps up."""
        self._opened += 1
        if self._resting and self._opened > _OPENED_A_MOMENT:
            return Unwanted(self)
        return Connection(self, self._loop)

    def turned_away(self, socket: asyncio.Transport, took_s: float) -> None:
        """Read no more from a connection for a moment, or some, once turning away took enough of
        this one."""
        self._shed += 1
        self._shed_s += took_s
        if self._shed_s > _SHED_S:
            socket.pause_reading()
            self._resting.append(socket)

    def count_closed(self, why: str) -> None:
        """Count a connection that is closed against its sender's wish."""
        self._closed.labels(why).inc()

    def _tick(self) -> None:
        self.pressure.moment(*self._busy.since())
        if self._shed:
            self._fitting = max(
                _LEAST_READ_AGAIN, int(self._shed * _SHED_S / max(self._shed_s, 1e-9))
            )
        self._shed, self._shed_s, self._opened = 0, 0.0, 0
        for _ in range(min(self._fitting, len(self._resting))):
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
