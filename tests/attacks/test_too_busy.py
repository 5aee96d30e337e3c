"""When not even turning away keeps up: who is not read opens connections, and those are bounded."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from collector.door.gate import Bounds, Gate, Words
from collector.door.server import Server
from collector.head import Head
from collector.pressure import Bounds as Most
from collector.pressure import Pressure
from spine.metrics import Metrics
from tests.attacks.wire import Wire, connect, request

_ANSWER = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"


async def nothing(_: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError("everything is turned away")


def slowly(_head: Head, _late: bool, _last: bool) -> bytes:
    time.sleep(0.001)
    return _ANSWER


@asynccontextmanager
async def swamped() -> AsyncIterator[tuple[int, Metrics]]:
    """A listener at whose place every request is turned away, within a millisecond."""
    metrics, pressure = Metrics("0"), Pressure(Most(1_000, 4, 1.0))
    pressure.requests = 5  # they wait for the log, for good
    words = Words(lambda _: web.Response(), slowly, lambda _: True, lambda *_: None)
    bounds = Bounds(1_000, 1_000, 8_192, 10.0, 10.0, 25)
    server = Server(web.Server(nothing), Gate(bounds, words, pressure, metrics))
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, backlog=1_000)
    try:
        yield listener.sockets[0].getsockname()[1], metrics
    finally:
        listener.close()
        await server.shutdown(0.1)


async def until_over(wire: Wire, seconds: float) -> int:
    """Ask again and again; give how many answers there were."""
    answers, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        await wire.send(request())
        assert (await wire.reply()).status == 503
        answers += 1
    return answers


def closed(metrics: Metrics) -> int:
    found = metrics.registry.get_sample_value(
        "beleg_connections_closed_total", {"reason": "too_busy"}
    )
    return round(found or 0)


async def test_connections_that_are_open_are_served_and_few_more_are_opened() -> None:
    async with swamped() as (port, metrics):
        crowd = [await connect(port) for _ in range(400)]
        for wire in crowd:  # until they are really open
            await wire.send(request())
            assert (await wire.reply()).status == 503
        asking = [asyncio.create_task(until_over(wire, 4.0)) for wire in crowd]
        await asyncio.sleep(0.2)
        more = await asyncio.gather(*[connect(port) for _ in range(500)])
        assert min(await asyncio.gather(*asking)) > 1  # each comes to its turn
        assert 20 < closed(metrics) < 500
        for wire in (*crowd, *more):
            wire.close()


async def test_as_many_as_may_be_are_opened_while_turning_away_keeps_up() -> None:
    async with swamped() as (port, metrics):
        wires = [await connect(port) for _ in range(200)]
        await asyncio.sleep(0.1)
        assert closed(metrics) == 0
        for wire in wires:
            wire.close()


@pytest.mark.parametrize("times", [1, 30])
async def test_who_is_turned_away_has_an_answer_each_time(times: int) -> None:
    async with swamped() as (port, _):
        wire = await connect(port)
        for _ in range(times):
            await wire.send(request())
            assert (await wire.reply()).status == 503
        wire.close()
