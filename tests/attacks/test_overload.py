"""More than can be taken: who is turned away, how, and that everything is as before afterwards."""

import asyncio
import time
from pathlib import Path

import pytest

from spine.errors import Unavailable
from spine.settings import SiteSettings
from tests.attacks.wire import BODY, KEY, Reply, Wire, connect, head, reply_to, request
from tests.flow.door import BROWSER, EVENT, ORIGIN, SITES, Door, door

BEACON = (
    f"POST /v1/events?key={BROWSER} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
    f"Content-Length: {len(BODY)}\r\n\r\n"
).encode() + BODY


async def held(front: Door, requests: int) -> list[Wire]:
    """Fill a collector with requests whose events wait for the log."""
    front.log.gate.clear()
    wires: list[Wire] = []
    before = round(front.counted("in_flight_requests"))
    for number in range(before + 1, before + requests + 1):
        wires.append(await connect(front.port))
        await wires[-1].send(BEACON)
        while front.counted("in_flight_requests") < number:
            await asyncio.sleep(0.001)
    return wires


def is_turned_away(answer: Reply) -> bool:
    assert answer.headers["retry-after"] in {"1", "2", "3"}
    assert answer.headers["vary"] == "Origin"
    return (answer.status, answer.code) == (503, "overloaded")


async def test_who_comes_again_is_turned_away_first_and_beacons_last(tmp_path: Path) -> None:
    async with door(tmp_path, max_in_flight_requests=20) as front:
        wires = await held(front, 16)  # three quarters, and one
        assert is_turned_away(await reply_to(front.port, request()))
        assert front.counted("shed_total", reason="requests", kind="retrying") == 1
        wires += await held(front, 4)
        assert is_turned_away(await reply_to(front.port, BEACON))
        assert front.counted("shed_total", reason="requests", kind="beacon") == 1
        front.log.gate.set()
        for wire in wires:
            assert (await wire.reply()).status == 202
            wire.close()
        for _ in range(5):  # at once, not after some time
            assert (await reply_to(front.port, request())).status == 202
        assert len(await front.events()) == 25


async def test_bytes_on_their_way_are_bounded_too(tmp_path: Path) -> None:
    large = EVENT | {"properties": {f"k{n}": "x" * 900 for n in range(60)}}
    async with door(tmp_path, max_in_flight_bytes=65_536) as front:
        front.log.gate.clear()
        asked = asyncio.create_task(front.post(large, BROWSER))
        await front.log.arrived.wait()
        assert is_turned_away(await reply_to(front.port, request()))
        assert front.counted("shed_total", reason="bytes", kind="retrying") == 1
        front.log.gate.set()
        assert (await asked).status == 202
        assert (await reply_to(front.port, request())).status == 202


async def test_a_page_can_read_that_it_is_turned_away_and_a_foreign_one_learns_nothing(
    tmp_path: Path,
) -> None:
    async with door(tmp_path, max_in_flight_requests=16) as front:
        wires = await held(front, 14)
        own = await reply_to(front.port, request(BODY, b"Origin: " + ORIGIN.encode()))
        assert is_turned_away(own)
        assert own.headers["access-control-allow-origin"] == ORIGIN
        assert own.headers["access-control-expose-headers"] == "Retry-After"
        for origin in (b"https://evil.example", b"https://other.example"):
            foreign = await reply_to(front.port, request(BODY, b"Origin: " + origin))
            assert foreign.status == 403
            assert "access-control-allow-origin" not in foreign.headers
        for wire in wires:
            wire.close()


async def test_the_body_of_who_is_turned_away_is_not_waited_for(tmp_path: Path) -> None:
    async with door(tmp_path, max_in_flight_requests=16) as front:
        wires = await held(front, 14)
        for expects in (b"X-A: b", b"Expect: 100-continue"):
            wire = await connect(front.port)
            began_at = time.monotonic()
            await wire.send(head(b"Content-Length: 1000000", expects))
            answer = await wire.reply()  # the first answer: no 100 before it
            assert is_turned_away(answer)
            assert answer.headers["connection"] == "close"
            assert await wire.ended() == b""
            assert time.monotonic() - began_at < 8
        for wire in wires:
            wire.close()


async def test_who_asks_before_sending_is_told_to_go_on_only_when_let_in(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        expects = head(b"Content-Length: %d" % len(BODY), b"Expect: 100-continue")
        wire = await connect(front.port)
        await wire.send(expects)
        assert (await wire.reply()).status == 100
        await wire.send(BODY)
        assert (await wire.reply()).status == 202
        for refused, status in (
            (expects.replace(KEY, b""), 401),
            (head(b"Content-Length: 9999999", b"Expect: 100-continue"), 413),
            (expects.replace(b"\r\n\r\n", b"\r\nOrigin: https://evil.example\r\n\r\n"), 403),
        ):
            assert (await reply_to(front.port, refused)).status == status
        wire.close()


async def test_while_everybody_waits_too_long_fewer_are_let_in_and_all_again_afterwards(
    tmp_path: Path,
) -> None:
    async with door(tmp_path, max_wait_ms=1) as front:

        async def hammer(until: float) -> None:
            wire = await connect(front.port)
            while time.monotonic() < until:
                await wire.send(request())
                assert (await wire.reply()).status in (202, 503)
            wire.close()

        until = time.monotonic() + 1.5
        await asyncio.gather(*[hammer(until) for _ in range(150)])
        assert front.counted("shed_total", reason="wait", kind="retrying") > 0
        accepted = len(await front.events())
        assert accepted == min(1000, front.counted("requests_total", route="events", status="202"))
        in_a_row = 0
        async with asyncio.timeout(20):  # what lies unread for a millisecond is still late at first
            while in_a_row < 20:
                taken = (await reply_to(front.port, request())).status == 202
                in_a_row = in_a_row + 1 if taken else 0


async def test_readiness_tells_an_overload_that_lasts(tmp_path: Path) -> None:
    async with door(tmp_path, max_in_flight_requests=16) as front:
        await front.collector.ready()
        wires = await held(front, 14)
        until = time.monotonic() + 5.5
        while time.monotonic() < until:
            assert is_turned_away(await reply_to(front.port, request()))
            await asyncio.sleep(0.2)
        with pytest.raises(Unavailable, match="overloaded"):
            await front.collector.ready()
        for wire in wires:
            wire.close()


async def test_one_connection_more_than_there_may_be_is_closed_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    async with door(tmp_path, max_connections=5) as front:
        wires = [await connect(front.port) for _ in range(5)]
        for wire in wires:
            await wire.send(request())
            assert (await wire.reply()).status == 202
        for _ in range(3):
            more = await connect(front.port)
            await more.send(request())
            assert await more.ended() == b""
        assert front.counted("connections_closed_total", reason="too_many") == 3
        assert front.counted("connections") == 5
        await wires[0].send(request())
        assert (await wires[0].reply()).status == 202
        wires[0].close()
        while front.counted("connections") == 5:
            await asyncio.sleep(0.001)
        assert (await reply_to(front.port, request())).status == 202
        for wire in wires:
            wire.close()


async def test_a_crowd_that_rests_makes_room_the_oldest_first(tmp_path: Path) -> None:
    """Each has asked once, without a key, and could rest for longer than anybody waits."""
    async with door(tmp_path, max_connections=20) as front:
        crowd = [await connect(front.port) for _ in range(20)]
        for wire in crowd:
            await wire.send(head(start=b"GET /nothing HTTP/1.1"))
            assert (await wire.reply()).status == 404
        assert not await (await connect(front.port)).stays()
        async with asyncio.timeout(20):
            while not await (await connect(front.port)).stays():
                await asyncio.sleep(0.1)
        for wire in crowd[:5]:
            assert await wire.ended() == b""
        assert front.counted("connections_closed_total", reason="crowd") == 5
        assert await crowd[-1].stays()
        for wire in crowd:
            wire.close()


async def test_after_so_many_requests_a_connection_is_closed_and_says_so(tmp_path: Path) -> None:
    async with door(tmp_path, max_requests_per_connection=8) as front:
        wire = await connect(front.port)
        answers: list[Reply] = []
        while len(answers) < 20 and (
            not answers or answers[-1].headers.get("connection") != "close"
        ):
            await wire.send(request())
            answers.append(await wire.reply())
        assert 6 <= len(answers) <= 8
        assert {answer.status for answer in answers} == {202}
        assert await wire.ended() == b""


async def test_a_site_beyond_its_quota_is_answered_429_and_another_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        SITES, "other", SiteSettings(browser_keys=("bk_other_browser",), events_per_second=10)
    )
    async with door(tmp_path) as front:
        batch = {"events": [{"name": "page_view", "consent": EVENT["consent"]}] * 30}
        assert (await front.post(batch, "bk_other_browser")).status == 202  # the burst, and a debt
        answer = await front.post(batch, "bk_other_browser")
        assert (answer.status, answer.json["code"]) == (429, "quota_exceeded")
        assert 1 <= int(answer.headers["Retry-After"]) <= 2
        assert front.counted("over_quota_total", site="other") == 1
        assert (await front.post(batch, BROWSER)).status == 202
        await asyncio.sleep(float(answer.headers["Retry-After"]))
        assert (await front.post(batch, "bk_other_browser")).status == 202
        assert len(await front.events()) == 90
