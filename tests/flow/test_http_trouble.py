"""What the collector answers when things go wrong behind it, and what it never says then."""

import asyncio
import gc
from pathlib import Path

import pytest

from spine.errors import Unavailable
from tests.flow.door import EVENT, Door, door

TIMED = EVENT | {"occurred_at": "2026-11-22T09:59:00Z"}
SECRET_OF_OURS = "/var/lib/beleg/log.sqlite on kafka7"


async def test_the_answer_leaves_only_after_the_log_has_the_event(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        front.log.gate.clear()
        asked = asyncio.create_task(front.post(TIMED))
        await front.log.arrived.wait()
        await asyncio.sleep(0.2)
        assert not asked.done()
        assert await front.on_the_log() == []
        assert front.counted("in_flight_bytes") > 0
        front.log.gate.set()
        assert (await asked).codes == [None]
        assert len(await front.events()) == 1
        assert front.counted("in_flight_bytes") == 0
        assert front.counted("append_seconds_count") == 1


async def test_while_the_log_is_away_nothing_is_acknowledged(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        front.log.away = Unavailable(SECRET_OF_OURS, 7.4)
        answer = await front.post({"events": [TIMED, {}, TIMED | {"consent": {}}]})
        assert (answer.status, answer.json["code"]) == (503, "log_unavailable")
        assert answer.headers["Retry-After"] == "7"
        assert set(answer.json) == {"code", "meaning", "detail"}
        assert SECRET_OF_OURS.encode() not in answer.body
        assert front.counted("append_failures_total") == 1
        assert front.counted("in_flight_bytes") == 0
        # nothing of it counts, because all of it will come again
        assert (
            front.counted("events_total", site="shop", status="refused", code="missing_field") == 0
        )
        await front.tallies.flush(front.log, 0)
        assert await front.on_the_log() == []
        front.log.away = None
        assert (await front.post({"events": [TIMED, {}]})).codes == [None, "missing_field"]


@pytest.mark.parametrize("hint_s", [0.0, 0.2, 1.0])
async def test_retry_after_is_a_whole_second_at_least(tmp_path: Path, hint_s: float) -> None:
    async with door(tmp_path) as front:
        front.log.away = Unavailable("away", hint_s)
        assert (await front.post(TIMED)).headers["Retry-After"] == "1"


async def test_what_needs_no_log_is_answered_while_the_log_is_away(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        front.log.away = Unavailable("away")
        assert (await front.post({"events": [{}, TIMED | {"consent": {}}]})).status == 202


async def test_too_much_on_its_way_is_answered_503_until_there_is_room(tmp_path: Path) -> None:
    async with door(tmp_path, max_in_flight_bytes=65_536) as front:
        front.log.gate.clear()
        large = TIMED | {"properties": {f"k{n}": "x" * 900 for n in range(80)}}
        asked = asyncio.create_task(front.post(large))
        await front.log.arrived.wait()
        answer = await front.post(TIMED)
        assert (answer.status, answer.json["code"]) == (503, "overloaded")
        assert answer.headers["Retry-After"] in {"1", "2", "3"}
        front.log.gate.set()
        assert (await asked).status == 202
        assert (await front.post(TIMED)).status == 202


async def test_a_bug_is_answered_counted_and_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with door(tmp_path) as front:
        front.log.away = RuntimeError(SECRET_OF_OURS)
        answer = await front.post(TIMED | {"anonymous_id": "canary-id"})
        assert (answer.status, answer.json["code"]) == (500, "internal_error")
        for never in (SECRET_OF_OURS, "canary-id", "Traceback", "RuntimeError", ".py"):
            assert never.encode() not in answer.body
        assert front.counted("requests_total", route="events", status="500") == 1
        front.log.away = None
        assert (await front.post(TIMED)).status == 202
    said = "".join(capsys.readouterr()) + caplog.text
    assert "RuntimeError" in said
    assert "door.py" in said  # where the bug is
    for never in (SECRET_OF_OURS, "canary-id", "127.0.0.1"):
        assert never not in said


async def test_the_connection_survives_a_bug(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        body = b'{"name":"page_view","consent":{"purposes":{"analytics":true}}}'
        head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bk_shop_browser\r\n"
        request = head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        for away, status in ((RuntimeError("x"), b"500"), (None, b"202")):
            front.log.away = away
            writer.write(request)
            async with asyncio.timeout(5):
                answer = await reader.readuntil(b"\r\n\r\n")
                length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
            assert answer.split()[1] == status
        writer.close()


async def leave_after_sending(front: Door) -> None:
    asked = asyncio.create_task(front.post(TIMED))
    await front.log.arrived.wait()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)


async def test_an_event_whose_sender_has_left_is_kept_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with door(tmp_path) as front:
        front.log.gate.clear()
        await leave_after_sending(front)
        front.log.gate.set()
        async with asyncio.timeout(5):
            while not await front.events():
                await asyncio.sleep(0.01)
        assert (await front.post(TIMED)).status == 202
        assert front.counted("in_flight_bytes") == 0
    gc.collect()
    assert caplog.records == []


async def test_bytes_that_are_no_http_leave_neither_address_nor_payload_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with door(tmp_path) as front:
        for garbage in (
            b"canary-payload\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc canary-payload\r\n\r\n",
            b"POST /v1/events HTTP/1.1\r\nAuthorization: Bearer\x00 canary-payload\r\n\r\n",
            b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: canary-payload\r\n\r\n",
            b"GET / HTTP/9.9\r\nX: canary-payload\r\n\r\n",
        ):
            assert b" 400 " in await front.raw(garbage)
        assert (await front.post(TIMED)).status == 202
    assert "canary" not in caplog.text
    assert "127.0.0.1" not in caplog.text
