"""While Kafka is away: accepted means on the collector's own disk, and later once on the log."""

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.flow.houses import ORIGIN, SERVER_KEY, House, kafka_house
from tests.kafka_broker import Broker

_TOLD = "SELECT waiting FROM spills FINAL ORDER BY number, waiting"
# The spill is for those who let withdrawals wait while Kafka is away.
_SPILLS = "collector.withdrawals_max_age_s = 3600"
_QUICK = f"log.append_deadline_ms = 2000\nlog.spill_after_ms = 300\n{_SPILLS}"


@pytest.fixture
async def broker(kafka_broker: Broker) -> AsyncIterator[Broker]:
    """The session's broker, running again at the end whatever the test did to it."""
    yield kafka_broker
    kafka_broker.ensure_running()
    kafka_broker.wait_until_listening()


async def post(
    house: House, *event_ids: str, size: int = 0, name: str = "page_view"
) -> aiohttp.ClientResponse:
    body = {
        "events": [
            {
                "event_id": event_id,
                "name": name,
                "occurred_at": datetime.now(UTC).isoformat(),
                "anonymous_id": "a1",
                "page": {"url": f"{ORIGIN}/"},
                "consent": {"purposes": {"analytics": name == "page_view"}},
                "properties": {"filler": "x" * size},
            }
            for event_id in event_ids
        ]
    }
    headers = {"Authorization": f"Bearer {SERVER_KEY}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{house.url}/v1/events", json=body) as answer,
    ):
        await answer.read()
        return answer


def asked(house: House, path: str, role: str = "collect") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(
            f"http://{house.addresses[f'{role} admin']}{path}", timeout=30
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def gauge(house: House, name: str) -> float:
    text = asked(house, "/metrics")[1]
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


async def until(reached: Any, within_s: float = 60) -> None:
    give_up_at = time.monotonic() + within_s
    while not await asyncio.to_thread(reached):
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.1)


async def begin(house: House) -> None:
    """Return when an event is with Kafka; on a busy machine it may wait in the spill before."""
    assert (await post(house, "before")).status == 202
    await until(lambda: gauge(house, "beleg_spill_records") == 0)


async def back(broker: Broker) -> None:
    broker.launch()  # in this thread: the broker ends with the one that starts it
    await asyncio.to_thread(broker.wait_until_listening)


async def landed(house: House, event_ids: Sequence[str]) -> None:
    """Return when exactly these events show, each once, and the ledger holds."""
    count = "SELECT count() FROM v_events"
    await asyncio.to_thread(house.wait_until, count, len(event_ids))
    shown = await asyncio.to_thread(house.ask, "SELECT event_id FROM v_events")
    assert {event_id for (event_id,) in shown} == set(event_ids)
    ledger = await asyncio.to_thread(house.ledger)
    assert ledger["holds"] is True
    assert sum(one["lost"] for one in ledger["partitions"]) == 0


async def test_what_kafka_cannot_take_is_accepted_from_disk_and_lands_once(
    broker: Broker, tmp_path: Path
) -> None:
    with kafka_house(tmp_path, broker, _QUICK) as house:
        await begin(house)
        await asyncio.to_thread(broker.kill)
        names = [f"meanwhile{number}" for number in range(40)]
        for name in names:
            assert (await post(house, name)).status == 202
        assert gauge(house, "beleg_spill_records") == 40
        assert asked(house, "/readyz")[0] == 200
        # Killed and started again without Kafka, it goes on taking events: what was withdrawn it
        # has kept.
        house.running["collect"].end(9)
        house.start("collect")
        assert (await post(house, "after a kill")).status == 202
        assert gauge(house, "beleg_spill_records") == 41
        await back(broker)
        await until(lambda: gauge(house, "beleg_spill_records") == 0)
        await until(lambda: asked(house, "/readyz")[0] == 200)
        assert (await post(house, "at last", names[0])).status == 202
        await landed(house, ["before", *names, "after a kill", "at last"])
        told = [waiting for (waiting,) in house.ask(_TOLD)]
        assert (max(told), told[-1]) == (41, 0)


async def test_the_ledger_tells_what_waits_in_a_spill_whose_collector_is_gone(
    broker: Broker, tmp_path: Path
) -> None:
    with kafka_house(tmp_path, broker, _QUICK) as house:
        await begin(house)
        await asyncio.to_thread(broker.kill)
        for number in range(7):
            assert (await post(house, f"kept{number}")).status == 202
        house.running["collect"].end(9)
        await back(broker)
        dying = house.launch("collect", {"BELEG_FAILPOINT": "before the drain's append"})
        assert await asyncio.to_thread(dying.popen.wait, 60) == -9
        dying.end()
        await asyncio.to_thread(house.wait_until, "SELECT max(waiting) FROM spills", 7)
        said = (await asyncio.to_thread(house.run, "ledger")).stdout
        assert ": 7 records waited in its spill at " in said
        assert [one["records"] for one in house.ledger()["spills"]] == [7]
        house.start("collect")
        await landed(house, ["before", *(f"kept{number}" for number in range(7))])
        await asyncio.to_thread(
            house.wait_until, "SELECT argMax(waiting, number) FROM spills FINAL", 0
        )
        assert house.ledger()["spills"] == []


async def test_a_frozen_kafka_costs_a_moment_and_no_event(broker: Broker, tmp_path: Path) -> None:
    with kafka_house(tmp_path, broker, _QUICK) as house:
        await begin(house)
        broker.pause()
        assert (await post(house, "first")).status == 202
        took_s = []
        for number in range(8):
            started = time.monotonic()
            assert (await post(house, f"after-{number}")).status == 202
            took_s.append(time.monotonic() - started)
        assert min(took_s) < 0.3  # by now it does not try Kafka first
        broker.resume()
        # The frozen broker may have written what was given up: copies count once.
        await until(lambda: gauge(house, "beleg_spill_records") == 0)
        await landed(house, ["before", "first", *(f"after-{number}" for number in range(8))])


async def test_a_full_spill_answers_503_and_keeps_what_it_acknowledged(
    broker: Broker, tmp_path: Path
) -> None:
    with kafka_house(tmp_path, broker, f"{_QUICK}\nlog.spill_max_bytes = 1048576") as house:
        await begin(house)
        await asyncio.to_thread(broker.kill)
        taken = ["before"]
        while True:
            names = [f"e{len(taken) + number}" for number in range(40)]
            answer = await post(house, *names, size=400)
            if answer.status != 202:
                break
            taken += names
            assert len(taken) < 2_000
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert len(taken) > 500
        status, why = asked(house, "/readyz")
        assert (status, "log.spill_max_bytes" in why) == (503, True)
        await back(broker)
        await until(lambda: gauge(house, "beleg_spill_records") == 0)
        assert (await post(house, "at last")).status == 202
        assert asked(house, "/readyz")[0] == 200
        await landed(house, [*taken, "at last"])


async def test_a_collector_that_never_met_its_kafka_does_not_start_on_its_disk(
    broker: Broker, tmp_path: Path
) -> None:
    with kafka_house(tmp_path, broker, _QUICK, roles=("process",)) as house:
        await asyncio.to_thread(broker.kill)
        done = await asyncio.to_thread(lambda: house.run("collect", check=False))
        assert done.returncode == 2
        assert "log.url" in done.stderr


async def test_a_collector_told_to_stop_while_kafka_is_away_ends_in_order(
    broker: Broker, tmp_path: Path
) -> None:
    with kafka_house(tmp_path, broker, _QUICK) as house:
        await begin(house)
        await asyncio.to_thread(broker.kill)
        assert (await post(house, "kept")).status == 202
        assert await asyncio.to_thread(house.running["collect"].end) == 0
        await back(broker)
        house.start("collect")
        await landed(house, ["before", "kept"])
