"""The clock of a running server is put back, and forward: nothing is lost, nothing counts twice."""

import asyncio
import re
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from spine.store import Store
from tests.clickhouse_server import client_of, started
from tests.faults.oracle import settle
from tests.flow.clock import Clock, library
from tests.flow.derive_model import Outcome, outcome
from tests.flow.happenings import Happening
from tests.flow.houses import BROWSER, BROWSER_KEY, ORIGIN, House, house_of
from tests.flow.views import found

HOUR_S = 3_600
# The engine reads the clock past the library: to it, put back means that versions were taken later.
LEAD = "INSERT INTO tokens SELECT 0, toUInt64(toUnixTimestamp64Micro(now64(6))) + 7200000000"


@pytest.fixture
def lib() -> Path:
    return library()


@pytest.fixture(params=["embedded", "kafka"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with house_of(request.param, tmp_path, request) as opened:
        yield opened


def event(number: int) -> dict[str, Any]:
    return {
        "event_id": f"e-{number}",
        "name": "page_view",
        "occurred_at": datetime.now(UTC).isoformat(),
        "anonymous_id": f"a-{number % 3}",
        "page": {"url": f"{ORIGIN}/"},
        "consent": {"purposes": {"analytics": True}},
    }


async def accepted(house: House, events: list[dict[str, Any]]) -> None:
    headers = {"Authorization": f"Bearer {BROWSER_KEY}", "Origin": ORIGIN, "User-Agent": BROWSER}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{house.url}/v1/events", json={"events": events}) as answer,
    ):
        assert (await answer.json())["accepted"] == len(events)


def lead(house: House) -> None:
    """Let the store have taken versions two hours from now."""
    if house.store is not None:
        with client_of(house.store, database="beleg") as client:
            client.command(LEAD)
        return
    path = house.config.parent / "data" / "store"
    with started(path, "--writable") as server, client_of(server, database="beleg") as client:
        client.command(LEAD)


async def shown(house: House) -> Outcome:
    """What the views say, in the terms of the model."""
    address = "{}:{}".format(*house.store) if house.store else house.addresses["store"]
    store = await Store.ask(address)
    try:
        return await found(store, "shop")
    finally:
        await store.close()


def latency_s(house: House, processor: str) -> float:
    """All event-to-row latencies that were observed, added up."""
    address = house.addresses[f"{processor} admin"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        (total,) = re.findall(r"^beleg_row_latency_seconds_sum (.*)$", answer.read().decode(), re.M)
    return float(total)


async def test_a_server_clock_put_back_and_forward_loses_nothing_and_counts_nothing_twice(
    house: House, lib: Path, tmp_path: Path
) -> None:
    clock = Clock(lib, tmp_path / "clock")
    processor = next(role for role in ("run", "process") if role in house.running)
    for process in house.running.values():
        assert process.end() == 0
    lead(house)
    for role in list(house.running):
        house.start(role, clock.env)
    events: list[dict[str, Any]] = []
    offs_s = (0, -HOUR_S, 72 * HOUR_S, 71 * HOUR_S)
    for off_s in offs_s:
        await asyncio.to_thread(settle, house, processor)
        await asyncio.to_thread(clock.put, off_s, house)
        fresh = [event(len(events) + number) for number in range(6)]
        await accepted(house, fresh)
        await accepted(house, [*fresh[:2], *events[:2]])  # clients try again, also days later
        events += fresh
    await asyncio.to_thread(settle, house, processor)

    assert house.ask("SELECT count(), uniqExact(event_id) FROM v_events") == [(24, 24)]
    stored = house.ask(
        "SELECT event_id, toUnixTimestamp64Milli(occurred_at), anonymous_id FROM events FINAL"
    )
    happened = [
        Happening("shop", "page_view", event_id, at_ms, anonymous_id=anonymous_id)
        for event_id, at_ms, anonymous_id in stored
    ]
    assert await shown(house) == outcome(happened)
    duplicates = 2 * len(offs_s) + 2 * (len(offs_s) - 1)
    assert house.ask("SELECT countIf(fate = 'duplicate') FROM fates FINAL") == [(duplicates,)]
    # The collector saw these clocks: what the pages said was later was held back, and is marked.
    held_back = house.ask(
        "SELECT round((toUnixTimestamp64Milli(received_at) - toUnixTimestamp64Milli(occurred_at))"
        " / 3600000) AS hours, countIf(has(flags, 'time_clamped')) AS clamped, count()"
        " FROM events FINAL GROUP BY hours ORDER BY hours"
    )
    assert held_back == [(0, 6, 12), (71, 0, 6), (72, 0, 6)]
    # Versions rise in the order of the ledger, above those that were there.
    lines = house.ask(
        "SELECT arrayMap(l -> l.2, arraySort(groupArray((first_offset, token)))) FROM ledger FINAL"
        " GROUP BY log_partition"
    )
    assert all(tokens == sorted(set(tokens)) for (tokens,) in lines)
    (ahead,) = house.ask("SELECT min(token) > toUnixTimestamp64Micro(now64(6)) FROM ledger")[0]
    assert ahead
    assert 0 <= latency_s(house, processor) < 60
    for process in house.running.values():
        assert process.end() == 0
