"""The gate of a public listener: how many connections it holds, and who is turned away on them.

aiohttp reads requests and writes answers. What it leaves open is closed here, between its parser
and its connection, in one place that every request passes:

1. A connection beyond the bound is closed at once; one that has sent half a head for too long, or
   does not take its answers, too. While nearly as many as may be are open, those that rest are
   closed, the oldest first: nobody has all of them for a request each now and then.
2. After so many requests the answer says `Connection: close`, so that connections spread again over
   processes that share a port.
3. While requests are turned away, those are answered before aiohttp makes a task, a request and an
   answer of its own of them: turning away must be cheaper than taking. After so many in a moment,
   connections are not read until the next; and while there are such, few new ones are opened: who
   is not read opens another.
4. While requests are turned away, what lay unread in the kernel for too long is not let in
   (`collector.door.late`): its answer would be late, in the place of one that came just now.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from aiohttp import web
from aiohttp.http import RawRequestMessage

from collector.answer import Answer
from collector.door.busy import Busy
from collector.door.heads import Asked, Heads
from collector.door.late import Late
from collector.door.unread import unread_ms
from collector.head import Head
from collector.pressure import MOMENT_S, Pressure
from spine.metrics import Metrics

_SWEEP_TICKS = 50
_CROWD = 0.75
_REST_S = 2.0
_SHED_S = 0.4 * MOMENT_S
_LEAST_READ_AGAIN = 8
_OPENED_A_MOMENT = 128


class Bounds(NamedTuple):
    """What one listener and one connection may take.

    Shape: `unread_ms` is how long what is let in may have lain unread while others are turned away.
    """

    connections: int
    requests: int
    head_bytes: int
    head_timeout_s: float
    idle_timeout_s: float
    unread_ms: int


class Words(NamedTuple):
    """What is said to a sender without asking the application.

    Shape: `unreadable` makes the answer to bytes that are no request, from a code. Of requests that
    are `direct` and whole, `turned_away` gives the whole answer to one that is not let in, and
    nothing when it is; the flags say whether it comes late, and whether it is the last of its
    connection; `take` is handed head, peer and body, and who is to be told the answer."""

    unreadable: Callable[[str], web.Response]
    turned_away: Callable[[Head, bool, bool], bytes | None]
    is_direct: Callable[[RawRequestMessage], bool]
    take: Callable[[Head, str, bytes, Callable[[Answer], None]], None]


class Held(Protocol):
    """A connection that a gate holds.

    Units: since when it waits for the rest of a head, and for its answers to be read, by the clock
    of the loop; 0 while it does not."""

    head_since: float
    stuck_since: float

    @property
    def rests_since(self) -> float:
        """Since when nothing was asked; 0 while something is answered."""

    def leave_if_idle(self, before: float) -> None:
        """Close the connection when nothing came since then."""


class Gate:
    """What the connections of a listener have in common."""

    def __init__(self, bounds: Bounds, words: Words, pressure: Pressure, metrics: Metrics) -> None:
        self.bounds = bounds
        self.words = words
        self.pressure = pressure
        self.heads = Heads()
        self.sockets: dict[Held, asyncio.Transport] = {}
        self._closed = metrics.connections_closed
        metrics.connections.set_function(lambda: len(self.sockets))
        metrics.in_flight_requests.set_function(lambda: pressure.requests)
        self._resting: deque[asyncio.Transport] = deque()
        self._shed = self._shed_before = self._opened = 0
        self._shed_s = 0.0
        self._fitting = _LEAST_READ_AGAIN
        self._late = Late(bounds.unread_ms)
        self._busy = Busy()
        self._ticks = 0
        self._loop = asyncio.get_running_loop()
        self._ticking = self._loop.call_later(MOMENT_S, self._tick)

    def opens(self) -> bool:
        """Count a connection that comes; say whether anything is made of it."""
        self._opened += 1
        return not self._resting or self._opened <= _OPENED_A_MOMENT

    def holds(self, connection: Held, socket: asyncio.Transport) -> bool:
        """Take a socket, or close it when there are enough."""
        if len(self.sockets) >= self.bounds.connections:
            self.count_closed("too_many")
            socket.abort()
            return False
        self.sockets[connection] = socket
        return True

    def last_request(self) -> int:
        """Give with which request a connection ends; not all at once that were opened at once."""
        most = self.bounds.requests
        return random.randint(most * 3 // 4, most)  # noqa: S311

    @property
    def sheds(self) -> bool:
        """Whether requests were turned away in this moment or the last."""
        return self._shed > 0 or self._shed_before > 0

    def turns_away(self, asked: Asked, socket: asyncio.Transport, *, last: bool) -> bool:
        """Turn a request away, if it is to be; then read no more from its connection for a moment,
        or some, once turning away took enough of this one."""
        tight = self.pressure.tight
        if not tight and not self.sheds:  # as nearly always
            return False
        began_at = time.perf_counter()
        looks = self._late.looks(turned_away=tight)
        late = looks and self._late.is_late(unread_ms(socket))
        answer = self.words.turned_away(asked.head, late, last)
        if answer is None:
            return False
        socket.write(answer)
        if last:
            socket.close()
            return True
        self._shed += 1
        self._shed_s += time.perf_counter() - began_at
        if self._shed_s > _SHED_S:
            socket.pause_reading()
            self._resting.append(socket)
        return True

    def count_closed(self, why: str) -> None:
        """Count a connection that is closed against its sender's wish."""
        self._closed.labels(why).inc()

    def _tick(self) -> None:
        self.pressure.moment(*self._busy.since())
        self._late.moment()
        if self._shed:
            self._fitting = max(
                _LEAST_READ_AGAIN, int(self._shed * _SHED_S / max(self._shed_s, 1e-9))
            )
        self._shed_before, self._shed, self._shed_s, self._opened = self._shed, 0, 0.0, 0
        for _ in range(min(self._fitting, len(self._resting))):
            socket = self._resting.popleft()
            if not socket.is_closing():
                socket.resume_reading()
        self._ticking = self._loop.call_later(MOMENT_S, self._tick)
        self._ticks += 1
        if self._ticks % _SWEEP_TICKS == 0:
            self._sweep(self._loop.time())

    def _sweep(self, now: float) -> None:
        before = now - self.bounds.head_timeout_s
        too_many = len(self.sockets) - int(_CROWD * self.bounds.connections)
        for connection, socket in self.sockets.items():
            if 0 < connection.head_since < before:
                self.count_closed("slow_head")
                socket.abort()
            elif too_many > 0 and 0 < connection.rests_since < now - _REST_S:
                self.count_closed("crowd")
                socket.close()
                too_many -= 1
            elif not socket.get_write_buffer_size():
                connection.stuck_since = 0.0
                connection.leave_if_idle(now - self.bounds.idle_timeout_s)
            elif not connection.stuck_since:
                connection.stuck_since = now
            elif connection.stuck_since < before:
                self.count_closed("slow_reader")
                socket.abort()

    def close(self) -> None:
        """Look after nothing any more."""
        self._ticking.cancel()
        self._busy.close()
