"""One connection of the public listener, between aiohttp's parser and what answers."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from aiohttp import HttpVersion, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import StreamReader

from collector.answer import Answer
from collector.door.boundary import Boundary
from collector.door.direct import Direct
from collector.door.gate import Gate
from collector.door.heads import Asked, asked_by

_MOST_HEADERS = 100
_HEAD_TOO_LARGE = 431
_LINGER_S = 1.0
_NOTHING_MORE: tuple[Sequence[Any], bool, bytes] = ((), False, b"")


class Connection(Direct):
    """A connection within its bounds. Shape: `answered` requests have come on it before."""

    __slots__ = (
        "_aside",
        "_gate",
        "_last_request",
        "entered",
        "head_bytes",
        "head_since",
        "peer",
        "stuck_since",
    )

    def __init__(
        self, server: web.Server, gate: Gate, loop: asyncio.AbstractEventLoop, answered: int = 0
    ) -> None:
        bounds = gate.bounds
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
        self._gate = gate
        self._parser = _Entrance(self, self._parser, gate)  # type: ignore[assignment]
        self._request_count = answered
        self._last_request = gate.last_request()
        self.entered = 0
        self._aside = 0
        self.head_bytes = 0
        self.head_since = 0.0
        self.peer = ""
        self.stuck_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a socket, unless there are enough."""
        socket = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        if not self._gate.holds(self, socket):
            self._force_close = True
            return
        self.head_since = self._loop.time()
        super().connection_made(transport)
        peername = self.peername
        self.peer = str(peername[0] if isinstance(peername, tuple) else peername or "")

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let a socket go."""
        self._gate.sockets.pop(self, None)
        super().connection_lost(exc)

    def leave_if_idle(self, before: float) -> None:
        """Do nothing: aiohttp sees to it."""

    @property
    def rests_since(self) -> float:
        """Since when nothing was asked, or a head comes; 0 while something is answered."""
        if self.head_since or not self.idle:
            return self.head_since
        return self._next_keepalive_close_time - self._keepalive_timeout

    @property
    def is_between(self) -> bool:
        """Whether all was answered, and the task is about to wait for more."""
        return not self.entered and self.is_about_to_wait

    def ends(self, more: int) -> bool:
        """Say whether the connection has its fill of requests, with so many more."""
        return self._request_count + more >= self._last_request

    def enter(self, requests: int) -> None:
        """Count requests that will be answered by the application, from now on."""
        self.entered += requests
        if not self.writing_paused:
            self._gate.pressure.requests += requests

    def leave(self, requests: int) -> None:
        """Take off what was answered, or never will be."""
        self.entered -= requests
        if not self.writing_paused:
            self._gate.pressure.requests -= requests

    def set_aside(self) -> None:
        """Take nobody's turn while the body of a request arrives."""
        self._aside = 1
        if not self.writing_paused:
            self._gate.pressure.requests -= 1

    def take_again(self) -> None:
        """Take one again, now that it is there."""
        self._aside = 0
        if not self.writing_paused:
            self._gate.pressure.requests += 1

    def pause_writing(self) -> None:
        """Take nobody's turn while there are answers that nobody reads: what came behind them waits
        for their reader, and for nothing of ours."""
        super().pause_writing()
        self._gate.pressure.requests -= self.entered - self._aside

    def resume_writing(self) -> None:
        """Take them again, as they are read."""
        super().resume_writing()
        self._gate.pressure.requests += self.entered - self._aside

    def wait_for_head(self, size: int) -> None:
        """Note bytes of a head that is not whole."""
        if not self.head_since:
            self.head_since = self._loop.time()
        self.head_bytes += size
        if self.head_bytes > self._gate.bounds.head_bytes:
            raise HttpProcessingError(code=_HEAD_TOO_LARGE, message="")

    def answers(self, asked: Asked, sent: bytes | StreamReader) -> bool:
        """Turn a request away, or have it answered directly, unless something of the connection is
        odd: it is not idle, or there are answers that nobody reads."""
        if not self.idle or self.writing_paused or self.transport is None:
            return False
        self.head_since = 0
        if not self._turns_away(asked, self.transport):
            self.enter(1)
            self.begin()
            tell = partial(self.answer, asked.version, asked.closes)
            body = sent if isinstance(sent, bytes) else sent.read_nowait()
            self._gate.words.take(asked.head, self.peer, body, tell)
        return True

    def _turns_away(self, asked: Asked, transport: asyncio.Transport) -> bool:
        last = asked.closes or self.ends(1)
        if not self._gate.turns_away(asked, transport, last=last):
            return False
        self._request_count += 1
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True

    def answer(self, version: HttpVersion, closes: bool, answer: Answer) -> None:
        """Give the answer to a request that was taken."""
        if self.is_over:
            return
        self.leave(1)
        last = answer.closes or closes or self.ends(0) or self.is_closing
        self.end(answer.written(version, last=last), last=last)

    async def start(self) -> None:
        """Answer what is not answered directly, until the connection ends."""
        try:
            await super().start()
        finally:
            self.leave(self.entered)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write an answer; with the last one the connection ends."""
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
        """Answer what cannot be read, in our words."""
        if isinstance(exc, HttpProcessingError):
            too_large = isinstance(exc, LineTooLong) or exc.code == _HEAD_TOO_LARGE
            response = self._gate.words.unreadable("head_too_large" if too_large else "bad_request")
            response.force_close()
            return response
        return super().handle_error(request, status, exc, message)


class _Entrance:
    """aiohttp's parser of a connection, and a look at what comes out of it."""

    __slots__ = (
        "_boundary",
        "_connection",
        "_gate",
        "_heads",
        "_kept",
        "_parser",
        "message_consumed",
    )

    def __init__(self, connection: Connection, parser: Any, gate: Gate) -> None:
        self._connection = connection
        self._parser = parser
        self._gate = gate
        self._heads = gate.heads
        self._kept: tuple[Asked, RawRequestMessage, StreamReader] | None = None
        self._boundary = Boundary()
        self.message_consumed = parser.message_consumed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> tuple[Sequence[Any], bool, bytes]:
        connection = self._connection
        if self._kept is not None:  # more came behind it
            self._take_kept()
        begins = self._boundary.is_here
        known = self._heads.find(data) if begins and connection.idle else None
        if known is not None and connection.answers(*known):
            return _NOTHING_MORE
        fresh = begins and (connection.idle or connection.is_between)
        found = self._parsed(data)
        if len(found[0]) == 1 and not found[1] and self._is_direct(*found[0][0]):
            message, payload = found[0][0]
            asked = asked_by(message)
            if fresh:
                self._heads.keep(data, asked)
            if self._is_taken(asked, message, payload):
                return _NOTHING_MORE
        connection.enter(len(found[0]))
        return found

    def _parsed(self, data: bytes) -> tuple[Sequence[Any], bool, bytes]:
        connection = self._connection
        try:
            found: tuple[Sequence[Any], bool, bytes] = self._parser.feed_data(data)
            self._boundary.follow(data, found[0], upgraded=found[1])
            if found[0]:
                connection.head_since = connection.head_bytes = 0
            elif data and connection.idle:
                connection.wait_for_head(len(data))
        except HttpProcessingError:
            self._boundary.lose()
            connection.enter(1)  # to be answered that it cannot be read
            raise
        return found

    def _is_direct(self, message: RawRequestMessage, payload: StreamReader) -> bool:
        return payload.is_eof() and self._gate.words.is_direct(message)

    def _is_taken(self, asked: Asked, message: RawRequestMessage, payload: StreamReader) -> bool:
        connection = self._connection
        if connection.answers(asked, payload):
            self.message_consumed()
            return True
        if not connection.is_between:
            return False
        self._kept = asked, message, payload
        connection.soon(self._take_kept)
        return True

    def _take_kept(self) -> None:
        """Take a request that came before the task of the connection waited again."""
        kept, self._kept = self._kept, None
        connection = self._connection
        if kept is None or connection.is_closing:
            return
        asked, message, payload = kept
        if connection.answers(asked, payload):
            self.message_consumed()
        else:
            connection.enter(1)
            connection.put_off(message, payload)
