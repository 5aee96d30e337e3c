"""Answers too large for one piece: written while they are held, and how much is held is known."""

import asyncio
from collections.abc import Mapping

from aiohttp import web

_PIECE_BYTES = 262_144


class Giving:
    """Writes answers; of those that nobody has taken yet so many bytes are held at most, and one.

    Units: who takes nothing of an answer for `unread_s` is closed."""

    def __init__(self, most_bytes: int, unread_s: float) -> None:
        self._most_bytes = most_bytes
        self._unread_s = unread_s
        self._held_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be asked before something is taken."""
        return self._held_bytes >= self._most_bytes

    async def give(
        self, body: bytes, headers: Mapping[str, str], request: web.Request
    ) -> web.StreamResponse:
        """Answer a request; return when the last piece is taken, or nobody takes one."""
        if len(body) <= _PIECE_BYTES or request.method == "HEAD":
            return web.Response(body=body, headers=headers)
        response = web.StreamResponse(headers=headers)
        response.content_length = len(body)
        self._held_bytes += len(body)
        try:
            await response.prepare(request)
            for at in range(0, len(body), _PIECE_BYTES):
                async with asyncio.timeout(self._unread_s):
                    await response.write(body[at : at + _PIECE_BYTES])
        except (TimeoutError, ConnectionError):  # nobody takes it, or who asked has gone
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._held_bytes -= len(body)
        return response
