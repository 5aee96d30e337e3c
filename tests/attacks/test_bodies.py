"""Attacks with the body: bombs cost no more than a body of the allowed size, and lies end."""

import asyncio
import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import brotli
import pytest
from backports import zstd

from collector.decode import Claims, Unreadable, decode
from collector.unpack import unpacked
from spine.codes import Refused
from tests.attacks.wire import BODY, connect, head, reply_to, request
from tests.flow.door import door

CHUNKED = b"Transfer-Encoding: chunked"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": partial(brotli.compress, quality=5),
    "zstd": zstd.compress,
}


@pytest.mark.parametrize(("encoding", "pack"), PACKERS.items(), ids=PACKERS)
async def test_a_bomb_is_answered_413_before_it_goes_off(
    tmp_path: Path, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    bomb = pack(b" " * 8_000_000)
    async with door(tmp_path) as front:
        began_at = time.process_time()
        answer = await reply_to(front.port, request(bomb, f"Content-Encoding: {encoding}".encode()))
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert time.process_time() - began_at < 0.25


@pytest.mark.parametrize(("encoding", "pack"), PACKERS.items(), ids=PACKERS)
def test_a_bomb_takes_no_more_memory_than_a_body_may(
    encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    bomb = pack(b" " * 40_000_000)
    tracemalloc.start()
    try:
        found = unpacked(bomb, encoding, 1_048_576)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(found, Unreadable)
    assert found.code == "body_too_large"
    assert most_bytes < 5_000_000


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip,br", "gzip\r\nContent-Encoding: gzip"])
async def test_a_bomb_in_a_bomb_is_not_unpacked(tmp_path: Path, encoding: str) -> None:
    bomb = gzip.compress(gzip.compress(b" " * 5_000_000))
    async with door(tmp_path) as front:
        answer = await reply_to(front.port, request(bomb, f"Content-Encoding: {encoding}".encode()))
        assert answer.code in ("unsupported_encoding", "bad_request")


KEYS = b",".join(b'"k%d":1' % number for number in range(70_000))
JSON_BOMBS = {
    "100 k lists deep": b"[" * 100_000,
    "100 k objects deep": b'{"a":' * 100_000,
    "deep in properties": b'{"name":"a","properties":{"a":'
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}}",
    "deep in consent": b'{"name":"a","consent":'
    + b'{"a":' * 100_000
    + b"1"
    + b"}" * 100_000
    + b"}",
    "deep in an unknown key": b'{"name":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "many keys": b"{" + KEYS + b"}",
    "many keys in properties": b'{"name":"a","properties":{' + KEYS + b"}}",
    "many keys in consent": b'{"name":"a","consent":{' + KEYS + b"}}",
    "many equal keys": b"{" + b'"name":"a",' * 90_000 + b'"name":"a"}',
    "a number of a million digits": b'{"name":"a","commerce":{"value":' + b"9" * 1_000_000 + b"}}",
    "a text of a million digits": b'{"name":"a","commerce":{"value":"' + b"9" * 1_000_000 + b'"}}',
    "a number with an exponent": b'{"name":"a","commerce":{"value":1e999999999}}',
    "a text with an exponent": b'{"name":"a","commerce":{"value":"1e999999999"}}',
    "a tiny one": b'{"name":"a","commerce":{"value":"1e-999999999"}}',
    "a huge count": b'{"name":"a","commerce":{"items":[{"quantity":' + b"9" * 1_000_000 + b"}]}}",
    "a huge property": b'{"name":"a","properties":{"a":' + b"9" * 1_000_000 + b"}}",
    "NaN": b'{"name":"a","commerce":{"value":NaN}}',
    "NaN as text": b'{"name":"a","commerce":{"value":"NaN"}}',
    "a signalling NaN": b'{"name":"a","commerce":{"value":"sNaN"}}',
    "Infinity": b'{"name":"a","properties":{"a":Infinity}}',
    "Infinity as text": b'{"name":"a","commerce":{"value":"-Infinity"}}',
    "half a character": b'{"name":"a","page":{"title":"' + rb"\ud800" * 160_000 + b'"}}',
    "backslashes": b'{"name":"' + b"\\\\" * 500_000 + rb"\ud800" + b'"}',
    "no UTF-8": b'{"name":"\xff\xfe"}',
    "blanks": b" " * 1_000_000,
    "empty events": b'{"events":[' + b"{}," * 300_000 + b"{}]}",
    "events in events": b'{"events":' * 50_000 + b"[]" + b"}" * 50_000,
}


@pytest.mark.parametrize("body", JSON_BOMBS.values(), ids=JSON_BOMBS)
def test_json_that_is_meant_to_hurt_is_a_value_in_time(body: bytes) -> None:
    began_at = time.process_time()
    found = decode(body, 500)
    took_s = time.process_time() - began_at
    assert took_s < 0.5  # measured: 56 ms for the worst, on a machine with nothing else to do
    assert isinstance(found, Claims | Unreadable)
    if isinstance(found, Unreadable):
        assert len(found.detail) <= 300
    else:
        (event,) = found.events
        if isinstance(event, Refused):
            assert len(event.detail) <= 300
            assert len(event.path) <= 200


async def test_after_every_one_of_them_the_next_event_is_taken(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        for body in JSON_BOMBS.values():
            answer = await reply_to(front.port, request(body[:1_048_576]))
            assert answer.status in (202, 400, 413)
            assert (await reply_to(front.port, request())).status == 202


def test_of_equal_keys_the_last_one_counts_everywhere() -> None:
    found = decode(b'{"name":"a","event_id":"1","name":"b","event_id":"2"}', 10)
    assert isinstance(found, Claims)
    (event,) = found.events
    assert not isinstance(event, Refused)
    assert (event.name, event.event_id) == ("b", "2")


LIES = {
    "a chunk whose size is no number": (head(CHUNKED) + b"zz\r\n" + BODY, 400),
    "a chunk whose size is below zero": (head(CHUNKED) + b"-5\r\n" + BODY, 400),
    "a chunk of 2^64 bytes": (head(CHUNKED) + b"10000000000000000\r\n" + BODY, 400),
    "a chunk longer than it says": (head(CHUNKED) + b"3\r\nabcdef\r\n0\r\n\r\n", 400),
    "an extension of a chunk without end": (head(CHUNKED) + b"3;" + b"x" * 40_000, 408),
    "trailers without end": (head(CHUNKED) + b"0\r\n" + b"X-A: b\r\n" * 5_000, 400),
    "more than is allowed": (head(b"Content-Length: 99999999"), 413),
    "more than is allowed, in chunks": (head(CHUNKED) + b"100001\r\n" + b"x" * 1_048_577, 413),
    "less than it says": (head(b"Content-Length: 500") + BODY, 408),
    "chunks that do not end": (head(CHUNKED) + b"3\r\nabc\r\n", 408),
}


@pytest.mark.parametrize(("content", "status"), LIES.values(), ids=LIES)
async def test_a_body_that_is_not_what_it_says_is_refused_in_time(
    tmp_path: Path, content: bytes, status: int
) -> None:
    async with door(tmp_path, body_timeout_s=0.3) as front:
        wire = await connect(front.port)
        await wire.send(content)
        answer = await wire.reply()
        assert answer.status == status
        assert front.counted("requests_total", route="events", status="500") == 0
        await wire.ended()
        assert await front.on_the_log() == []
        assert front.counted("in_flight_requests") == 0
        assert front.counted("in_flight_bytes") == 0


async def test_a_chunk_that_is_none_in_the_middle_of_a_body_ends_it_in_time(
    tmp_path: Path,
) -> None:
    async with door(tmp_path, body_timeout_s=1) as front:
        wire = await connect(front.port)
        await wire.send(head(CHUNKED) + b"3\r\nabc\r\n")
        while front.counted("in_flight_bytes") < 3:
            await asyncio.sleep(0.001)
        await wire.send(b"zz\r\nabc")
        answer = await wire.reply()
        assert (answer.status, answer.code) == (408, "slow_request")
        assert await wire.ended() == b""
        assert front.counted("in_flight_requests") == front.counted("in_flight_bytes") == 0


async def test_what_is_behind_a_body_is_another_request(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        wire = await connect(front.port)
        await wire.send(head(b"Content-Length: 2") + b"{}" + request())
        first, second = await wire.reply(), await wire.reply()
        assert first.body["results"][0]["code"] == "missing_field"
        assert second.body["accepted"] == 1
        wire.close()


async def test_who_dribbles_a_body_takes_nobodys_turn(tmp_path: Path) -> None:
    async with door(tmp_path, max_in_flight_requests=16, body_timeout_s=60) as front:
        wires = [await connect(front.port) for _ in range(100)]
        for number, wire in enumerate(wires, 1):
            await wire.send(head(b"Content-Length: 1000") + b"{")
            while front.counted("in_flight_bytes") < number:
                await asyncio.sleep(0.001)
        assert front.counted("in_flight_requests") == 0
        assert (await reply_to(front.port, request())).status == 202
        for wire in wires:
            wire.close()


async def test_bodies_that_arrive_stay_within_the_bound_of_bytes_once_let_in_too(
    tmp_path: Path,
) -> None:
    """Each is let in with its first byte, when there is room, and then sends nearly all."""
    most = 4_000_000
    async with door(tmp_path, max_in_flight_bytes=most) as front:
        wires = [await connect(front.port) for _ in range(40)]
        for number, wire in enumerate(wires, 1):
            await wire.send(head(b"Content-Length: 1000000") + b"{")
            while front.counted("in_flight_bytes") < number:
                await asyncio.sleep(0.001)
        for wire in wires:
            await wire.send(b" " * 900_000)
            await asyncio.sleep(0.02)
            assert front.counted("in_flight_bytes") <= most / 2
        given_up = [await wire.reply() for wire in wires[1:]]
        assert {(answer.status, answer.code) for answer in given_up} == {(503, "overloaded")}
        assert {answer.headers["connection"] for answer in given_up} == {"close"}
        assert {answer.headers["retry-after"] for answer in given_up} <= {"1", "2", "3"}
        assert front.counted("shed_total", reason="bytes", kind="retrying") == 39
        assert (await reply_to(front.port, request())).status == 202  # who comes whole
        await wires[0].send(b" " * 99_999)
        assert (await wires[0].reply()).code == "unreadable_body"  # it had room
        for wire in wires:
            wire.close()
        while front.counted("in_flight_bytes"):
            await asyncio.sleep(0.001)
        assert front.counted("in_flight_requests") == 0


async def test_a_large_body_that_arrives_alone_has_room_whatever_the_bound(tmp_path: Path) -> None:
    async with door(tmp_path, max_in_flight_bytes=65_536) as front:
        large = BODY + b" " * 900_000
        wire = await connect(front.port)
        await wire.send_in_two(request(large), 100_000)
        assert (await wire.reply()).status == 202
        wire.close()


REFUSED = b'{"events":[' + b",".join([b'{"name":"' + b"x" * 64 + b'","y":1}'] * 500) + b"]}"


async def test_who_does_not_read_the_answers_takes_nobodys_turn(tmp_path: Path) -> None:
    async with door(tmp_path, max_in_flight_requests=64, header_timeout_s=60) as front:
        wires = [await connect(front.port) for _ in range(3)]
        for wire in wires:
            for _ in range(150):  # 15 MB of answers: more than the buffers of the sockets hold
                wire.write(request(REFUSED))
            answered = -1.0
            while (now := front.counted("requests_total", route="events", status="202")) > answered:
                answered = now
                await asyncio.sleep(1.0)
        assert front.counted("in_flight_requests") == 0
        assert (await reply_to(front.port, request())).status == 202
        for _ in range(150):
            assert (await wires[0].reply()).status in (202, 503)
        for wire in wires:
            wire.close()
        while front.counted("connections"):
            await asyncio.sleep(0.001)
        assert front.counted("in_flight_requests") == 0


async def test_who_does_not_read_the_answers_is_closed(tmp_path: Path) -> None:
    async with door(tmp_path, header_timeout_s=0.5) as front:
        with closing(await connect(front.port)) as wire:
            for _ in range(200):  # some 20 MB of answers: more than the buffers of the sockets hold
                wire.write(request(REFUSED))
            while not front.counted("connections_closed_total", reason="slow_reader"):
                assert (await reply_to(front.port, request())).status == 202
            async with asyncio.timeout(5):
                while front.counted("connections"):  # of those that asked, too
                    await asyncio.sleep(0.01)
