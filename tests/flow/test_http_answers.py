"""An answer is one whole HTTP message, and the connection goes on or ends as it says."""

from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from aiohttp import HttpVersion11

from collector.answer import JSON, Answer
from tests.attacks.wire import BODY, connect, head, request
from tests.flow.door import ORIGIN, door

CASES = {
    "as usual": (b"HTTP/1.1", (), None),
    "asked to end": (b"HTTP/1.1", (b"Connection: close",), "close"),
    "an old client": (b"HTTP/1.0", (), "close"),
    "an old client that stays": (b"HTTP/1.0", (b"Connection: keep-alive",), "keep-alive"),
}


def post(version: bytes, *lines: bytes) -> bytes:
    length = b"Content-Length: %d" % len(BODY)
    return head(length, *lines, start=b"POST /v1/events " + version) + BODY


@pytest.mark.parametrize("case", CASES)
async def test_the_connection_ends_or_goes_on_as_was_asked(tmp_path: Path, case: str) -> None:
    version, lines, said_of_it = CASES[case]
    async with door(tmp_path) as front:
        wire = await connect(front.port)
        await wire.send(post(version, *lines))
        answer = await wire.reply()
        assert (answer.status, answer.body["accepted"]) == (202, 1)
        assert answer.headers.get("connection") == said_of_it
        if said_of_it == "close":
            assert await wire.ended() == b""
        else:
            await wire.send(post(version, *lines))
            assert (await wire.reply()).status == 202
            wire.close()


async def test_an_answer_has_what_http_asks_for(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        wire = await connect(front.port)
        await wire.send(request(BODY, b"Origin: " + ORIGIN.encode()))
        headers = (await wire.reply()).headers
        wire.close()
    parsedate_to_datetime(headers.pop("date"))
    assert int(headers.pop("content-length")) > 0
    assert headers == {
        "server": "beleg",
        "content-type": "application/json",
        "access-control-allow-origin": ORIGIN,
        "access-control-expose-headers": "Retry-After",
        "vary": "Origin",
    }


async def test_requests_in_a_row_are_answered_in_their_order(tmp_path: Path) -> None:
    bodies = [BODY.replace(b"{", b'{"event_id":"e-%d",' % number, 1) for number in range(20)]
    async with door(tmp_path) as front:
        wire = await connect(front.port)
        await wire.send(b"".join(request(body) for body in bodies))
        answered = [(await wire.reply()).body["results"][0]["event_id"] for _ in bodies]
        wire.close()
    assert answered == [f"e-{number}" for number in range(20)]


async def test_a_question_for_the_head_gets_no_body(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        wire = await connect(front.port)
        await wire.send(b"HEAD /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await wire.ended()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.endswith(b"\r\n\r\n")


def test_no_header_can_hold_a_line_break() -> None:
    for broken in ("a\r\nSet-Cookie: x", "a\nb", "a\rb"):
        answer = Answer(202, b"", (*JSON, ("Retry-After", broken)))
        with pytest.raises(ValueError, match="line break"):
            answer.written(HttpVersion11, last=False)
