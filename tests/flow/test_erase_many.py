"""Erasure on many machines: what was under way, in several hands, or put back, goes too."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.canary import contents
from tests.flow.houses import House, kafka_house
from tests.flow.test_adopt import adopted
from tests.flow.test_adopt_kafka import grow_topic, set_partitions, topic_of
from tests.flow.test_erase import KEY, Cast, in_tables, shown, told
from tests.kafka_broker import Broker

_PATIENT = f"""{KEY}
collector.withdrawals_max_age_s = 3600
log.append_deadline_ms = 2000
log.spill_after_ms = 300
"""


@pytest.fixture
def broker(kafka_broker: Broker) -> Iterator[Broker]:
    """The session's broker, running again at the end whatever the test did to it."""
    yield kafka_broker
    kafka_broker.ensure_running()
    kafka_broker.wait_until_listening()


def closed(house: House) -> None:
    house.wait_until("SELECT countIf(state = 'closed') = count() FROM erasures FINAL", 1, 180)


def nothing_is_left(house: House, cast: Cast, events: int) -> None:
    assert in_tables(house, cast.forms()) == {}
    assert house.ask("SELECT count() FROM v_events") == [(events,)]
    report = house.ledger_at_rest()
    assert report["holds"] is True
    assert house.run("audit").returncode == 0


def pending(cast: Cast) -> list[dict[str, Any]]:
    """What she still does before she is erased: a page that names her, and an order."""
    now = datetime.now(UTC).isoformat()
    view = cast.event(20, "page_view", cast.phone, cast.anna, None)
    order = cast.event(21, "purchase", cast.laptop, None, "T9")
    return [view | {"occurred_at": now}, order | {"occurred_at": now}]


def unreadable(house: House, value: bytes) -> None:
    async def sent() -> None:
        topic = topic_of(house)
        producer = AIOKafkaProducer(bootstrap_servers=topic.servers)
        await producer.start()
        try:
            await producer.send_and_wait(topic.name, value, partition=1)
        finally:
            await producer.stop()

    asyncio.run(sent())


def test_with_two_processors_what_landed_what_waits_and_what_is_put_back_goes(
    broker: Broker, tmp_path: Path
) -> None:
    cast = Cast()
    with kafka_house(tmp_path, broker, KEY, ("collect", "process", "process-2")) as house:
        assert told(house, cast.events()) == ["accepted"] * 8
        unreadable(house, f'{{"schema":"event.1","who":"{cast.phone}"}}'.encode())
        house.wait_until("SELECT count() FROM v_events", 8)
        house.wait_until("SELECT count() FROM rejects FINAL", 1)
        house.wait_until("SELECT count() FROM v_orders WHERE session_id IS NOT NULL", 2)
        others = [row for row in shown(house)["v_orders"] if row[1] == "T2-0"]
        for role in ("process", "process-2"):
            assert house.running[role].end() == 0
        house.stop_store()
        shutil.copytree(tmp_path / "server", tmp_path / "copy", symlinks=True)
        house.start_store()
        assert told(house, pending(cast)) == ["accepted"] * 2
        _ = house.run("erase", "--site", "shop", "--id", f"user_id={cast.anna}", "--yes",
                      "--no-wait")  # fmt: skip
        for role in ("process", "process-2"):
            house.start(role)
        closed(house)
        nothing_is_left(house, cast, 3)
        assert house.ask("SELECT count() FROM rejects FINAL") == [(0,)]
        orders = shown(house)["v_orders"]
        assert [row for row in orders if row[1] == "T2-0"] == others
        # Of an order that had landed the money stays; of one that was on the log, nothing does.
        assert sorted(row[1] for row in orders) == ["T1-0", "T2-0"]

        for role in ("process", "process-2"):
            assert house.running[role].end() == 0
        house.stop_store()
        shutil.rmtree(tmp_path / "server")
        shutil.copytree(tmp_path / "copy", tmp_path / "server", symlinks=True)
        house.start_store()
        assert in_tables(house, cast.forms())
        for role in ("process", "process-2"):
            house.start(role)
        house.wait_until("SELECT count() FROM erasures", 1, 180)
        closed(house)
        nothing_is_left(house, cast, 3)
        assert [row for row in shown(house)["v_orders"] if row[1] == "T2-0"] == others


def test_what_waits_in_a_spill_goes_when_it_comes_and_the_erasure_waits_for_it(
    broker: Broker, tmp_path: Path
) -> None:
    cast = Cast()
    with kafka_house(tmp_path, broker, _PATIENT) as house:
        assert told(house, cast.events()) == ["accepted"] * 8
        house.wait_until("SELECT count() FROM v_events", 8)
        broker.kill()
        assert told(house, pending(cast)) == ["accepted"] * 2
        spilled = tmp_path / "data" / "spill"
        assert any(cast.phone.encode() in content for _, content in contents(spilled))
        house.running["collect"].end(9)
        broker.start()
        broker.wait_until_listening()
        dying = house.launch("collect", {"BELEG_FAILPOINT": "before the drain's append"})
        assert dying.popen.wait(120) == -9  # it told of the spill, and handed nothing over
        dying.end()
        house.wait_until("SELECT max(waiting) > 0 FROM spills", 1)
        _ = house.run("erase", "--site", "shop", "--id", f"user_id={cast.anna}", "--yes",
                      "--no-wait")  # fmt: skip
        house.wait_until("SELECT count() FROM v_events", 3)
        time.sleep(2)
        assert house.ask("SELECT count() FROM erasures FINAL WHERE state = 'closed'") == [(0,)]
        house.start("collect")
        closed(house)
        nothing_is_left(house, cast, 3)
        assert not any(cast.phone.encode() in content for _, content in contents(spilled))


def test_an_adoption_loses_no_mark_that_waits(broker: Broker, tmp_path: Path) -> None:
    """`beleg log adopt` reads what is pending under the old id, and erases nothing by itself."""
    cast = Cast()
    with kafka_house(tmp_path, broker, KEY) as house:
        assert told(house, cast.events()) == ["accepted"] * 8
        house.wait_until("SELECT count() FROM v_events", 8)
        assert house.running["process"].end() == 0
        assert told(house, pending(cast)) == ["accepted"] * 2
        _ = house.run("erase", "--site", "shop", "--id", f"user_id={cast.anna}", "--yes",
                      "--no-wait")  # fmt: skip
        assert house.running["collect"].end() == 0
        grow_topic(house, 5)
        set_partitions(house, 5)
        assert "2 records are read that are still pending" in adopted(house)
        assert house.ask("SELECT count() FROM v_events") == [(3,)]
        house.start("process")
        house.start("collect")
        closed(house)
        nothing_is_left(house, cast, 3)
        assert told(house, cast.events()[:5]) == ["erased"] * 5
