"""One request to a collector's `POST /v1/events`, tried again until it is answered.

What the events are and what is done with the results is the caller's business. Trying again is
always safe: the collector settles the same event by its id.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple

import aiohttp
import msgspec
from yarl import URL

from spine.errors import Misconfigured, Unavailable

_ACCEPTED = 202
_RETRY = frozenset({408, 429})  # and every 5xx
_MAX_ANSWER_BYTES = 16 << 20
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 15.0

# Status → which setting is wrong, and the sentence with the remedy.
_STOP: Mapping[int, tuple[str, str]] = {
    400: ("url", "the collector could not read the request"),
    401: ("key", "the collector does not know this key; take one of the site's server keys"),
    403: ("key", "this key may not be used from here; send with a server key of the site"),
    404: ("url", "nothing takes events at this path; give the address of a collector"),
    405: ("url", "nothing takes events at this path; give the address of a collector"),
    413: ("batch_bytes", "the request is larger than the collector takes; make batches smaller"),
    415: ("url", "the collector does not take this content type or encoding"),
}


class Letter(NamedTuple):
    """A request ready to be sent, once or several times."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    events: int


class Result(msgspec.Struct, frozen=True):
    """What the collector says about one event."""

    status: Literal["accepted", "refused", "dropped"]
    event_id: str | None = None
    code: str | None = None
    detail: str | None = None


class _Answer(msgspec.Struct):
    results: list[Result]


_ANSWER = msgspec.json.Decoder(_Answer)


def events_url(address: str) -> str:
    """The address to post events to: a bare host gets the usual path. Raises: Misconfigured."""
    try:
        url = URL(address)
    except ValueError as error:
        raise Misconfigured("url", f"{address!r} is no address: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise Misconfigured("url", f"{address!r} is no address such as http://127.0.0.1:8080")
    return str(url.with_path("/v1/events") if url.path in {"", "/"} else url)


def open_session(requests: int, answer_timeout_s: float) -> aiohttp.ClientSession:
    """Connections for this many requests at a time; no proxy and no cookie from outside."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=requests),
        timeout=aiohttp.ClientTimeout(total=answer_timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent",),  # ours says nothing of a visitor
    )


def wait_s(attempt: int, retry_after_s: float, chance: float) -> float:
    """How long to wait before the next try; `attempt` counts from 0, `chance` is in 0..1.

    Never less than the collector asked for; spread, so that many senders do not return as one."""
    backoff_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(attempt, 16))
    return max(retry_after_s, backoff_s / 2) + chance * backoff_s / 2


async def post(
    session: aiohttp.ClientSession, letter: Letter, *, patience_s: float
) -> list[Result]:
    """Return the result of every event of the letter, in the letter's order.

    Raises: Unavailable when no answer came within about `patience_s`; Misconfigured when the same
    request would be turned away again."""
    give_up_at = time.monotonic() + patience_s
    for attempt in itertools.count():
        try:
            return await _once(session, letter)
        except Unavailable as away:
            pause_s = wait_s(attempt, away.retry_after_s, random.random())  # noqa: S311 spreads load
            if time.monotonic() + pause_s > give_up_at:
                why = f"{away.what}; gave up after {attempt + 1} tries in {patience_s:g} s at most"
                raise Unavailable(why, away.retry_after_s) from away
        await asyncio.sleep(pause_s)
    raise AssertionError("counting does not end")


async def _once(session: aiohttp.ClientSession, letter: Letter) -> list[Result]:
    # Without its query: a browser key travels there, and this name ends up in messages.
    where = letter.url.partition("?")[0]
    try:
        async with session.post(
            letter.url, data=letter.body, headers=letter.headers, allow_redirects=False
        ) as response:
            status, retry_after = response.status, response.headers.get("Retry-After", "")
            body = await _bounded(response)
    except aiohttp.InvalidURL as error:
        raise Misconfigured("url", f"{where} is no address") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unavailable(f"{where}: {str(error) or type(error).__name__}", 0.0) from error
    if status == _ACCEPTED:
        return _results(where, body, letter.events)
    if status >= 500 or status in _RETRY:
        raise Unavailable(f"{where} answered {status}", _seconds(retry_after))
    key, why = _STOP.get(status, ("url", "this is not the answer of a collector"))
    raise Misconfigured(key, f"{where} answered {status}: {why}")


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            raise Misconfigured("url", "the answer has no end; give the address of a collector")
    return bytes(body)


def _results(where: str, body: bytes, events: int) -> list[Result]:
    try:
        results = _ANSWER.decode(body).results
    except msgspec.MsgspecError as error:
        raise Misconfigured("url", f"{where} does not answer like a collector: {error}") from error
    if len(results) != events:
        why = f"{where} gave {len(results)} results for {events} events; it is no collector"
        raise Misconfigured("url", why)
    return results


def _seconds(retry_after: str) -> float:
    """Seconds of a Retry-After header, which is a number or a date. Source: RFC 9110, 10.2.3."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
