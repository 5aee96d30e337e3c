"""Running an application for few: no crowd of connections takes the files that others need.

Who asks here are operators, analysts and their tools. Whoever can reach such a listener can open
connections, with a token or without; each is a file, and log and store need some too.
"""

import asyncio
from typing import cast

from aiohttp import web

_MOST_CONNECTIONS = 64
_IDLE_S = 75.0


class FewRunner(web.AppRunner):
    """Runs an application on at most 64 connections; one more is closed at once, and one on which
    nothing is asked for 75 seconds, too."""

    def __init__(self, app: web.Application, drain_s: float) -> None:
        super().__init__(app, access_log=None, shutdown_timeout=drain_s)

    async def _make_server(self) -> web.Server:
        return _Few(await super()._make_server())


class _Few(web.Server):
    def __init__(self, made: web.Server) -> None:
        super().__init__(
            made.request_handler,
            request_factory=made.request_factory,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=_IDLE_S,
        )

    def __call__(self) -> asyncio.BaseProtocol:  # type: ignore[override] # some are not aiohttp's
        return _Unwanted() if len(self.connections) >= _MOST_CONNECTIONS else super().__call__()


class _Unwanted(asyncio.Protocol):
    """A connection that is closed at once: nothing is made of it, and nothing is read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        cast("asyncio.Transport", transport).abort()
