"""Connections that come while requests are turned away, of which as little as may be is made.

aiohttp's connection, with its parser and its task, costs as much as several requests that are
turned away, and in an overload most connections have nothing but such requests. So one that comes
then stands on the doorstep: what comes on it is looked up among the heads that came before, and
turned away if it is to be. With the first request that is let in, is not known or not whole, it
becomes a connection as all others are, as if it had been opened just then.
"""

import asyncio
from typing import cast

from aiohttp import web

from collector.door.connection import Connection
from collector.door.gate import Gate
from collector.door.heads import Asked


class Doorstep(asyncio.Protocol):
    """A connection on which nothing has come but whole requests that were turned away."""

    __slots__ = (
        "_answered",
        "_gate",
        "_last_request",
        "_loop",
        "_server",
        "_socket",
        "head_since",
        "idle_since",
        "stuck_since",
    )

    def __init__(self, server: web.Server, gate: Gate, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._gate = gate
        self._loop = loop
        self._answered = 0
        self._last_request = gate.last_request()
        self.head_since = self.idle_since = self.stuck_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a socket, unless there are enough."""
        self._socket = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        if self._gate.holds(self, self._socket):
            self.head_since = self._loop.time()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let the socket go."""
        self._gate.sockets.pop(self, None)

    def data_received(self, data: bytes) -> None:
        """Turn a request away, or make a connection for it."""
        if self._socket.is_closing():
            return
        known = self._gate.heads.find(data)
        if known is None or not self._turns_away(known[0]):
            self._enter(data)

    @property
    def rests_since(self) -> float:
        """Since when nothing has come."""
        return self.head_since or self.idle_since

    def leave_if_idle(self, before: float) -> None:
        """Close the connection when nothing came since then."""
        if 0 < self.idle_since < before:
            self._socket.close()

    def _turns_away(self, asked: Asked) -> bool:
        last = asked.closes or self._answered + 1 >= self._last_request
        if not self._gate.turns_away(asked, self._socket, last=last):
            return False
        self._answered += 1
        self.head_since, self.idle_since = 0.0, self._loop.time()
        return True

    def _enter(self, data: bytes) -> None:
        socket = self._socket
        connection = Connection(self._server, self._gate, self._loop, self._answered)
        self._gate.sockets.pop(self, None)
        socket.set_protocol(connection)
        connection.connection_made(socket)
        connection.data_received(data)
