"""What is answered before the application is asked: too much is under way, or it is no request."""

import random
from functools import lru_cache
from typing import Literal, get_args

import orjson
from aiohttp import web

from collector.answer import SERVER
from collector.caller import source_of
from collector.head import Head
from collector.pressure import Pressure, Why
from collector.source import Sources
from spine.codes import CODES
from spine.metrics import Metrics

_LATE: Literal["late"] = "late"
_RETRY_AFTER_S = ("1", "2", "3")
_OVERLOADED = orjson.dumps(
    {"code": "overloaded", "meaning": CODES["overloaded"].meaning, "detail": "send it again"}
)


def retry_after() -> str:
    """Give when to come again; not the same for all, or all come at once."""
    return random.choice(_RETRY_AFTER_S)  # noqa: S311 - to spread, not to hide


class Early:
    """Turns requests away while too much is under way, and counts them."""

    def __init__(self, sources: Sources, pressure: Pressure, metrics: Metrics) -> None:
        self._sources = sources
        self._pressure = pressure
        self._requests = metrics.requests
        self._shed = {
            (why, again): metrics.shed.labels(why, "retrying" if again else "beacon")
            for why in (*get_args(Why), _LATE)
            for again in (True, False)
        }

    def why_not(self, head: Head) -> Why | None:
        """Say why a request is turned away, or nothing when it is let in."""
        why = self._pressure.why_not(comes_again=head.comes_again)
        if why is not None:
            self.count(why, head)
        return why

    def count(self, why: Why, head: Head) -> None:
        """Count a request that is turned away."""
        self._shed[why, head.comes_again].inc()

    def turned_away(self, head: Head, late: bool, last: bool) -> bytes | None:
        """Give the whole answer to a request that is turned away, for the cheap cases: events that
        will be sent again. Beacons are for the application, as they are mostly let in."""
        if not head.comes_again:
            return None
        why = self._pressure.why_not(comes_again=True) or (_LATE if late else None)
        origin = head.origin
        if why is None or not (origin is None or self._is_of_its_site(origin, head)):
            return None
        self._shed[why, True].inc()
        self._requests.by["events", "503"] += 1
        return _answer(origin, retry_after(), last)

    def _is_of_its_site(self, origin: str, head: Head) -> bool:
        source = source_of(head, self._sources)
        return source is not None and origin.lower() in source.origins

    def unreadable(self, code: str) -> web.Response:
        """Make the answer to what is no HTTP request; nothing of it is repeated."""
        known = CODES[code]
        status = known.http_status or 400
        self._requests.by["other", str(status)] += 1
        body = orjson.dumps({"code": code, "meaning": known.meaning, "detail": "no HTTP request"})
        headers = {"Server": SERVER, "Content-Type": "application/json"}
        return web.Response(status=status, body=body, headers=headers)


@lru_cache(maxsize=256)
def _answer(origin: str | None, wait_s: str, last: bool) -> bytes:
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        f"Server: {SERVER}\r\nContent-Length: {len(_OVERLOADED)}\r\n"
        f"Retry-After: {wait_s}\r\nVary: Origin\r\n"
    )
    if origin is not None:
        head += f"Access-Control-Allow-Origin: {origin}\r\n"
        head += "Access-Control-Expose-Headers: Retry-After\r\n"
    if last:
        head += "Connection: close\r\n"
    return f"{head}\r\n".encode() + _OVERLOADED
