"""The server of a public listener: makes a connection of every socket, or less.

A whole request as nearly all are is answered directly (`collector.door.direct`); one whose head
came before, byte for byte, is not parsed again (`collector.door.heads`). Of connections that come
while requests are turned away little is made at first (`collector.door.doorstep`), and nothing
where few may be opened.
"""

import asyncio
from typing import cast

from aiohttp import web

from collector.door.connection import Connection
from collector.door.doorstep import Doorstep
from collector.door.gate import Gate


class Unwanted(asyncio.Protocol):
    """A connection that is closed at once: nothing is made of it, and nothing is read."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        self._gate.count_closed("too_busy")
        cast("asyncio.Transport", transport).abort()


class Server(web.Server):
    """Makes connections that pass a gate."""

    def __init__(self, made: web.Server, gate: Gate) -> None:
        super().__init__(made.request_handler, request_factory=made.request_factory)
        self.gate = gate

    def __call__(self) -> asyncio.BaseProtocol:  # type: ignore[override] # some are not aiohttp's
        """Make a connection, or as little of one as may be while requests are turned away."""
        gate = self.gate
        if not gate.opens():
            return Unwanted(gate)
        return (
            Doorstep(self, gate, self._loop) if gate.sheds else Connection(self, gate, self._loop)
        )

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as aiohttp has it
        """Close every connection; those that are being answered after their answer."""
        self.gate.close()
        for connection, socket in self.gate.sockets.items():
            if isinstance(connection, Doorstep):  # aiohttp does not know it
                socket.close()
        await super().shutdown(timeout)
