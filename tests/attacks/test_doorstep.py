"""Connections that come while requests are turned away: less is made of them, nobody can tell."""

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import uvloop

from tests.attacks.test_overload import BEACON, held, is_turned_away
from tests.attacks.wire import BODY, Reply, Wire, connect, head, reply_to, request
from tests.flow.door import ORIGIN, Door, door

FEW = 16
FROM_A_PAGE = request(BODY, b"Origin: " + ORIGIN.encode())
REQUESTS = {
    "known": request(),
    "never seen": request(BODY, b"X-New: 1"),
    "beacon": BEACON,
    "two at once": request() + request(),
    "the last one": request(BODY, b"Connection: close"),
    "no key": request().replace(b"Bearer", b"Basic"),
    "no JSON": request(b"{"),
    "another path": head(start=b"GET /nothing HTTP/1.1"),
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9 + b"\r\n\r\n",
}


class Busy(NamedTuple):
    """A collector that turns away who comes again. Shape: `asking` is such a one."""

    front: Door
    filled: list[Wire]
    asking: Wire

    async def doorstep(self) -> Wire:
        """Connect just when a request is turned away. A connection of aiohttp's has a task."""
        for _ in range(20):
            await self.asking.send(request())
            assert is_turned_away(await self.asking.reply())
            before = len(asyncio.all_tasks())
            wire = await connect(self.front.port)
            await asyncio.sleep(0.02)
            if len(asyncio.all_tasks()) == before:
                return wire
            wire.close()
        raise AssertionError("no connection stays on the doorstep")

    async def one_turned_away(self) -> Wire:
        """Give a connection whose first request was turned away on the doorstep, all being over."""
        wire = await self.doorstep()
        await wire.send(request())
        assert is_turned_away(await wire.reply())
        await self.ends()
        return wire

    async def ends(self) -> None:
        """Let all be answered, and the moment be over."""
        self.front.log.gate.set()
        for wire in self.filled:
            assert (await wire.reply()).status == 202
            wire.close()
        self.asking.close()
        await asyncio.sleep(0.1)


async def busy(front: Door) -> Busy:
    """Have a head known, and fill a collector."""
    asking = await connect(front.port)
    await asking.send(request())
    assert (await asking.reply()).status == 202
    return Busy(front, await held(front, FEW * 3 // 4 + 1), asking)


async def told(wire: Wire, sent: bytes, cut: int) -> tuple[list[Reply], bool]:
    """Send requests in two pieces; give the answers, and whether the connection stays."""
    await wire.send_in_two(sent, cut)
    answers = [await wire.reply() for _ in range(max(1, sent.count(b"POST")))]
    for answer in answers:
        answer.headers.pop("date", None)
        if isinstance(answer.body, dict):
            answer.body.pop("results", None)  # they have ids that were made up
    return answers, await wire.stays()


@pytest.mark.parametrize("cut", [1, 1_000_000], ids=["in pieces", "whole"])
@pytest.mark.parametrize("sent", REQUESTS.values(), ids=REQUESTS)
async def test_who_stood_on_the_doorstep_is_answered_as_everybody(
    tmp_path: Path, sent: bytes, cut: int
) -> None:
    async with door(tmp_path, max_in_flight_requests=FEW) as front:
        wire = await (await busy(front)).one_turned_away()
        assert await told(wire, sent, cut) == await told(await connect(front.port), sent, cut)
        assert front.counted("in_flight_requests") == 0


async def test_on_the_doorstep_the_answers_are_those_of_an_overload(tmp_path: Path) -> None:
    async with door(tmp_path, max_in_flight_requests=FEW) as front:
        assert (await reply_to(front.port, FROM_A_PAGE)).status == 202
        overload = await busy(front)
        wire = await overload.doorstep()
        tasks = len(asyncio.all_tasks())
        for sent in (request(), FROM_A_PAGE, request()):
            await wire.send(sent)
            assert is_turned_away(await wire.reply())
        assert len(asyncio.all_tasks()) == tasks
        await wire.send(BEACON)  # is let in, and has a connection then
        while front.counted("in_flight_requests") < FEW * 3 // 4 + 2:
            await asyncio.sleep(0.001)
        front.log.gate.set()
        assert (await wire.reply()).status == 202
        wire.close()
        await overload.ends()


@pytest.mark.parametrize("turned_away", [3, 8])
async def test_the_last_of_many_requests_says_so_those_on_the_doorstep_count(
    tmp_path: Path, turned_away: int
) -> None:
    async with door(tmp_path, max_in_flight_requests=FEW, max_requests_per_connection=8) as front:
        overload = await busy(front)
        wire = await overload.doorstep()
        answers: list[Reply] = []
        while not answers or answers[-1].headers.get("connection") != "close":
            if len(answers) == turned_away:
                await overload.ends()
            await wire.send(request())
            answers.append(await wire.reply())
        assert 6 <= len(answers) <= 8
        assert {answer.status for answer in answers[:turned_away]} == {503}
        assert {answer.status for answer in answers[turned_away:]} <= {202}
        assert await wire.ended() == b""
        if len(answers) <= turned_away:
            await overload.ends()


async def test_a_doorstep_is_one_of_the_connections_and_not_kept_for_ever(tmp_path: Path) -> None:
    async with door(
        tmp_path, max_in_flight_requests=FEW, header_timeout_s=1, idle_timeout_s=3
    ) as front:
        overload = await busy(front)
        silent, served = await overload.doorstep(), await overload.doorstep()
        await served.send(request())
        assert is_turned_away(await served.reply())
        assert await silent.ended() == b""
        assert front.counted("connections_closed_total", reason="slow_head") == 1
        await served.send(request())
        assert is_turned_away(await served.reply())
        async with asyncio.timeout(10):
            assert await served.ended() == b""
        assert front.counted("connections_closed_total", reason="slow_head") == 1
        await overload.ends()


async def test_a_doorstep_ends_with_the_listener(tmp_path: Path) -> None:
    async with door(tmp_path, max_in_flight_requests=FEW) as front:
        overload = await busy(front)
        wire = await overload.doorstep()
        await overload.ends()
        began_at = time.monotonic()
        await front.close()
        assert await wire.ended() == b""
        assert time.monotonic() - began_at < 5


def test_on_the_fast_loop_it_is_the_same(tmp_path: Path) -> None:
    async def entered() -> tuple[list[Reply], bool]:
        async with door(tmp_path, max_in_flight_requests=FEW) as front:
            wire = await (await busy(front)).one_turned_away()
            return await told(wire, request() + request(), 1_000_000)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answers, stays = runner.run(entered())
    assert [answer.status for answer in answers] == [202, 202]
    assert stays
