"""Poison on the log, and a log that is away: the way of an event in bad weather."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer

from spine.settings_file import load
from tests.flow.houses import ORIGIN, SERVER_KEY, House, house_of, kafka_house
from tests.kafka_broker import Broker

POISON = (
    b"\xff\x00garbage",
    b'{"schema":"event.7","something":"new"}',
    b'{"schema":"event.1"}',
    b"[" * 50_000,
    b"",
)


@pytest.fixture(params=["embedded", "kafka"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    with house_of(request.param, tmp_path, request) as opened:
        yield opened


def event(event_id: str) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "name": "page_view",
        "occurred_at": datetime.now(UTC).isoformat(),
        "anonymous_id": "a1",
        "page": {"url": f"{ORIGIN}/"},
        "consent": {"purposes": {"analytics": True}},
    }


async def post(house: House, event_id: str) -> aiohttp.ClientResponse:
    headers = {"Authorization": f"Bearer {SERVER_KEY}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{house.url}/v1/events", json=event(event_id)) as answer,
    ):
        await answer.read()
        return answer


async def poison(house: House) -> None:
    """Put values on the log that no collector wrote."""
    settings = load(house.config, {})
    if settings.log.url == "embedded":
        with sqlite3.connect(house.config.parent / "data" / "log.sqlite", timeout=30) as log:
            log.executemany(
                "INSERT INTO records (value, appended_ms) VALUES (?, 0)", [(v,) for v in POISON]
            )
        log.close()
        return
    producer = AIOKafkaProducer(bootstrap_servers=settings.log.url.removeprefix("kafka://"))
    await producer.start()
    try:
        for value in POISON:
            await producer.send_and_wait(settings.log.topic, value, partition=1)
    finally:
        await producer.stop()


async def test_poison_becomes_rejects_with_its_bytes_and_stops_nothing(house: House) -> None:
    assert (await post(house, "before")).status == 202
    await poison(house)
    for number in range(20):
        assert (await post(house, f"after{number}")).status == 202
    await asyncio.to_thread(house.wait_until, "SELECT count() FROM v_events", 21)
    await asyncio.to_thread(house.wait_until, "SELECT count() FROM rejects", len(POISON))
    rows = house.ask("SELECT hex(value), code FROM rejects ORDER BY log_partition, log_offset")
    assert [(bytes.fromhex(value), code) for value, code in rows] == [
        (value, "unknown_schema" if b"event.7" in value else "unreadable_record")
        for value in POISON
    ]
    ledger = await asyncio.to_thread(house.ledger_at_rest)
    assert ledger["holds"] is True
    assert sum(one["fates"]["rejected"] for one in ledger["partitions"]) == len(POISON)


async def test_a_store_that_goes_away_stops_nothing_but_the_numbers(
    kafka_broker: Broker, tmp_path: Path
) -> None:
    with kafka_house(tmp_path, kafka_broker) as house:
        assert (await post(house, "before")).status == 202
        await asyncio.to_thread(house.wait_until, "SELECT count() FROM v_events", 1)
        house.stop_store()
        for number in range(10):
            assert (await post(house, f"meanwhile{number}")).status == 202
        async with aiohttp.ClientSession() as session:
            ready = f"http://{house.addresses['process admin']}/readyz"
            async with session.get(ready) as answer:
                assert answer.status == 503
                assert "store" in await answer.text()
        house.start_store()
        await asyncio.to_thread(house.wait_until, "SELECT count() FROM v_events", 11)
        assert house.running["process"].popen.poll() is None
        assert (await asyncio.to_thread(house.ledger))["holds"] is True
