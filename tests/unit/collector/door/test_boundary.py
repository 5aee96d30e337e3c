"""Where a request begins is known for sure, or not at all."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.door.boundary import Boundary
from tests.attacks.wire import BODY, KEY, head, request
from tests.unit.collector.door.test_heads import ODD, pieces, spoiled

LENGTH = b"Content-Length: %d" % len(BODY)
ASKED_BEFORE = head(start=b"OPTIONS /v1/events HTTP/1.1")


class Place:
    """A parser, and where it is said to be."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parser = HttpRequestParser(BaseProtocol(loop), loop, 65536)
        self.boundary = Boundary()

    def feed(self, *parts: bytes) -> list[str]:
        """Give all that was found; nothing more after what cannot be read."""
        found: list[str] = []
        for part in parts:
            try:
                some, upgraded, _ = self._parser.feed_data(part)
            except HttpProcessingError:
                self.boundary.lose()
                return found
            self.boundary.follow(part, some, upgraded=upgraded)
            found += [repr(message) for message, _ in some]
        return found


@contextmanager
def place(*parts: bytes) -> Iterator[Place]:
    loop = asyncio.new_event_loop()
    try:
        at = Place(loop)
        at.feed(*parts)
        yield at
    finally:
        loop.close()


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"",),
        (request(),),
        (request(), request(b"{}")),
        (request()[:-5], request()[-5:]),
        (request()[: -len(BODY)], b"", BODY[:3], BODY[3:]),
        (ASKED_BEFORE, request(b"")),
        (request().replace(b"Length", b"length"),),
    ],
)
def test_behind_whole_requests_another_begins(parts: tuple[bytes, ...]) -> None:
    with place(*parts) as at:
        assert at.boundary.is_here
        assert len(at.feed(request())) == 1


@pytest.mark.parametrize(
    "parts",
    [
        (request()[:-5],),
        (request()[:10],),
        (request() + request(),),
        (request() + b"POST /v1/events HTTP/1.1\r\n" + KEY + b"X-A: ",),
        (request()[:-5], request()[-5:] + b"POST"),
        (head(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",),
        (request(BODY, b"Connection: upgrade", b"Upgrade: h2c"),),
        (b"\r\n\r\n" + request(),),
        (head(b"X-Content-Length: 5", LENGTH) + BODY,),
    ],
)
def test_where_it_is_not_sure_nothing_begins(parts: tuple[bytes, ...]) -> None:
    with place(*parts) as at:
        assert not at.boundary.is_here
        at.feed(request())
        assert not at.boundary.is_here


def cut(content: bytes, at: list[int]) -> list[bytes]:
    places = sorted({min(one, len(content)) for one in at})
    return [content[a:b] for a, b in zip([0, *places], [*places, len(content)], strict=True)]


streams = st.lists(
    st.one_of(
        st.just(request()), st.just(ASKED_BEFORE), spoiled(), pieces,
        st.sampled_from(ODD), st.just(request()[:40]),
    ),
    max_size=4,
).map(b"".join)  # fmt: skip


@settings(max_examples=300)
@given(streams, st.lists(st.integers(0, 900), max_size=4), spoiled())
def test_where_one_begins_the_parser_is_as_a_new_one(
    sent: bytes, cuts: list[int], following: bytes
) -> None:
    with place(*cut(sent, cuts)) as at, place() as new:
        if at.boundary.is_here:
            assert at.feed(following) == new.feed(following)
