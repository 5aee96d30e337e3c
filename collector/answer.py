"""Answers in one piece: head and body are one write.

aiohttp builds an answer as a map of headers, fills it up, checks and serialises it; that costs more
than admitting an event does. Here the head is made once for all answers that are alike.
"""

import math
import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import cast

import msgspec
import orjson
from aiohttp import HttpVersion, HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from collector.admission import Admission, Result
from spine.codes import CODES

_encoder = msgspec.json.Encoder()

Headers = tuple[tuple[str, str], ...]
"""Headers of an answer, in order; hashable, so that alike heads are made once."""

SERVER = "beleg"
"""What answers call us: what we are made of is nobody's business."""

JSON: Headers = (("Content-Type", "application/json"),)
"""What every answer with a body says."""


class Answer:
    """An answer with a JSON body, or with none, whichever way it goes out.

    Shape: `closes` says that the connection is closed behind it."""

    __slots__ = ("body", "closes", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: Headers = ()) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.closes = False

    def instead(self, body: bytes, headers: Headers) -> None:
        """Say this with the same status; of the headers the content type goes."""
        self.body = body
        self.headers = headers + tuple([one for one in self.headers if one[0] != "Content-Type"])

    def written(self, version: HttpVersion, *, last: bool, head_only: bool = False) -> bytes:
        """Give what goes out, for a client of this version, on a connection that stays open or
        not. Raises: ValueError for a header of several lines."""
        connection = ""
        if last:
            connection = "close"
        elif version < HttpVersion11:
            connection = "keep-alive"
        return b"%bContent-Length: %d\r\n\r\n%b" % (
            _head(self.status, self.headers, connection, int(time.time())),
            len(self.body),
            b"" if head_only else self.body,
        )


def refusal(code: str, detail: str, headers: Headers = ()) -> Answer:
    """Make the answer that nothing of a request is taken."""
    known = CODES[code]
    said_of_it = orjson.dumps({"code": code, "meaning": known.meaning, "detail": detail})
    return Answer(known.http_status or 400, said_of_it, JSON + headers)


def wait(code: str, wait_s: float) -> Answer:
    """Make the answer that nothing is taken until then."""
    wait_s = math.ceil(wait_s)
    return refusal(code, f"wait {wait_s} s", (("Retry-After", str(wait_s)),))


class Response(web.StreamResponse):
    """Hands an answer to aiohttp, to be written in one piece.

    It uses aiohttp's protocol for responses and its writer, nothing private."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(status=answer.status)
        self._answer = answer
        self._request: web.BaseRequest | None = None
        self._stays = not answer.closes

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open after this answer."""
        return self._stays

    def force_close(self) -> None:
        """Close the connection after this answer."""
        self._stays = False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Take note of what is answered; nothing is written yet."""
        self._request = request
        self._stays = self._stays and request.keep_alive
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Write the answer. Raises: ConnectionError when the client has gone."""
        request = cast("web.BaseRequest", self._request)  # aiohttp prepares before it writes
        await request.writer.write(
            self._answer.written(
                request.version, last=not self._stays, head_only=request.method == "HEAD"
            )
        )
        await request.writer.drain()


@lru_cache(maxsize=1024)
def _head(status: int, headers: Headers, connection: str, now_s: int) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Server: {SERVER}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if connection:
        lines.append(f"Connection: {connection}")
    lines.append(f"Date: {formatdate(now_s, usegmt=True)}")
    head = "\r\n".join(lines)
    if head.count("\r") + head.count("\n") != 2 * (len(lines) - 1):
        raise ValueError("a header has a line break in it")
    return f"{head}\r\n".encode()


class _Accepted(msgspec.Struct):
    accepted: int
    results: list[Result]


def said(admission: Admission) -> bytes:
    """Give the body of the answer that says how each event fared."""
    return _encoder.encode(_Accepted(len(admission.admitted), admission.results))
