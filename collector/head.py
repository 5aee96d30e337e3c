"""The head of a request, however it came in: all that callers are judged by."""

from typing import NamedTuple

from aiohttp import web
from multidict import CIMultiDictProxy
from yarl import URL


class Head(NamedTuple):
    """What stands before the body of a request, and who is connected.

    Shape: `url` has path and query; `peer` is an address, empty where the socket has none."""

    headers: CIMultiDictProxy[str]
    url: URL
    peer: str


def head_of(request: web.Request) -> Head:
    """Give the head of a request of aiohttp's."""
    return Head(request.headers, request.rel_url, request.remote or "")
