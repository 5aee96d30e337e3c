"""Answers in one piece: head and body are one write.

aiohttp builds an answer as a map of headers, fills it up, checks and serialises it; that costs more
than admitting an event does. Here the head is made once for all answers that are alike.
"""

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import cast

import msgspec
from aiohttp import HttpVersion, HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from collector.admission import Admission, Result

_encoder = msgspec.json.Encoder()

Headers = tuple[tuple[str, str], ...]
"""Headers of an answer, in order; hashable, so that alike heads are made once."""

JSON: Headers = (("Content-Type", "application/json"),)
"""What every answer with a body says."""


class Answer(web.StreamResponse):
    """An answer with a JSON body, or with none."""

    def __init__(self, status: int, body: bytes, headers: Headers = ()) -> None:
        super().__init__(status=status)
        self._content = body
        self._wanted = headers
        self._request: web.BaseRequest | None = None
        self._stays = True

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open after this answer."""
        return self._stays

    def force_close(self) -> None:
        """Close the connection after this answer."""
        self._stays = False

    def also(self, headers: Headers) -> None:
        """Add headers."""
        self._wanted += headers

    def instead(self, body: bytes, headers: Headers) -> None:
        """Say this with the same status; of the headers the content type goes."""
        self._content = body
        self._wanted = headers + tuple([one for one in self._wanted if one[0] != "Content-Type"])

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Take note of what is answered; nothing is written yet."""
        self._request = request
        self._stays = self._stays and request.keep_alive
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Write the answer. Raises: ConnectionError when the client has gone."""
        request = cast("web.BaseRequest", self._request)  # aiohttp prepares before it writes
        content = self._content
        await request.writer.write(
            b"%bContent-Length: %d\r\nDate: %b\r\n\r\n%b"
            % (
                self.head(request.version),
                len(content),
                _date(int(time.time())),
                b"" if request.method == "HEAD" else content,
            )
        )
        await request.writer.drain()

    def head(self, version: HttpVersion) -> bytes:
        """Give what alike answers begin with. Raises: ValueError for a header of several lines."""
        connection = ""
        if not self._stays:
            connection = "close"
        elif version < HttpVersion11:
            connection = "keep-alive"
        return _head(self.status, self._wanted, connection)


@lru_cache(maxsize=1024)
def _head(status: int, headers: Headers, connection: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Server: beleg"]
    lines += [f"{name}: {value}" for name, value in headers]
    if connection:
        lines.append(f"Connection: {connection}")
    head = "\r\n".join(lines)
    if head.count("\r") + head.count("\n") != 2 * (len(lines) - 1):
        raise ValueError("a header has a line break in it")
    return f"{head}\r\n".encode()


@lru_cache(maxsize=2)
def _date(now_s: int) -> bytes:
    return formatdate(now_s, usegmt=True).encode()


class _Accepted(msgspec.Struct):
    accepted: int
    results: list[Result]


def said(admission: Admission) -> bytes:
    """Give the body of the answer that says how each event fared."""
    return _encoder.encode(_Accepted(len(admission.admitted), admission.results))
