"""A topic that became another one under a running reader is noticed before anything is read on."""

import asyncio
import shutil
import threading
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import pytest
from aiokafka.admin import NewTopic

from spine.errors import Misconfigured
from spine.kafka.log import KafkaLog
from spine.kafka.topic import KafkaTopic
from spine.log import Batch, Entry, Record
from tests.kafka_broker import fresh_topic, running_broker
from tests.kafka_logs import admin, key_of, opened, until_appended, until_open


class Reader:
    """A reader and what a store would know: what it has read, and which log that was."""

    def __init__(self, log: KafkaLog) -> None:
        self.log = log
        self.read: list[Record] = []
        self.batches = log.batches(self.resume)

    async def resume(self, partitions: Sequence[int]) -> Mapping[int, int]:
        at = len(self.read)
        if at and [each.value for each in await self.log.read(0, at - 1, 1)] != [
            self.read[-1].value
        ]:
            raise Misconfigured("log.url", "another log")
        return dict.fromkeys(partitions, at)

    async def next(self) -> Batch:
        async with asyncio.timeout(60):
            batch = await anext(self.batches)
        self.read += batch.records
        return batch


async def replace(topic: KafkaTopic) -> None:
    """Delete the topic and make it again, as fast as the broker can."""
    async with admin(topic) as client:
        await client.delete_topics([topic.name])
        settings = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "9000000"}
        new = NewTopic(topic.name, topic.partitions, 1, topic_configs=settings)
        async with asyncio.timeout(30):
            while (await client.create_topics([new])).topic_errors[0][1] != 0:
                await asyncio.sleep(0.01)


def told(text: str, count: int) -> list[Entry]:
    return [Entry(key_of(0), b"%s %d" % (text.encode(), number)) for number in range(count)]


def meanwhile(work: Coroutine[Any, Any, None]) -> None:
    """Do something while this process stands still, as if it were stopped: its clients fetch
    nothing and hear of nothing."""
    thread = threading.Thread(target=asyncio.run, args=(work,))
    thread.start()
    thread.join(60)


async def refill(topic: KafkaTopic, count: int) -> None:
    async with opened(topic) as writing:
        await until_appended(writing, told("new", count))


async def made_again(topic: KafkaTopic) -> None:
    await replace(topic)
    await refill(topic, 40)


@pytest.mark.parametrize("looked_up_anew", [False, True])
async def test_a_topic_made_again_and_refilled_beyond_the_position_is_noticed(
    topic: KafkaTopic, looked_up_anew: bool
) -> None:
    """Also when nothing was handed over since the position was looked up."""
    topic = topic._replace(partitions=1)
    async with opened(topic) as log:
        await log.append(told("old", 5))
        reader = Reader(log)
        await reader.next()
        waiting = None
        if looked_up_anew:
            reader.batches = log.batches(reader.resume)
            waiting = asyncio.create_task(reader.next())
            await asyncio.sleep(1)
        meanwhile(made_again(topic))
        with pytest.raises(Misconfigured, match="another log"):
            while True:
                batch = await (waiting or reader.next())
                waiting = None
                assert not any(b"new" in each.value for each in batch.records)


async def test_a_topic_that_only_grows_is_read_on(topic: KafkaTopic) -> None:
    topic = topic._replace(partitions=1)
    async with opened(topic) as log:
        reader = Reader(log)
        for number in range(6):
            await log.append(told(f"part {number}", 3))
            while len(reader.read) < 3 * (number + 1):
                await reader.next()
        assert [each.offset for each in reader.read] == list(range(18))


@pytest.mark.long
async def test_files_of_an_older_copy_that_grew_past_the_position_are_noticed() -> None:
    with running_broker() as broker:
        topic = KafkaTopic(broker.servers, fresh_topic(), 1, 3000)
        async with opened(topic) as log:
            await log.append(told("common", 3))
            reader = Reader(log)
            await reader.next()
            broker.stop()
            shutil.copytree(broker.directory / "data", broker.directory / "copy")
            broker.start()
            await until_open(log)
            await until_appended(log, told("forgotten", 5))
            while len(reader.read) < 8:
                await reader.next()
            broker.kill()
            shutil.rmtree(broker.directory / "data")
            (broker.directory / "copy").rename(broker.directory / "data")
            broker.start()
            meanwhile(refill(topic, 40))
            with pytest.raises(Misconfigured, match="another log"):
                while True:
                    batch = await reader.next()
                    assert not any(b"new" in each.value for each in batch.records)
