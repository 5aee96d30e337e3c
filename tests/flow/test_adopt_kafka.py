"""Topic and store do not belong together any more: it is noticed, `beleg log adopt` leads on."""

import asyncio
import re
import shutil
import signal
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.structs import TopicPartition

from spine.kafka.topic import KafkaTopic
from tests.flow.houses import House, kafka_house
from tests.flow.test_adopt import adopted, counted_once, ended_with, fates, lost, refused, tell
from tests.kafka_broker import Broker, running_broker
from tests.kafka_logs import admin


def topic_of(house: House) -> KafkaTopic:
    text = house.config.read_text()
    name, url = (re.search(f'log.{key} = "(.*)"', text) for key in ("topic", "url"))
    assert name is not None
    assert url is not None
    return KafkaTopic(url[1].removeprefix("kafka://"), name[1], 3)


def alter(house: House, work: Callable[[AIOKafkaAdminClient, str], Awaitable[object]]) -> None:
    """Do something to the topic, as an operator would."""
    topic = topic_of(house)

    async def altered() -> None:
        async with admin(topic) as client:
            await work(client, topic.name)

    asyncio.run(altered())


def delete_topic(house: House) -> None:
    alter(house, lambda client, topic: client.delete_topics([topic]))


def grow_topic(house: House, partitions: int) -> None:
    alter(
        house,
        lambda client, topic: client.create_partitions(
            {topic: NewPartitions(partitions, [[1]] * (partitions - 3))}
        ),
    )


def drop_records(house: House, following: int) -> None:
    """Let retention pass everything before this offset, in every partition."""
    alter(
        house,
        lambda client, topic: client.delete_records(
            {TopicPartition(topic, each): RecordsToDelete(following) for each in range(3)}
        ),
    )


def set_partitions(house: House, count: int) -> None:
    text = re.sub(r"log.partitions = \d+", f"log.partitions = {count}", house.config.read_text())
    house.config.write_text(text)


def make_topic(house: House) -> None:
    until = time.monotonic() + 30
    while house.run("migrate", check=False).returncode != 0:
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_collector_that_was_forgotten_ends_when_the_topic_has_grown(
    kafka_broker: Broker, tmp_path: Path
) -> None:
    """Else copies of one event would stand in two partitions: two processors may judge them."""
    with kafka_house(tmp_path, kafka_broker) as house:
        tell(house, 1)
        counted_once(house, 1)
        assert house.running["process"].end() == 0
        grow_topic(house, 5)
        with urllib.request.urlopen(f"http://{house.addresses['collect admin']}/readyz"):
            pass  # a load balancer asks it all the time
        ended_with(house.running["collect"], "log.partitions", "beleg log adopt")


@pytest.mark.long
def test_a_topic_made_again_then_grown_is_adopted_each_time(
    kafka_broker: Broker, tmp_path: Path
) -> None:
    with kafka_house(tmp_path, kafka_broker) as house:
        tell(house, *range(12))
        counted_once(house, *range(12))
        assert house.run("log", "adopt", "--yes", check=False).returncode == 2  # it is being read
        assert house.running["process"].end() == 0
        delete_topic(house)
        make_topic(house)
        tell(house, *range(6, 60))  # more than was read
        house.running["process"] = house._process("process", {})
        ended_with(house.running["process"], "log.url", "beleg log adopt")
        assert "beleg log adopt" in house.run("check", check=False).stderr
        report = house.ledger()
        assert "has another record" in report["stranger"]
        assert report["holds"] is False
        adopted(house)
        house.start("process")
        counted_once(house, *range(60))
        assert house.running["process"].end() == 0

        tell(house, *range(55, 70))
        grow_topic(house, 5)
        refused(house, "process", "log.partitions", "set log.partitions to 5", "beleg log adopt")
        assert house.running["collect"].end() == 0
        set_partitions(house, 5)
        refused(house, "process", "log.partitions", "beleg log adopt")
        told = adopted(house)
        assert "15 records are read that are still pending" in told
        house.start("collect")
        tell(house, *range(50, 90))  # their copies stand in other partitions
        house.start("process")
        counted_once(house, *range(90))
        report = house.ledger_at_rest()
        assert report["holds"] is True
        assert [len(one["partitions"]) for one in report["replaced"]] == [3, 3]
        assert fates(report["replaced"][0]["partitions"]) >= 54 + 15
        assert fates(report["replaced"][1]["partitions"]) >= 12


@pytest.mark.long
@pytest.mark.parametrize("sent_again", [0, 3, 40], ids=["empty", "fewer", "more"])
def test_a_topic_made_again_under_a_running_processor_stops_it(
    kafka_broker: Broker, tmp_path: Path, sent_again: int
) -> None:
    with kafka_house(tmp_path, kafka_broker) as house:
        tell(house, *range(12))
        counted_once(house, *range(12))
        delete_topic(house)
        make_topic(house)
        if sent_again:
            tell(house, *range(8, 8 + sent_again))
        ended_with(house.running["process"], "log.url", "beleg log adopt")
        adopted(house)
        house.start("process")
        counted_once(house, *range(max(12, 8 + sent_again)))
        assert house.ledger()["holds"] is True


@pytest.mark.long
def test_a_processor_that_wakes_after_an_adoption_stops(
    kafka_broker: Broker, tmp_path: Path
) -> None:
    with kafka_house(tmp_path, kafka_broker) as house:
        tell(house, *range(12))
        counted_once(house, *range(12))
        sleeper = house.running["process"]
        sleeper.popen.send_signal(signal.SIGSTOP)
        delete_topic(house)
        make_topic(house)
        tell(house, *range(8, 60))
        until = time.monotonic() + 60
        while house.run("log", "adopt", "--yes", check=False).returncode == 2:
            assert time.monotonic() < until
            time.sleep(1)
        sleeper.popen.send_signal(signal.SIGCONT)
        ended_with(sleeper, "log.url", "start it again")
        house.start("process")
        counted_once(house, *range(60))
        assert house.ledger()["holds"] is True


@pytest.mark.long
@pytest.mark.parametrize("sent_again", [0, 40], ids=["shorter", "written on"])
def test_kafka_restored_from_an_older_copy_stops_the_processor(
    tmp_path: Path, sent_again: int
) -> None:
    with running_broker() as broker, kafka_house(tmp_path, broker) as house:
        tell(house, *range(12))
        counted_once(house, *range(12))
        broker.stop()
        data, copy = broker.directory / "data", broker.directory / "copy"
        shutil.copytree(data, copy)
        broker.start()
        tell(house, *range(12, 30))
        counted_once(house, *range(30))
        broker.stop()
        shutil.rmtree(data)
        copy.rename(data)
        broker.start()
        if sent_again:
            tell(house, *range(25, 25 + sent_again))
        ended_with(house.running["process"], "log.url", "beleg log adopt")
        adopted(house)
        house.start("process")
        counted_once(house, *range(max(30, 25 + sent_again)))
        assert house.ledger()["holds"] is True


@pytest.mark.long
def test_a_store_restored_from_an_older_copy_reads_on(kafka_broker: Broker, tmp_path: Path) -> None:
    with kafka_house(tmp_path, kafka_broker) as house:
        tell(house, *range(12))
        counted_once(house, *range(12))
        house.stop_store()
        shutil.copytree(tmp_path / "server", tmp_path / "copy", symlinks=True)
        house.start_store()
        tell(house, *range(6, 30))
        counted_once(house, *range(30))
        house.stop_store()
        shutil.rmtree(tmp_path / "server")
        (tmp_path / "copy").rename(tmp_path / "server")
        house.start_store()
        tell(house, *range(25, 35))  # the processor that runs on goes behind a hole
        counted_once(house, *range(35))
        assert house.ledger()["holds"] is True


@pytest.mark.long
def test_what_retention_passed_unread_is_lost_and_reading_goes_on(
    kafka_broker: Broker, tmp_path: Path
) -> None:
    with kafka_house(tmp_path, kafka_broker) as house:
        tell(house, *range(12))
        counted_once(house, *range(12))
        assert house.running["process"].end() == 0
        before = [one["appended"] for one in house.ledger()["partitions"]]
        tell(house, *range(12, 60))
        drop_records(house, max(before) + 2)
        house.start("process")
        tell(house, 60)
        house.wait_until("SELECT count() FROM v_events WHERE event_id = 'e60'", 1)
        report = house.ledger_at_rest()
        assert house.run("ledger", check=False).returncode == 1
        assert lost(report["partitions"]) == sum(max(before) + 2 - each for each in before)
        assert all(one["unbalanced"] is None for one in report["partitions"])
        ((count,),) = house.ask("SELECT count() FROM v_events")
        assert count == 61 - lost(report["partitions"])
        assert house.running["process"].end() == 0

        delete_topic(house)  # what was lost stays in the ledger
        make_topic(house)
        adopted(house)
        report = house.ledger()
        assert lost(report["partitions"]) == 0
        assert lost(report["replaced"][0]["partitions"]) > 0
        assert report["holds"] is False
