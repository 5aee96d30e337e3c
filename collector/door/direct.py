"""Answering a request that came whole without the task, request and response of aiohttp's.

A connection of aiohttp's has one task, which waits for requests, answers one after the other, and
minds what else a connection needs. A request that is answered here takes the task's turn:

1. Begun is one only while nothing else of its connection is to be answered (`idle`). From then on
   what would wake the task is kept from it, so that what comes meanwhile queues up behind, as it
   does behind a request of aiohttp's own, and reading pauses when that is much.
2. Ended it is once. Then the task is woken when something has queued up, and ended when the
   connection is.
3. A request that comes while the task is on its way back to waiting is kept for that step: a
   connection whose sender is quick would else never come back from the task to here.
4. Whoever closes the server waits for it as for a request of aiohttp's own.

The private fields of aiohttp that this touches are in here; `tests/attacks/` fails when a new
version moves them.
"""

import asyncio
from collections.abc import Callable

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader


class Direct(web.RequestHandler):
    """A connection that can answer some of its requests directly."""

    __slots__ = ("_kept",)

    _kept: "asyncio.Future[None] | None"

    @property
    def idle(self) -> bool:
        """Whether every request that came was answered."""
        waiter = self._waiter
        return waiter is not None and not waiter.done() and not self._messages

    @property
    def is_over(self) -> bool:
        """Whether the one that is being answered directly was given up, as its connection was."""
        return self._kept is None or self._kept.done()

    @property
    def is_closing(self) -> bool:
        """Whether nothing more is answered, but what is under way."""
        transport = self.transport
        over = self._close or self._force_close
        return over or transport is None or transport.is_closing()

    @property
    def is_about_to_wait(self) -> bool:
        """Whether the task does not wait for requests, though there are none."""
        return self._waiter is None and not self._messages

    def soon(self, step: Callable[[], None]) -> None:
        """Have something done behind what the loop has to do already, as the task's next step."""
        self._loop.call_soon(step)

    def put_off(self, message: RawRequestMessage, payload: StreamReader) -> None:
        """Hand a request to the task, as if it had come just now."""
        self._request_count += 1
        self._messages.append((message, payload))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def begin(self) -> None:
        """Take the turn for one request of an idle connection."""
        self._kept, self._waiter = self._waiter, None
        self._request_count += 1
        self._request_in_progress = True

    def end(self, answer: bytes, *, last: bool) -> None:
        """Answer, and give the turn back; close the connection behind its last answer."""
        waiter, self._kept = self._kept, None
        self._waiter = waiter
        self._request_in_progress = False
        if self._handler_waiter is not None:  # the server is being closed
            self._handler_waiter.set_result(None)
        transport = self.transport
        if transport is not None:
            transport.write(answer)
        if waiter is None or waiter.done():
            return
        if transport is None:
            waiter.cancel()
        elif last:
            waiter.cancel()
            transport.close()
        elif self._messages:
            waiter.set_result(None)
        else:
            self._stay_until(self._loop.time() + self._keepalive_timeout)

    def _stay_until(self, close_at: float) -> None:
        self._next_keepalive_close_time = close_at
        if self._keepalive_handle is None:  # it ran out meanwhile
            self._keepalive_handle = self._loop.call_at(close_at, self._process_keepalive)
