"""What only the Kafka log does: its topic is checked, its members share, its retention drops."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from aiokafka.admin import NewPartitions, NewTopic, RecordsToDelete
from aiokafka.structs import TopicPartition

from spine.errors import Misconfigured, Unavailable
from spine.kafka.log import KafkaLog
from spine.kafka.read import Pace
from spine.kafka.topic import MAX_VALUE_BYTES, KafkaTopic
from spine.log import Entry, Record
from tests.kafka_logs import admin, first_batch, key_of, opened


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("cleanup.policy", "compact", "--add-config cleanup.policy=delete"),
        ("message.timestamp.type", "CreateTime", "--add-config message.timestamp.type=LogAppend"),
        ("max.message.bytes", "1000000", "--add-config max.message.bytes="),
    ],
)
async def test_a_topic_that_would_lose_events_is_refused_with_the_remedy(
    topic: KafkaTopic, key: str, value: str, said: str
) -> None:
    settings = {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": "9000000",
    }
    async with admin(topic) as client:
        new = NewTopic(topic.name, topic.partitions, 1, topic_configs={**settings, key: value})
        await client.create_topics([new])
    with pytest.raises(Misconfigured) as raised:
        async with opened(topic):
            pass
    assert raised.value.key == f"topic {topic.name}: {key}"
    assert said in raised.value.why


async def test_another_partition_count_is_refused(topic: KafkaTopic) -> None:
    async with opened(topic):
        pass
    with pytest.raises(Misconfigured, match=r"has 3 partitions, not 4") as raised:
        async with opened(topic._replace(partitions=4)):
            pass
    assert raised.value.key == "log.partitions"


async def test_who_appends_is_not_ready_when_the_topic_has_grown(topic: KafkaTopic) -> None:
    async with opened(topic) as log:
        await log.ready()
        async with admin(topic) as client:
            await client.create_partitions({topic.name: NewPartitions(5, [[1], [1]])})
        with pytest.raises(Unavailable, match="has grown to 5 partitions"):
            async with asyncio.timeout(30):
                while True:
                    await log.ready()


async def test_a_value_above_the_bound_is_a_bug_of_the_caller(topic: KafkaTopic) -> None:
    async with opened(topic) as log:
        await log.append([Entry(key_of(0), b"x" * MAX_VALUE_BYTES)])
        with pytest.raises(ValueError, match="larger than"):
            await log.append([Entry(key_of(0), b"x" * (MAX_VALUE_BYTES + 1))])
        assert len((await log.read(0, 0, 10))[0].value) == MAX_VALUE_BYTES


async def test_positions_that_kafka_dropped_are_asked_for_again(topic: KafkaTopic) -> None:
    asked: list[Sequence[int]] = []

    async def resume(partitions: Sequence[int]) -> Mapping[int, int]:
        asked.append(partitions)
        bounds = await log.bounds()
        return {each: 0 if len(asked) == 1 else bounds[each].start for each in partitions}

    async with opened(topic) as log:
        await log.append([Entry(key_of(0), b"%d" % each) for each in range(10)])
        async with admin(topic) as client:
            await client.delete_records({TopicPartition(topic.name, 0): RecordsToDelete(6)})
        assert [each.offset for each in await log.read(0, 2, 2)] == [6, 7]
        async for batch in log.batches(resume):
            assert [each.offset for each in batch.records] == [6, 7, 8, 9]
            break
        assert asked == [[0, 1, 2], [0], [0]]  # and once more before it is handed over


async def test_nothing_is_read_from_a_committed_offset_before_resume_has_answered(
    topic: KafkaTopic,
) -> None:
    async def resume(partitions: Sequence[int]) -> Mapping[int, int]:
        await asyncio.sleep(1)  # long enough to fetch from the committed offset
        return {each: 2 if each == 0 else 0 for each in partitions}

    async with opened(topic, Pace(5, 200)) as log:
        await log.append([Entry(key_of(0), b"%d" % each) for each in range(10)])
        await log.commit(await first_batch(log))
        async with admin(topic) as client:
            committed = await client.list_consumer_group_offsets(f"{topic.name}-readers")
        assert committed[TopicPartition(topic.name, 0)].offset == 5
    async with opened(topic) as log:
        async for batch in log.batches(resume):
            assert [each.offset for each in batch.records] == list(range(2, 10))
            break


class Member:
    """A reader with the part of a store that tells where to resume, shared by its group."""

    def __init__(self, log: KafkaLog, store: dict[int, list[Record]]) -> None:
        self.log = log
        self.store = store
        self.holds: set[int] = set()

    async def resume(self, partitions: Sequence[int]) -> Mapping[int, int]:
        self.holds = set(partitions)
        return {each: len(self.store[each]) for each in partitions}

    async def run(self) -> None:
        async for batch in self.log.batches(self.resume):
            assert [each for part in batch.ranges for each in range(part[1], part[2])] == [
                each.offset for each in batch.records
            ]
            for record in batch.records:  # a zombie's copies land at the position they have
                self.store[record.partition][record.offset : record.offset + 1] = [record]
            await self.log.commit(batch)


async def test_members_share_the_partitions_and_who_stays_gets_all_of_them(
    topic: KafkaTopic,
) -> None:
    store: dict[int, list[Record]] = {each: [] for each in range(topic.partitions)}
    appended: Counter[int] = Counter()

    async def append_some(log: KafkaLog) -> None:
        for _ in range(30):
            await log.append([Entry(key_of(each), b"v%d" % appended[each]) for each in range(3)])
            appended.update(range(3))
            await asyncio.sleep(0.02)

    async with asyncio.timeout(60), opened(topic, Pace(50, 400)) as staying:
        stays = Member(staying, store)
        first = asyncio.create_task(stays.run())
        await append_some(staying)
        async with opened(topic, Pace(50, 400)) as leaving:
            leaves = Member(leaving, store)
            second = asyncio.create_task(leaves.run())
            while not (leaves.holds and stays.holds.isdisjoint(leaves.holds)):
                await append_some(staying)
            assert stays.holds | leaves.holds == {0, 1, 2}
            second.cancel()
            await asyncio.wait([second])
        while stays.holds != {0, 1, 2} or sum(map(len, store.values())) < appended.total():
            await append_some(staying)
            await asyncio.sleep(0.5)
        first.cancel()
        await asyncio.wait([first])
    for partition, records in store.items():
        assert [each.value for each in records] == [b"v%d" % n for n in range(appended[partition])]
