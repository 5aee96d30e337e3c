"""What lay unread for long while others are turned away is not let in: its answer would be late."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
import uvloop
from aiohttp import web

from collector.answer import Answer
from collector.door.gate import Bounds, Gate, Words
from collector.door.server import Server
from collector.early import Early
from collector.head import Head
from collector.pressure import Bounds as Most
from collector.pressure import Pressure
from collector.source import Sources
from spine.metrics import Metrics
from tests.attacks.test_overload import BEACON
from tests.attacks.wire import Wire, connect, request
from tests.flow.door import SITES

LIMIT_MS, LONG_S, SHORT_S = 500, 0.7, 0.005


class Front(NamedTuple):
    """A listener that takes everything but what it turns away."""

    port: int
    pressure: Pressure
    metrics: Metrics

    async def turns_one_away(self, wire: Wire) -> None:
        self.pressure.requests = 5
        await wire.send(request())
        assert (await wire.reply()).status == 503
        self.pressure.requests = 0

    def shed(self, why: str) -> float:
        labels = {"reason": why, "kind": "retrying"}
        return self.metrics.registry.get_sample_value("beleg_shed_total", labels) or 0.0


def taken(_: Head, _peer: str, _body: bytes, tell: Callable[[Answer], None]) -> None:
    tell(Answer(202, b"{}"))


async def nothing(_: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError("everything is answered directly")


@asynccontextmanager
async def front_door() -> AsyncIterator[Front]:
    metrics, pressure = Metrics("0"), Pressure(Most(1_000, 4, 1.0))
    early = Early(Sources(SITES), pressure, metrics)
    words = Words(early.unreadable, early.turned_away, lambda _: True, taken)
    bounds = Bounds(1_000, 1_000, 8_192, 10.0, 10.0, LIMIT_MS)
    server = Server(web.Server(nothing), Gate(bounds, words, pressure, metrics))
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        yield Front(listener.sockets[0].getsockname()[1], pressure, metrics)
    finally:
        listener.close()
        await server.shutdown(0.1)


async def answered(sent: bytes, *, others_are: bool, after_s: float) -> tuple[int, float]:
    """Give the status of what lay unread for so long, and how many were turned away for it."""
    async with front_door() as front:
        other, wire = await connect(front.port), await connect(front.port)
        await wire.send(sent)
        assert (await wire.reply()).status == 202  # a known head, on a connection as all are
        if others_are:
            await front.turns_one_away(other)
        wire.write(sent)
        time.sleep(after_s)  # nothing is read meanwhile
        status = (await wire.reply()).status
        wire.close()
        other.close()
        return status, front.shed("late")


CASES = {
    "late": (request(), True, LONG_S, (503, 1)),
    "in time": (request(), True, SHORT_S, (202, 0)),
    "nobody is turned away": (request(), False, LONG_S, (202, 0)),
    "beacon": (BEACON, True, LONG_S, (202, 0)),
}


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_late_is_who_lay_unread_while_others_were_turned_away_and_sends_again(
    case: tuple[bytes, bool, float, tuple[int, float]],
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    sent, others_are, after_s, expected = case
    with asyncio.Runner(loop_factory=loop) as runner:
        found = runner.run(answered(sent, others_are=others_are, after_s=after_s))
    assert found == expected
