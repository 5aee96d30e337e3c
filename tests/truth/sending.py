"""Tell a collector what happened, as browsers and a backend do: late, twice, by wrong clocks."""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import orjson

from beleg.post import Letter, events_url, open_session, post
from tests.flow.houses import BROWSER_KEY, ORIGIN, SERVER_KEY
from tests.truth.shop import Told

_REQUESTS, _PATIENCE_S, _ANSWER_TIMEOUT_S = 8, 120.0, 30.0
_AT_ONCE = {"browser": 12, "server": 50}


class _Parcel(NamedTuple):
    """Events of one sender that go in one request."""

    posted: float
    told: Sequence[Told]


async def send(url: str, told: Sequence[Told], say: Callable[[int], None]) -> None:
    """Return when every copy of every event was answered; copies travel apart, in any order."""
    address = events_url(url)
    copies = [
        one._replace(posted=one.posted + nth * 5_000.0, copies=1)
        for one in told
        for nth in range(one.copies)
    ]
    parcels = sorted(_parcels(copies), key=lambda parcel: parcel.posted)
    waiting = iter(parcels)
    async with open_session(_REQUESTS, _ANSWER_TIMEOUT_S) as session:

        async def deliver() -> None:
            for parcel in waiting:
                await post(session, _letter(address, parcel.told), patience_s=_PATIENCE_S)
                say(len(parcel.told))

        await asyncio.gather(*(deliver() for _ in range(_REQUESTS)))


def _parcels(copies: Sequence[Told]) -> Iterator[_Parcel]:
    """Batch what one sender tells within a few minutes; no copy beside another."""

    def sender(one: Told) -> tuple[str, str]:
        return one.channel, "" if one.channel == "server" else one.device.anonymous_id

    in_order = sorted(copies, key=lambda one: (sender(one), one.posted))
    for (channel, _), ones in itertools.groupby(in_order, key=sender):
        batch: list[Told] = []
        for one in ones:
            far = bool(batch) and one.posted - batch[0].posted > 600
            if far or len(batch) == _AT_ONCE[channel]:
                yield _Parcel(batch[-1].posted, batch)
                batch = []
            batch.append(one)
        yield _Parcel(batch[-1].posted, batch)


def _letter(address: str, told: Sequence[Told]) -> Letter:
    first = told[0]
    skew = timedelta(seconds=first.device.skew_s if first.channel == "browser" else 0.0)
    events = [{**one.event, "occurred_at": _text(one.at + skew)} for one in told]
    body: dict[str, object] = {"events": events, "sent_at": _text(datetime.now(UTC) + skew)}
    headers = {"User-Agent": first.user_agent}
    if first.channel == "server":
        headers |= {"Authorization": f"Bearer {SERVER_KEY}", "Content-Type": "application/json"}
        return Letter(address, headers, orjson.dumps(body), len(told))
    headers |= {"Origin": ORIGIN, "Content-Type": "text/plain;charset=UTF-8"}
    return Letter(f"{address}?key={BROWSER_KEY}", headers, orjson.dumps(body), len(told))


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
