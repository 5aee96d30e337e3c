"""A request that came whole is answered directly; one that did not by aiohttp: nobody can tell."""

import asyncio
from pathlib import Path

import pytest

from collector.door.connection import Connection
from spine.errors import Unavailable
from tests.attacks.wire import BODY, KEY, Reply, Wire, connect, head, request
from tests.flow.door import BROWSER, ORIGIN, SERVER, Door, door

ONE = BODY.replace(b"{", b'{"event_id":"e-1",', 1)
BATCH = b'{"events":[%b,{"name":7}]}' % ONE
REQUESTS = {
    "event": request(ONE),
    "batch": request(BATCH),
    "from a page": request(ONE, b"Origin: " + ORIGIN.encode()),
    "from a foreign page": request(ONE, b"Origin: https://evil.example"),
    "beacon": request(ONE, b"Content-Type: text/plain").replace(KEY, b"").replace(
        b"/v1/events", b"/v1/events?key=" + BROWSER.encode(), 1),
    "no key": request(ONE).replace(KEY, b""),
    "a secret in the address": request(ONE).replace(KEY, b"").replace(
        b"/v1/events", b"/v1/events?key=" + SERVER.encode(), 1),
    "no JSON": request(b"{"),
    "no body": request(b""),
    "too large": request(b" " * 70_000),
    "of a type": request(ONE, b"Content-Type: text/html"),
    "of a type with words": request(ONE, b"Content-Type: Text/Plain; charset=utf-8"),
    "in an encoding": request(ONE, b"Content-Encoding: snappy"),
    "not in its encoding": request(ONE, b"Content-Encoding: gzip"),
    "no consent": request(b'{"name":"page_view"}'),
    "the last one": request(ONE, b"Connection: close"),
    "asks to send": request(ONE, b"Expect: 100-continue"),
    "old": request(ONE).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "old, stays": request(ONE, b"Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "wants another protocol": request(ONE, b"Upgrade: h2c", b"Connection: upgrade"),
}  # fmt: skip


def tasks() -> int:
    return len(asyncio.all_tasks())


async def told(front: Door, sent: bytes, cut: int) -> tuple[Reply, bool]:
    """Send a request in two pieces; give the answer, and whether the connection stays."""
    wire = await connect(front.port)
    await wire.send_in_two(sent, cut)
    answer = await wire.reply()
    while answer.status == 100:
        answer = await wire.reply()
    del answer.headers["date"]
    return answer, await wire.stays()


@pytest.mark.parametrize("sent", REQUESTS.values(), ids=REQUESTS)
async def test_both_ways_answer_alike(tmp_path: Path, sent: bytes) -> None:
    async with door(tmp_path, max_body_bytes=65_536) as front:
        whole, cut = await told(front, sent, len(sent)), await told(front, sent, len(sent) - 1)
        assert whole == cut
        assert front.counted("in_flight_requests") == 0
        records = [record for record in await front.events() if record.event_id == "e-1"]
        assert records[::2] == records[1::2]


async def test_a_whole_request_needs_no_task_of_its_own(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        wires = await waiting(front, 1)
        with_one = tasks()
        wires += await waiting(front, 1)
        # Its connection has one, and the log of these tests.
        assert tasks() == with_one + 2
        front.log.gate.set()
        for wire in wires:
            assert (await wire.reply()).status == 202
            wire.close()


async def test_who_is_quicker_than_the_task_gets_back_to_direct_answers(tmp_path: Path) -> None:
    """A sender on another core has the answer, and has sent again, before the task that wrote it
    waits for more. Here the next request is read at that moment."""
    async with door(tmp_path) as front:
        before = tasks()
        wire = await connect(front.port)
        await asyncio.sleep(0.02)
        connection = one_connection()
        for _ in range(20):
            sent = request()
            await wire.send(sent[:-1])
            await asyncio.sleep(0.02)
            await wire.send(sent[-1:])
            while not connection.entered:
                await asyncio.sleep(0)
            while connection.entered:
                await asyncio.sleep(0)
            if connection.is_between:
                break
            assert (await wire.reply()).status == 202
        assert connection.is_between
        front.log.gate.clear()
        connection.data_received(request())
        await asyncio.sleep(0.02)
        assert connection.entered == 1
        assert tasks() == before + 2  # the connection's, the log's
        connection.data_received(request() + request())
        front.log.gate.set()
        assert [(await wire.reply()).status for _ in range(4)] == [202] * 4
        wire.close()


def one_connection() -> Connection:
    """The connection there is, found by its task."""
    frames = (task.get_coro().cr_frame for task in asyncio.all_tasks())  # type: ignore[union-attr]
    found = (frame.f_locals.get("self") for frame in frames if frame is not None)
    (connection,) = [each for each in found if isinstance(each, Connection)]
    return connection


async def waiting(front: Door, requests: int) -> list[Wire]:
    """Send whole requests whose events wait for the log."""
    front.log.gate.clear()
    wires = []
    for _ in range(requests):
        before = front.counted("in_flight_requests")
        wire = await connect(front.port)
        await asyncio.sleep(0.02)
        await wire.send(request())
        while front.counted("in_flight_requests") == before:
            await asyncio.sleep(0.001)
        wires.append(wire)
    return wires


async def test_what_comes_behind_a_request_waits_for_its_turn(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        (wire,) = await waiting(front, 1)
        bodies = [BODY.replace(b"{", b'{"event_id":"e-%d",' % number, 1) for number in range(90)]
        wire.write(b"".join(request(body) for body in bodies))
        await asyncio.sleep(0.05)
        assert front.counted("requests_total", route="events", status="202") == 0
        assert front.counted("in_flight_requests") <= 33  # then reading pauses
        front.log.gate.set()
        assert (await wire.reply()).body["results"][0]["code"] == "event_id_filled"
        answered = [(await wire.reply()).body["results"][0]["event_id"] for _ in bodies]
        assert answered == [f"e-{number}" for number in range(90)]
        await wire.send(head(start=b"GET /nothing HTTP/1.1") + request())
        assert [(await wire.reply()).status for _ in range(2)] == [404, 202]
        wire.close()


async def test_who_goes_away_leaves_nothing_behind(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        before = tasks()
        for wire in await waiting(front, 3):
            wire.close()
        while front.counted("connections"):
            await asyncio.sleep(0.001)
        assert front.counted("in_flight_requests") == 3  # their events are on the way
        front.log.gate.set()
        while front.counted("in_flight_requests"):
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        assert (len(await front.events()), front.counted("in_flight_bytes")) == (3, 0)
        assert tasks() == before


async def test_who_waits_while_the_listener_is_closed_is_answered_and_told_to_go(
    tmp_path: Path,
) -> None:
    async with door(tmp_path) as front:
        wires = await waiting(front, 3)
        closing = asyncio.create_task(front.close())
        await asyncio.sleep(0.1)
        assert not closing.done()
        front.log.gate.set()
        for wire in wires:
            answer = await wire.reply()
            assert (answer.status, answer.headers["connection"]) == (202, "close")
            assert await wire.ended() == b""
        await closing
        assert front.counted("in_flight_requests") == 0


async def test_who_waits_too_long_while_the_listener_is_closed_is_not_answered_and_not_counted(
    tmp_path: Path,
) -> None:
    async with door(tmp_path) as front:
        wires = await waiting(front, 3)
        await front.close()
        for wire in wires:
            assert await wire.ended() == b""
        assert front.counted("in_flight_requests") == 0
        front.log.gate.set()
        while len(await front.events()) < 3:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        assert (front.counted("in_flight_requests"), front.counted("in_flight_bytes")) == (0, 0)


@pytest.mark.parametrize("waits_s", [0.0, 0.5])
async def test_a_connection_that_is_idle_afterwards_is_closed_in_time(
    tmp_path: Path, waits_s: float
) -> None:
    async with door(tmp_path, idle_timeout_s=0.3) as front:
        (wire,) = await waiting(front, 1)
        await asyncio.sleep(waits_s)  # longer than it may be idle: but it is not
        front.log.gate.set()
        assert (await wire.reply()).status == 202
        async with asyncio.timeout(5):
            assert await wire.ended() == b""


async def test_trouble_and_bugs_are_answered(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        for away, status in ((Unavailable("away", 7), 503), (ValueError("a bug"), 500)):
            front.log.away = away
            answer, stays = await told(front, request(), len(request()))
            assert (answer.status, stays) == (status, False)
            assert b"bug" not in str(answer.body).encode()
        assert front.counted("append_failures_total") == 2
        assert front.counted("in_flight_bytes") == 0
        assert await front.events() == []


async def test_a_log_that_fails_at_once_leaves_nothing_under_way(tmp_path: Path) -> None:
    async with door(tmp_path) as front:

        def put(entries: object, settled: object) -> None:
            raise ValueError("a bug")

        front.log.put = put  # type: ignore[method-assign]
        for cut in (0, 1):
            answer, _ = await told(front, request(), len(request()) - cut)
            assert (answer.status, answer.code) == (500, "internal_error")
        assert front.counted("in_flight_bytes") == front.counted("in_flight_requests") == 0
