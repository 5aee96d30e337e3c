"""Clients that send the shops' parcels to whichever collector answers, and note what happened."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence

import aiohttp
import orjson

from tests.faults.parcel import Parcel
from tests.faults.shop import Shop
from tests.faults.truth import Attempt, Truth
from tests.flow.houses import House

_CLIENTS = 4
_PAUSE_S = 0.03
_ANSWER_WITHIN_S = 10


class Clients:
    """Several clients at once; started and stopped around a check."""

    def __init__(
        self,
        house: House,
        collectors: Sequence[str],
        shops: Sequence[Shop],
        truth: Truth,
        seed: int,
    ) -> None:
        self._house = house
        self._collectors = collectors
        self._shops = shops
        self._truth = truth
        self._chance = random.Random(seed)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._client()) for _ in range(_CLIENTS)]

    async def stop(self) -> None:
        """Stop between two parcels or in the middle of one."""
        for task in self._tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None and not isinstance(outcome, asyncio.CancelledError):
                raise outcome

    async def _client(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S)
        # Without a user agent: the library's own is that of a bot.
        session = aiohttp.ClientSession(timeout=timeout, skip_auto_headers=("User-Agent",))
        async with session:
            while True:
                await self._deliver(session, self._chance.choice(self._shops).parcel())
                await asyncio.sleep(_PAUSE_S)

    async def _deliver(self, session: aiohttp.ClientSession, parcel: Parcel) -> None:
        """Send a parcel until it is taken; one client in ten never tries again."""
        patient = self._chance.random() < 0.9
        while await self._attempt(session, parcel) != 202 and patient:
            await asyncio.sleep(self._chance.uniform(0.05, 0.3))

    async def _attempt(self, session: aiohttp.ClientSession, parcel: Parcel) -> int:
        role = self._chance.choice(self._collectors)
        sent_at, status = time.time(), 0
        try:
            async with session.post(
                _url(self._house.addresses[f"{role} collector"], parcel),
                data=orjson.dumps({"events": [saying.body for saying in parcel.sayings]}),
                headers=_headers(parcel),
            ) as answer:
                body = await answer.read()
                status = answer.status
                assert status in (202, 503), f"{status}: {body!r}"
                if status == 202:
                    _agree(parcel, orjson.loads(body))
        except (aiohttp.ClientError, TimeoutError):
            pass
        finally:  # also when stopped in the middle: it may have arrived
            self._truth.note(Attempt(parcel, role, sent_at, time.time(), status))
        return status


def _url(address: str, parcel: Parcel) -> str:
    query = f"?key={parcel.site.browser_key}" if parcel.channel == "browser" else ""
    return f"http://{address}/v1/events{query}"


def _headers(parcel: Parcel) -> Mapping[str, str]:
    if parcel.channel == "browser":
        return {"Origin": parcel.site.origin, "Content-Type": "text/plain"}
    return {"Authorization": f"Bearer {parcel.site.server_key}", "Content-Type": "application/json"}


def _agree(parcel: Parcel, answer: Mapping[str, object]) -> None:
    results = answer["results"]
    assert isinstance(results, list)
    taken = [result["status"] == "accepted" for result in results]
    assert taken == [saying.told is not None for saying in parcel.sayings], (parcel, results)
