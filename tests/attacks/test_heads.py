"""Attacks with the request line and headers: what is no request gets one answer, and the end."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.attacks.wire import BODY, KEY, connect, head, reply_to, request
from tests.flow.door import door

LENGTH = b"Content-Length: %d" % len(BODY)

NO_REQUESTS = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n",
    "a length below zero": head(b"Content-Length: -1") + BODY,
    "a length that is no number": head(b"Content-Length: 1e3") + BODY,
    "a length beyond 64 bits": head(b"Content-Length: 99999999999999999999999") + BODY,
    "two lengths": head(LENGTH, b"Content-Length: 3") + BODY,
    "two lengths in one line": head(b"Content-Length: 3, 62") + BODY,
    "length and chunks": head(LENGTH, b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunks and length": head(b"Transfer-Encoding: chunked", b"Content-Length: 3") + b"0\r\n\r\n",
    "chunks by another name": head(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "chunks twice": head(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
    "chunks not last": head(b"Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
    "a folded header": head(LENGTH, b"X-A: b\r\n c") + BODY,
    "a space before the colon": head(LENGTH, b"Transfer-Encoding : chunked") + BODY,
    "a header without a name": head(LENGTH, b": x") + BODY,
    "a bare carriage return": head(LENGTH, b"X-A: b\rX-B: c") + BODY,
    "a zero byte": head(LENGTH, b"X-A: b\x00c") + BODY,
    "two hosts": head(LENGTH, b"Host: y") + BODY,
    "no host": b"POST /v1/events HTTP/1.1\r\n" + KEY + LENGTH + b"\r\n\r\n" + BODY,
    "a version that is none": head(LENGTH, start=b"POST /v1/events HTTP/9.9") + BODY,
    "a path that is none": head(LENGTH, start=b"POST v1/events HTTP/1.1") + BODY,
}


@pytest.mark.parametrize("content", NO_REQUESTS.values(), ids=NO_REQUESTS)
async def test_what_is_no_request_is_answered_400_and_nothing_behind_it_is_read(
    tmp_path: Path, content: bytes
) -> None:
    async with door(tmp_path) as front:
        wire = await connect(front.port)
        await wire.send(content + request())
        answer = await wire.reply()
        assert (answer.status, answer.code) == (400, "bad_request")
        assert set(answer.body) == {"code", "meaning", "detail"}
        assert await wire.ended() == b""  # the request behind it was not smuggled in
        assert await front.on_the_log() == []
        assert front.counted("requests_total", route="other", status="400") == 1


LARGE = {
    "one header": head(b"Cookie: " + b"x" * 40_000),
    "the request line": head(start=b"POST /v1/events?" + b"x" * 40_000 + b" HTTP/1.1"),
    "headers together, that do not end": head(*[b"X-%d: " % n + b"x" * 1000 for n in range(36)])[
        :-2
    ],
}


@pytest.mark.parametrize("content", LARGE.values(), ids=LARGE)
async def test_a_head_beyond_its_bound_is_answered_431(tmp_path: Path, content: bytes) -> None:
    async with door(tmp_path) as front:
        wire = await connect(front.port)
        for at in range(0, len(content), 8_192):  # as networks bring it: in pieces
            await wire.send(content[at : at + 8_192])
            await asyncio.sleep(0.005)
        answer = await wire.reply()
        assert (answer.status, answer.code) == (431, "head_too_large")
        assert await wire.ended() == b""


async def test_many_headers_are_refused(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        many = request(BODY, *[b"X-%d: y" % number for number in range(200)])
        assert (await reply_to(front.port, many)).status == 400


async def test_heads_that_dribble_are_closed_and_others_are_served_meanwhile(
    tmp_path: Path,
) -> None:
    async with door(tmp_path, header_timeout_s=0.5) as front:
        wires = [await connect(front.port) for _ in range(50)]
        silent = await connect(front.port)
        began_at = time.monotonic()

        async def dribble() -> None:
            for byte in request():
                for wire in wires:
                    await wire.send(bytes([byte]))
                await asyncio.sleep(0.1)

        dribbling = asyncio.create_task(dribble())
        assert (await reply_to(front.port, request())).status == 202
        for wire in (*wires, silent):
            assert await wire.ended() == b""
        dribbling.cancel()
        assert time.monotonic() - began_at < 20
        assert front.counted("connections_closed_total", reason="slow_head") == 51
        assert await front.events() != []


async def test_a_second_head_that_dribbles_is_closed_too(tmp_path: Path) -> None:
    async with door(tmp_path, header_timeout_s=0.5) as front:
        wire = await connect(front.port)
        await wire.send(request() + b"POST /v1")
        assert (await wire.reply()).status == 202
        await wire.send(b"/ev")
        assert await wire.ended() == b""
        assert front.counted("connections_closed_total", reason="slow_head") == 1


async def test_between_requests_a_connection_may_idle_longer_than_a_head_may_take(
    tmp_path: Path,
) -> None:
    async with door(tmp_path, header_timeout_s=0.3, idle_timeout_s=3) as front:
        wire = await connect(front.port)
        await wire.send(request())
        assert (await wire.reply()).status == 202
        await asyncio.sleep(1.6)
        await wire.send(request())
        assert (await wire.reply()).status == 202
        began_at = time.monotonic()
        assert await wire.ended() == b""
        assert 2 < time.monotonic() - began_at < 30
        assert front.counted("connections_closed_total", reason="slow_head") == 0


@pytest.mark.parametrize("host", [b"evil.example", b"127.0.0.1:1", b"[::1]", b"x" * 300])
async def test_whatever_host_is_named_it_is_neither_believed_nor_repeated(
    tmp_path: Path, host: bytes
) -> None:
    async with door(tmp_path) as front:
        for start in (b"POST /v1/events HTTP/1.1", b"POST http://evil.example/v1/events HTTP/1.1"):
            answer = await reply_to(front.port, head(LENGTH, start=start, host=host) + BODY)
            assert answer.status == 202
            assert "location" not in answer.headers
            assert "evil" not in str(answer)


OTHERS = {
    "no path": (head(start=b"OPTIONS * HTTP/1.1"), 404),
    "a host for a path": (head(start=b"CONNECT evil.example:443 HTTP/1.1"), 404),
    "expects what nobody knows": (head(b"Expect: evil", start=b"GET /nothing HTTP/1.1"), 404),
    "asked before": (head(start=b"OPTIONS /v1/events HTTP/1.1"), 204),
    "another method": (head(b"Expect: evil", start=b"TRACE /v1/events HTTP/1.1"), 405),
    "no request": (b"evil\r\n\r\n", 400),
    "too large": (head(b"Cookie: " + b"x" * 40_000), 431),
}


@pytest.mark.parametrize(("content", "status"), OTHERS.values(), ids=OTHERS)
async def test_no_answer_is_in_the_words_of_what_we_are_made_of(
    tmp_path: Path, content: bytes, status: int
) -> None:
    async with door(tmp_path) as front:
        answer = await reply_to(front.port, content)
        assert (answer.status, answer.headers["server"]) == (status, "beleg")
        assert status == 204 or set(answer.body) == {"code", "meaning", "detail"}
        assert "evil" not in str(answer)
        route = "preflight" if status == 204 else "other"
        assert front.counted("requests_total", route=route, status=str(status)) == 1


CRLF = "%0d%0aX-Evil:%201"


@pytest.mark.parametrize(
    "content",
    [
        head(LENGTH, start=f"POST /{CRLF} HTTP/1.1".encode()) + BODY,
        head(LENGTH, start=f"POST /v1/events?key={CRLF} HTTP/1.1".encode()) + BODY,
        head(b"Origin: https://shop.example" + CRLF.encode(), LENGTH) + BODY,
        request(b'{"name":"a","event_id":"x\\r\\nX-Evil: 1","a\\r\\nX-Evil: 1":1}'),
        request(b"{\r\nX-Evil: 1\r\n\r\n"),
        head(LENGTH, b"Content-Encoding: gzip" + CRLF.encode()) + BODY,
        head(LENGTH, b"Expect: 100-continue" + CRLF.encode()) + BODY,
        head(start=f"DELETE /v1/events{CRLF} HTTP/1.1".encode()),
    ],
)
async def test_no_line_that_was_sent_becomes_a_header_of_the_answer(
    tmp_path: Path, content: bytes
) -> None:
    async with door(tmp_path) as front:
        answer = await reply_to(front.port, content)
        assert "x-evil" not in answer.headers
