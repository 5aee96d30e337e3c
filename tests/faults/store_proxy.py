"""Between processors and the store: a proxy with moods, each one way in which a store fails."""

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Literal

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from tests.clickhouse_server import Server

Mood = Literal[
    "clear",
    "refused",
    "memory",
    "gateway",
    "busy",
    "read_only",
    "disk_full",
    "reset",
    "cut",
    "slow",
]
FAILING: dict[Mood, str] = {
    "refused": "cannot be reached",
    "memory": "code: 241",
    "gateway": "HTTP status 502",
    "busy": "HTTP status 429",
    "read_only": "code: 242",
    "disk_full": "code: 243",
}
"""Moods in which no batch can end, and what /readyz must then tell of."""

_SLOW_S = 2.0
_WRITES_ONLY = ("read_only", "disk_full", "reset")
_ANSWERS: dict[Mood, tuple[int, str | None, str]] = {
    "memory": (500, "241", "Code: 241. DB::Exception: (total) memory limit exceeded."),
    "gateway": (502, None, "<html><h1>502 Bad Gateway</h1></html>"),
    "busy": (429, None, "Too many requests"),
    "read_only": (500, "242", "Code: 242. DB::Exception: Table is in readonly mode."),
    "disk_full": (
        500,
        "243",
        "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space",
    ),
}
_QUESTION = re.compile(rb"(?:\s|--[^\n]*\n)*(?:SELECT|WITH)\b", re.IGNORECASE)
_KEPT = ("Content-Type", "Content-Encoding")


@contextmanager
def proxied() -> Iterator["StoreProxy"]:
    """A proxy for a while."""
    proxy = StoreProxy()
    try:
        yield proxy
    finally:
        proxy.close()


class StoreProxy:
    """An HTTP proxy with a thread of its own; its mood may be changed at any time."""

    def __init__(self) -> None:
        self.mood: Mood = "clear"
        self._server: Server | None = None
        self._port = 0
        self._writes = 0
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def before(self, server: Server) -> Server:
        """Stand before this server; say where."""
        self._server = server
        self._do(self._listen)
        return Server("127.0.0.1", self._port)

    def be(self, mood: Mood) -> None:
        """Change the mood, for requests that come from now on."""
        before, self.mood = self.mood, mood
        if mood == "refused":
            self._do(self._unlisten)
        elif before == "refused":
            self._do(self._listen)

    def close(self) -> None:
        """End it, whatever is under way."""
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        done: Future[None] = asyncio.run_coroutine_threadsafe(work(), self._loop)
        done.result(30)

    async def _listen(self) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            app, auto_decompress=False, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]

    async def _unlisten(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _end(self) -> None:
        await self._unlisten()
        if self._session is not None:
            await self._session.close()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        mood = self.mood
        if mood in _WRITES_ONLY and not _writes(request, body):
            mood = "clear"
        if mood in _ANSWERS:
            status, code, text = _ANSWERS[mood]
            headers = {} if code is None else {"X-ClickHouse-Exception-Code": code}
            return web.Response(status=status, text=text, headers=headers)
        if mood == "slow":
            await asyncio.sleep(_SLOW_S)
        answer = await self._forward(request, body)
        if mood == "reset":
            self._writes += 1
            if self._writes % 2:  # what the client sends once more is answered
                _hang_up(request)
        if mood == "cut":
            answer = await self._half(request, answer)
        return answer

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        assert self._server is not None and self._session is not None
        url = f"http://{self._server.host}:{self._server.port}{request.raw_path}"
        async with self._session.request(
            request.method, url, data=body, headers=_passed_on(request.headers)
        ) as answer:
            headers = {
                name: value
                for name, value in answer.headers.items()
                if name in _KEPT or name.startswith("X-ClickHouse")
            }
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)

    async def _half(self, request: web.Request, answer: web.Response) -> web.Response:
        """Send half of the answer and hang up."""
        assert isinstance(answer.body, bytes)
        whole = web.StreamResponse(status=answer.status, headers=answer.headers)
        whole.content_length = len(answer.body)
        await whole.prepare(request)
        await whole.write(answer.body[: len(answer.body) // 2])
        _hang_up(request)
        return answer


def _passed_on(headers: Any) -> CIMultiDict[str]:
    kept = CIMultiDict(headers)
    for name in ("Host", "Content-Length", "Transfer-Encoding", "Connection"):
        kept.popall(name, None)
    return kept


def _writes(request: web.Request, body: bytes) -> bool:
    """Say whether a statement is no question; rows come packed, and nobody can read theirs."""
    statement = request.query.get("query", "").encode() or body
    return _QUESTION.match(statement) is None


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
