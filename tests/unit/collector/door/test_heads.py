"""A head that came before is never taken for something else than the parser would take it for."""

import asyncio
from collections.abc import Iterator

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.door.heads import Heads, asked_by
from tests.attacks.wire import BODY, head, request

LENGTH = b"Content-Length: %d" % len(BODY)
ODD = [
    head(LENGTH, b"Transfer-Encoding: chunked") + BODY,
    head(b"Transfer-Encoding: chunked", b"X-Length: 5") + b"5\r\nhello\r\n0\r\n\r\n",
    head(LENGTH, LENGTH) + BODY,
    head(b"Content-Length : %d" % len(BODY)) + BODY,
    head(b"Content-Length: +%d" % len(BODY)) + BODY,
    head(b"X-Content-Length: %d" % len(BODY), LENGTH) + BODY,
    head(b"Strength: %d" % len(BODY), LENGTH) + BODY,
    head(LENGTH, b"X: a\nContent-Length: 0") + BODY,
    head(LENGTH, b"X: a\r\n Content-Length: 0") + BODY,
    head(LENGTH, b"X-" + b"a" * 5_000 + b": a") + BODY,
    head() + BODY,
    request()[:-1],
    request() + b"P",
    request() + request(),
    b"",
]


def parsed(content: bytes) -> tuple[RawRequestMessage, bytes] | None:
    """Give the one whole request that aiohttp's parser makes of this, from the first byte on."""
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(BaseProtocol(loop), loop, 65536)
        found, upgraded, _ = parser.feed_data(content)
        if len(found) != 1 or upgraded or not found[0][1].is_eof():
            return None
        return found[0][0], found[0][1].read_nowait()
    except HttpProcessingError:
        return None
    finally:
        loop.close()


def having_met(*contents: bytes) -> Heads:
    heads = Heads()
    for content in contents:
        if met := parsed(content):
            heads.keep(content, asked_by(met[0]))
    return heads


def test_the_same_head_is_known_again_with_a_body_of_another_length() -> None:
    heads = having_met(request())
    again = heads.find(request(b"{}"))
    assert again is not None
    asked, body = again
    assert body == b"{}"
    assert asked.head.bearer == having_met(request()).find(request())[0].head.bearer != ""  # type: ignore[index]
    assert not asked.closes


def test_a_head_is_known_by_all_of_its_bytes() -> None:
    heads = having_met(request())
    assert heads.find(request(BODY, b"User-Agent: x")) is None
    assert heads.find(request().replace(b"Content-Length", b"content-length")) is None
    assert heads.find(request().replace(b"Bearer ", b"Bearer x")) is None


@pytest.mark.parametrize("content", ODD)
def test_what_is_odd_is_left_to_the_parser(content: bytes) -> None:
    assert having_met(content, request()).find(content) is None


def test_a_connection_that_ends_is_told_from_one_that_stays() -> None:
    content = request(BODY, b"Connection: close")
    found = having_met(request(), content).find(content)
    assert found is not None
    assert found[0].closes


pieces = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b"0", b"7", b"ength: 7\r\n",
     b"Transfer-Encoding: chunked\r\n", b"Content-Length: 1\r\n", b"Connection: close\r\n",
     b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n"]
)  # fmt: skip


def spoiled() -> st.SearchStrategy[bytes]:
    changes = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3), pieces), max_size=3)
    return changes.map(lambda made: _with(request(BODY, b"User-Agent: x"), made))


def _with(content: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, removed, put in changes:
        content = content[:at] + put + content[at + removed :]
    return content


def _lengths(content: bytes) -> Iterator[bytes]:
    """The same with other lengths told, and with other bodies."""
    yield content
    for length in (b"0", b"1", b"07", b"", b"-1", b"99999999999"):
        yield content.replace(b"%d" % len(BODY), length)
    yield content + b"x"
    yield content[:-1]


@settings(max_examples=200)
@given(spoiled(), spoiled())
def test_what_is_known_again_is_what_the_parser_makes_of_it(met: bytes, sent: bytes) -> None:
    heads = having_met(met, request(BODY, b"User-Agent: x"))
    for content in (*_lengths(met), *_lengths(sent)):
        found = heads.find(content)
        if found is None:
            continue
        asked, body = found
        right = parsed(content)
        assert right is not None
        message, right_body = right
        assert body == right_body
        assert (asked.version, asked.closes) == (message.version, message.should_close)
        told = [(k, v) for k, v in message.headers.items() if k.lower() != "content-length"]
        mine = [(k, v) for k, v in asked.head.headers.items() if k.lower() != "content-length"]
        assert mine == told
        assert asked.head.url == message.url


def test_what_is_remembered_is_bounded() -> None:
    met = parsed(request())
    assert met is not None
    heads, asked = Heads(), asked_by(met[0])
    contents = [request(BODY, b"X-Number: %d" % number + b"0" * 1_000) for number in range(10_000)]
    for content in contents:
        heads.keep(content, asked)
    assert heads.find(contents[0]) is None
    assert heads.find(contents[-1]) is not None
