"""An orderly end: what was begun is finished, nothing acknowledged is lost or counted twice."""

import asyncio
import random
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.flow.houses import ORIGIN, SERVER_KEY, House, house_of

CONSENT = {"purposes": {"analytics": True}}


@pytest.fixture(params=["embedded", "kafka"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with house_of(request.param, tmp_path, request) as opened:
        yield opened


class Shop:
    """Posts numbered orders and views without end, each again until it is acknowledged."""

    def __init__(self, house: House, seed: int) -> None:
        self._house = house
        self._chance = random.Random(seed)
        self._number = 0
        self.acknowledged: dict[str, str] = {}
        self.sent: set[str] = set()
        self.answers: dict[int, int] = {}

    def _event(self) -> dict[str, Any]:
        self._number += 1
        number = self._number
        at = datetime.now(UTC) - timedelta(seconds=self._chance.uniform(0, 3 * 86_400))
        event: dict[str, Any] = {
            "event_id": f"e{number}",
            "name": "purchase" if number % 5 == 0 else "page_view",
            "occurred_at": at.isoformat(),
            "anonymous_id": f"a{self._chance.randrange(50)}",
            "page": {"url": f"{ORIGIN}/{number}"},
            "consent": CONSENT,
        }
        if number % 5 == 0:
            event["commerce"] = {"transaction_id": f"T{number}", "currency": "EUR", "value": 10}
        if number % 7 == 0:
            event["user_id"] = f"u{event['anonymous_id']}"
        return event

    async def post_for_ever(self) -> None:
        headers = {"Authorization": f"Bearer {SERVER_KEY}", "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            while True:
                events = [self._event() for _ in range(self._chance.choice((1, 1, 20)))]
                self.sent |= {event["event_id"] for event in events}
                await self._post(session, events)

    async def _post(self, session: aiohttp.ClientSession, events: list[dict[str, Any]]) -> None:
        body = orjson.dumps({"events": events})
        while True:
            try:
                async with session.post(f"{self._house.url}/v1/events", data=body) as answer:
                    self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
                    if answer.status == 202:
                        for event in events:
                            self.acknowledged[event["event_id"]] = event["name"]
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.05)


def check(house: House, shop: Shop) -> None:
    """Everything acknowledged is there once; what was never acknowledged may be there once."""
    house.wait_until(
        "SELECT countIf(name = 'page_view') + countIf(name = 'purchase') >= "
        f"{len(shop.acknowledged)} FROM v_events",
        1,
    )
    found = [row[0] for row in house.ask("SELECT event_id FROM v_events")]
    assert len(found) == len(set(found)), "counted twice"
    assert set(shop.acknowledged) <= set(found), "acknowledged and lost"
    assert set(found) <= shop.sent
    orders = {f"e{row[0][1:]}" for row in house.ask("SELECT transaction_id FROM v_orders")}
    house.wait_until(
        "SELECT (SELECT count() FROM v_orders) = (SELECT count() FROM v_events"
        " WHERE name = 'purchase')",
        1,
    )
    assert orders <= set(found)
    house.wait_until("SELECT sum(events) = (SELECT count() FROM v_events) FROM v_sessions", 1)
    ledger = house.ledger_at_rest()
    assert ledger["holds"] is True, ledger
    ((gross, count),) = house.ask("SELECT sum(gross), count() FROM v_orders")
    assert gross == Decimal(10) * count


async def test_sigterm_finishes_what_was_begun_and_leaves_nothing_behind(house: House) -> None:
    shop = Shop(house, 7)
    posting = asyncio.create_task(shop.post_for_ever())
    await asyncio.sleep(1.5)
    for role in list(house.running):
        code = await asyncio.to_thread(house.running[role].end, signal.SIGTERM)
        assert code == 0, "".join(house.running[role].lines)
        assert any('"drained"' in line for line in house.running[role].lines)
        await asyncio.to_thread(house.start, role)
    await asyncio.sleep(0.3)
    posting.cancel()
    assert set(shop.answers) == {202}
    await asyncio.to_thread(check, house, shop)
