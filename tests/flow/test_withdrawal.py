"""A withdrawal in a running house: in force at once where it was told, and soon everywhere."""

import asyncio
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from tests.flow.houses import BROWSER_KEY, ORIGIN, SERVER_KEY, House, embedded_house, kafka_house
from tests.kafka_broker import Broker

_WITHIN_S = 2.0
_GIVES_UP_AFTER_S = 60.0


@pytest.fixture(params=["embedded", "kafka"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "embedded":
        with embedded_house(tmp_path) as opened:
            yield opened
    else:
        broker: Broker = request.getfixturevalue("kafka_broker")
        roles = ("collect", "collect-2", "process")
        with kafka_house(tmp_path, broker, "", roles) as opened:
            yield opened


def collectors(house: House) -> list[str]:
    return [role for role in house.running if role.startswith(("collect", "run"))]


async def asked(house: House, role: str, path: str, body: object, key: str = SERVER_KEY) -> Any:
    url = f"http://{house.addresses[f'{role} collector']}{path}"
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url, json=body) as answer,
    ):
        return answer.status, await answer.json()


def event(device: str, name: str = "page_view", **fields: object) -> dict[str, object]:
    return {
        "event_id": uuid4().hex,
        "name": name,
        "occurred_at": datetime.now(UTC).isoformat(),
        "anonymous_id": device,
        "page": {"url": f"{ORIGIN}/"},
        "consent": {"purposes": {"analytics": True}},
        **fields,
    }


async def said(house: House, role: str, device: str) -> str:
    """Tell what becomes of an event of a device, once the collector knows who has withdrawn."""
    give_up_at = time.monotonic() + _GIVES_UP_AFTER_S
    while True:
        status, answer = await asked(house, role, "/v1/events", event(device))
        if status == 202:
            (result,) = answer["results"]
            return str(result["code"] or result["status"])
        assert (status, answer["code"]) == (503, "consent_unknown")
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.05)


async def decide(house: House, role: str, device: str, action: str, **fields: object) -> None:
    decision = {"action": action, "anonymous_id": device, **fields}
    status, answer = await asked(house, role, "/v1/consent", decision, BROWSER_KEY)
    assert (status, answer) == (202, {"accepted": 1})


async def until(house: House, role: str, device: str, wanted: str) -> None:
    """Return when a collector says so of a device.

    Whoever sends later than the promised time after a withdrawal is not accepted, however slow the
    machine is: a collector that knows too little by then says that it does."""
    started = time.monotonic()
    while True:
        sent_after_s = time.monotonic() - started
        status, answer = await asked(house, role, "/v1/events", event(device))
        if status == 202:
            (result,) = answer["results"]
            if (result["code"] or result["status"]) == wanted:
                return
            assert wanted != "withdrawn" or sent_after_s < _WITHIN_S
        else:
            assert (status, answer["code"]) == (503, "consent_unknown")
        assert sent_after_s < _GIVES_UP_AFTER_S


async def test_a_withdrawal_is_in_force_everywhere_in_time_and_after_a_kill(house: House) -> None:
    first, *others = collectors(house)
    everywhere = [first, *others]
    for role in everywhere:
        assert await said(house, role, "d1") == "accepted"
    await decide(house, first, "d1", "withdraw", text_version="banner-3")
    assert await said(house, first, "d1") == "withdrawn"
    for role in others:
        await until(house, role, "d1", "withdrawn")
    for role in everywhere:
        house.running[role].end(signal.SIGKILL)
        await asyncio.to_thread(house.start, role)
        assert await said(house, role, "d1") == "withdrawn"
        assert await said(house, role, "d2") == "accepted"
    last = everywhere[-1]
    await decide(house, last, "d1", "grant", purposes={"analytics": True})
    assert await said(house, last, "d1") == "accepted"
    await until(house, first, "d1", "accepted")
    shown = "SELECT count() FROM v_consent_log WHERE told_by = 'decision'"
    await asyncio.to_thread(house.wait_until, shown, 2)
    rows = await asyncio.to_thread(
        house.ask,
        "SELECT action, granted, denied, text_version, kind, isNull(until_at) FROM v_consent_log"
        " WHERE told_by = 'decision' ORDER BY received_at",
    )
    assert rows[0] == ("withdraw", "", "*", "banner-3", "anonymous_id", 0)
    assert rows[1][:3] == ("grant", "analytics", "")
    ledger = await asyncio.to_thread(house.ledger_at_rest)
    assert ledger["holds"] is True
    assert sum(one["fates"]["control"] for one in ledger["partitions"]) >= 2


async def test_others_know_of_each_withdrawal_in_time(house: House) -> None:
    first, *others = collectors(house)
    for number in range(10):
        await decide(house, first, f"quick-{number}", "withdraw")
        for role in others:
            await until(house, role, f"quick-{number}", "withdrawn")


async def test_without_kafka_only_what_needs_no_consent_is_taken(
    kafka_broker: Broker, tmp_path: Path
) -> None:
    settings = "log.append_deadline_ms = 2000\nlog.spill_after_ms = 300"
    with kafka_house(tmp_path, kafka_broker, settings) as house:
        assert await said(house, "collect", "d1") == "accepted"
        await asyncio.to_thread(kafka_broker.kill)
        try:
            await asyncio.sleep(2.5)
            status, answer = await asked(house, "collect", "/v1/events", event("d1"))
            assert (status, answer["code"]) == (503, "consent_unknown")
            sale = event("d1", "purchase", consent={}, commerce={"transaction_id": "T1"})
            status, answer = await asked(house, "collect", "/v1/events", sale)
            assert (status, answer["accepted"]) == (202, 1)
            status, _ = await asked(
                house, "collect", "/v1/consent", {"action": "withdraw", "anonymous_id": "d1"}
            )
            assert status == 503
        finally:
            kafka_broker.start()
        give_up_at = time.monotonic() + 30
        while (await asked(house, "collect", "/v1/events", event("d1")))[0] != 202:
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.2)
        shown = "SELECT countIf(name = 'purchase') FROM v_events"
        await asyncio.to_thread(house.wait_until, shown, 1)


async def age_s(house: House, role: str) -> float:
    url = f"http://{house.addresses[f'{role} admin']}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        text = await answer.text()
    (line,) = [one for one in text.splitlines() if one.startswith("beleg_control_age_seconds ")]
    return float(line.split()[1])


async def test_a_collector_that_starts_without_kafka_knows_what_it_knew(
    kafka_broker: Broker, tmp_path: Path
) -> None:
    """And it knows how old that is: a start makes nothing younger."""
    settings = "log.append_deadline_ms = 2000\nlog.spill_after_ms = 300\n"
    settings += "collector.withdrawals_max_age_s = 300"
    with kafka_house(tmp_path, kafka_broker, settings) as house:
        await decide(house, "collect", "d1", "withdraw")
        assert await said(house, "collect", "d2") == "accepted"
        await asyncio.to_thread(kafka_broker.kill)
        away_at = time.monotonic()
        try:
            for _ in range(2):
                house.running["collect"].end(signal.SIGKILL)
                await asyncio.to_thread(house.start, "collect")
                assert await said(house, "collect", "d1") == "withdrawn"
                assert await said(house, "collect", "d2") == "accepted"
                asked_at = time.monotonic()
                assert asked_at - away_at - 1 < await age_s(house, "collect") < 300
        finally:
            kafka_broker.start()
        landed = "SELECT countIf(anonymous_id = 'd2'), countIf(anonymous_id = 'd1') FROM v_events"
        give_up_at = time.monotonic() + 60
        while await asyncio.to_thread(house.ask, landed) != [(3, 0)]:
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.5)
