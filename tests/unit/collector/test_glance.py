"""A glance at bytes never takes for one whole request what a parser takes for something else."""

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.glance import is_plain
from tests.attacks.wire import BODY, head, request

LENGTH = b"Content-Length: %d" % len(BODY)
ODD = [
    head(LENGTH, start=b"GET /v1/events HTTP/1.1") + BODY,
    head(LENGTH, start=b"POST /v1/events?key=a HTTP/1.1") + BODY,
    head(LENGTH, start=b"POST /v1/events HTTP/1.0") + BODY,
    head(LENGTH, b"Transfer-Encoding: chunked") + BODY,
    head(LENGTH, b"Transfer-Encoding : chunked") + BODY,
    head(LENGTH, b"X: a\r\n Transfer-Encoding: chunked") + BODY,
    head(LENGTH, LENGTH) + BODY,
    head(LENGTH, b"Content-Length : 0") + BODY,
    head(b"Content-Length: +%d" % len(BODY)) + BODY,
    head(b"Content-Length: %d " % len(BODY)) + BODY,
    head(b"Content-Length: " + b"0" * 5_000 + b"%d" % len(BODY)) + BODY,
    head(b"X-Content-Length: %d" % len(BODY)) + BODY,
    head(LENGTH, b"X: a\nContent-Length: 0") + BODY,
    head(LENGTH, b"X: a\rb") + BODY,
    head(LENGTH, b"Connection: close") + BODY,
    head(LENGTH, b"Connection: keep-alive", b"Connection: close") + BODY,
    head(LENGTH, b"Expect: 100-continue") + BODY,
    head(LENGTH, b"Origin: https://shop.example") + BODY,
    head(LENGTH, *[b"X-%d: a" % number for number in range(60)]) + BODY,
    head() + BODY,
    request().replace(b"Authorization", b"X-Authorization"),
    request()[:-1],
    request() + b"P",
    request() + request(),
    b"",
]


def test_what_is_sent_every_day_is_plain() -> None:
    assert is_plain(request())
    assert is_plain(request(BODY, b"connection: Keep-Alive", b"User-Agent: x"))
    assert is_plain(request().replace(b"Authorization", b"authorization"))


@pytest.mark.parametrize("content", ODD)
def test_what_is_odd_is_left_to_the_parser(content: bytes) -> None:
    assert not is_plain(content)


pieces = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b"0", b"7",
     b"Transfer-Encoding: chunked\r\n", b"Content-Length: 1\r\n", b"Connection: close\r\n",
     b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n"]
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3), pieces), max_size=3))
def test_what_is_plain_is_one_whole_request_to_the_parser_or_none(
    changes: list[tuple[int, int, bytes]],
) -> None:
    content = request(BODY, b"User-Agent: x")
    for at, removed, put in changes:
        content = content[:at] + put + content[at + removed :]
    if not is_plain(content):
        return
    loop = asyncio.new_event_loop()
    try:
        found, upgraded, rest = HttpRequestParser(BaseProtocol(loop), loop, 65536).feed_data(
            content
        )
    except HttpProcessingError:
        return  # refused with a code of its own on another day; nothing is behind it
    finally:
        loop.close()
    ((message, payload),) = found
    assert (message.method, message.path, upgraded, rest) == ("POST", "/v1/events", False, b"")
    assert payload.is_eof()
    assert not message.should_close
