"""Posting demo traffic through the front door, as browsers and a shop's backend do.

The traffic itself comes from `beleg.demo.shop`, the right answers from `beleg.demo.truth`.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import aiohttp
import msgspec
import orjson

from beleg.demo.site import DEMO_SITE
from beleg.demo.visit import Hit
from beleg.post import Letter, Result, events_url, open_session, post

_WINDOW_HITS = 400
_REQUESTS = 8
_BATCH = {"browser": 20, "server": 50}
_PATIENCE_S, _ANSWER_TIMEOUT_S = 60.0, 30.0


class DemoReport(msgspec.Struct, frozen=True):
    """What was posted and how it was answered.

    Shape: `sent` counts copies; `by_status` sums up to it; `by_code` has every code met."""

    sent: int
    requests: int
    by_status: Mapping[str, int]
    by_code: Mapping[str, int]
    spent_s: float


class _Tally:
    """What has been answered so far."""

    def __init__(self) -> None:
        self.began_at_s = time.monotonic()
        self.sent = self.requests = 0
        self.by_status: Counter[str] = Counter()
        self.by_code: Counter[str] = Counter()

    def add(self, results: Sequence[Result]) -> None:
        """Count the answer to one request."""
        self.requests += 1
        self.sent += len(results)
        self.by_status.update(result.status for result in results)
        self.by_code.update(result.code for result in results if result.code)

    def report(self) -> DemoReport:
        """The figures now."""
        spent_s = time.monotonic() - self.began_at_s
        by_status, by_code = dict(self.by_status), dict(self.by_code)
        return DemoReport(self.sent, self.requests, by_status, by_code, spent_s)


async def drive(
    url: str,
    hits: Iterable[Hit],
    *,
    rate_per_s: float,
    progress: Callable[[DemoReport], None],
) -> DemoReport:
    """Return when every copy of every hit has been answered; what is past is posted at once.

    A hit whose `posted_at` is still to come is waited for, so endless hits make a live shop.
    Copies of a hit travel in different requests. Units: at most `rate_per_s` events a second, on
    average. Raises: Unavailable, Misconfigured."""
    target, tally = events_url(url), _Tally()
    async with open_session(_REQUESTS, _ANSWER_TIMEOUT_S) as session:
        again: list[Hit] = []
        async for window in _windows(hits):
            again = await _post_window(session, target, [*again, *window], tally)
            progress(tally.report())
            ahead_s = tally.sent / rate_per_s - (time.monotonic() - tally.began_at_s)
            await asyncio.sleep(max(0.0, ahead_s))
        while again:
            again = await _post_window(session, target, again, tally)
            progress(tally.report())
    return tally.report()


async def _windows(hits: Iterable[Hit]) -> AsyncIterator[list[Hit]]:
    """What is due now, a handful at a time."""
    window: list[Hit] = []
    for hit in hits:
        ahead_s = (hit.posted_at - datetime.now(UTC)).total_seconds()
        if window and (ahead_s > 0 or len(window) == _WINDOW_HITS):
            yield window
            window = []
        if ahead_s > 0:
            await asyncio.sleep(ahead_s)
        window.append(hit)
    if window:
        yield window


async def _post_window(
    session: aiohttp.ClientSession, url: str, window: Sequence[Hit], tally: _Tally
) -> list[Hit]:
    """Post these hits and return those of which another copy is to be sent."""
    free = asyncio.Semaphore(_REQUESTS)

    async def deliver(letter: Letter) -> None:
        async with free:
            tally.add(await post(session, letter, patience_s=_PATIENCE_S))

    letters = [_letter(url, hits) for hits in _batches(window)]
    # Exceptions are gathered, so that no request is left under way when one has failed.
    for outcome in await asyncio.gather(*map(deliver, letters), return_exceptions=True):
        if outcome is not None:
            raise outcome
    return [hit._replace(times_sent=hit.times_sent - 1) for hit in window if hit.times_sent > 1]


def _batches(window: Iterable[Hit]) -> list[list[Hit]]:
    """One request has one user agent. (Visitors with the same one share a request: a real page
    would not know of them, but a demo must not take minutes.)"""
    groups: dict[tuple[str, str], list[Hit]] = defaultdict(list)
    for hit in window:
        groups[hit.channel, hit.user_agent].append(hit)
    return [
        group[start : start + _BATCH[channel]]
        for (channel, _), group in groups.items()
        for start in range(0, len(group), _BATCH[channel])
    ]


def _letter(url: str, hits: Sequence[Hit]) -> Letter:
    """The request as its sender would make it: sendBeacon from a page, JSON from a backend."""
    events = [hit.event for hit in hits]
    body = orjson.dumps(events[0] if len(events) == 1 else {"events": events})
    headers = {"User-Agent": hits[0].user_agent}
    if hits[0].channel == "server":
        headers["Authorization"] = f"Bearer {DEMO_SITE.server_key}"
        headers["Content-Type"] = "application/json"
    else:
        url = f"{url}?key={DEMO_SITE.browser_key}"
        headers["Origin"] = DEMO_SITE.origin
        headers["Content-Type"] = "text/plain;charset=UTF-8"
    return Letter(url, headers, body, len(events))
