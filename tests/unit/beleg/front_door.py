"""A collector's front door on loopback: answers per contract, and misbehaves when told to."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
from aiohttp import web

Judge = Callable[[dict[str, Any]], tuple[str, str | None]]
"""Status and code of an event."""

Misbehave = Callable[[int], Awaitable[web.Response | None]]
"""Asked with the number of the request, from 0; None lets it be answered as usual."""

HANG_UP = web.Response(status=599)
"""The request is taken, and the connection dies before the answer."""


class Request(NamedTuple):
    """What arrived."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    raw: bytes
    events: list[dict[str, Any]]


class FrontDoor(NamedTuple):
    url: str
    requests: list[Request]


def welcome(event: dict[str, Any]) -> tuple[str, str | None]:
    return "accepted", None


async def behave(number: int) -> web.Response | None:
    return None


@asynccontextmanager
async def front_door(
    judge: Judge = welcome, misbehave: Misbehave = behave
) -> AsyncIterator[FrontDoor]:
    requests: list[Request] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        raw = await request.read()  # aiohttp has undone gzip already
        document = orjson.loads(raw)
        events = document.get("events", [document])
        number = len(requests)
        requests.append(Request(dict(request.headers), dict(request.query), raw, events))
        instead = await misbehave(number)
        if instead is HANG_UP:
            assert request.transport is not None
            request.transport.close()
        if instead is not None:
            return instead
        fates = [judge(event) for event in events]
        results = [
            {"event_id": event.get("event_id"), "status": status, "code": code, "detail": code}
            for event, (status, code) in zip(events, fates, strict=True)
        ]
        accepted = sum(status == "accepted" for status, _ in fates)
        body = orjson.dumps({"accepted": accepted, "results": results})
        return web.Response(status=202, body=body, content_type="application/json")

    app = web.Application(client_max_size=4 << 20)
    app.router.add_post("/v1/events", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield FrontDoor(f"http://127.0.0.1:{port}", requests)
    finally:
        await runner.cleanup()
