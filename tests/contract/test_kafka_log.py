"""What the Kafka log does when Kafka is away, rebalances, drops data or is set up wrong."""

import asyncio
import gc
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.structs import TopicPartition

from spine.errors import Misconfigured, Unavailable
from spine.kafka_log import KafkaLog
from spine.kafka_read import Pace
from spine.kafka_topic import MAX_VALUE_BYTES, KafkaTopic
from spine.log import Batch, Entry, Record
from tests.kafka_broker import Broker, fresh_topic

# aiokafka drops a connection that the broker ended without closing it, when its end is seen before
# its reader task has run; the socket is then closed, with a warning, by the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DEADLINE_MS = 3000
PACE = Pace(10_000, 200)


@pytest.fixture
def broker(kafka_broker: Broker) -> Iterator[Broker]:
    """The session's broker, which is running again after the test whatever the test did to it."""
    yield kafka_broker
    kafka_broker.ensure_running()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def topic(broker: Broker) -> KafkaTopic:
    return KafkaTopic(broker.servers, fresh_topic(), 3, DEADLINE_MS)


@asynccontextmanager
async def opened(topic: KafkaTopic, pace: Pace = PACE) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(topic, f"{topic.name}-readers", pace)
    try:
        await log.open()
        yield log
    finally:
        await log.close()


@asynccontextmanager
async def admin(topic: KafkaTopic) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=topic.servers)
    try:
        await client.start()
        yield client
    finally:
        await client.close()


async def from_start(partitions: Sequence[int]) -> Mapping[int, int]:
    return dict.fromkeys(partitions, 0)


async def first_batch(log: KafkaLog) -> Batch:
    async with asyncio.timeout(40):
        async for batch in log.batches(from_start):
            return batch
    raise AssertionError("batches never end")


async def until_open(log: KafkaLog) -> None:
    async with asyncio.timeout(40):
        while True:
            try:
                return await log.open()
            except Unavailable:
                await asyncio.sleep(0.2)


async def until_appended(log: KafkaLog, entries: Sequence[Entry]) -> None:
    async with asyncio.timeout(40):
        while True:
            try:
                return await log.append(entries)
            except Unavailable:
                await asyncio.sleep(0.2)


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


async def test_a_log_can_be_made_while_kafka_is_away_and_opened_when_it_is_back(
    broker: Broker, topic: KafkaTopic
) -> None:
    log = KafkaLog(topic, "readers", PACE)
    broker.kill()
    for attempt in (log.open(), log.open(), log.ready(), log.append([Entry(0, b"early")])):
        with pytest.raises(Unavailable):
            await attempt
    with pytest.raises(Unavailable, match=r"log\.url"):
        await log.open()
    broker.start()
    await until_open(log)
    await log.append([Entry(0, b"kept")])
    await log.close()


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_append_raises_within_the_deadline_while_kafka_is_away_and_works_again_after(
    broker: Broker, topic: KafkaTopic, fault: str
) -> None:
    async with opened(topic) as log:
        await log.append([Entry(0, b"before")])
        {"kill": broker.kill, "pause": broker.pause}[fault]()
        for attempt in (log.append([Entry(0, b"lost")]), log.ready()):
            started_at = time.monotonic()
            with pytest.raises(Unavailable):
                await attempt
            assert time.monotonic() - started_at < DEADLINE_MS / 1000 + 1
        {"kill": broker.start, "pause": broker.resume}[fault]()
        await until_appended(log, [Entry(0, b"after")])
        await log.ready()
        values = [record.value for record in await log.read(0, 0, 10)]
        assert values[0] == b"before"
        assert values[-1] == b"after"


async def test_no_acked_value_is_lost_when_the_broker_is_killed_under_load(
    broker: Broker, topic: KafkaTopic
) -> None:
    acked: set[bytes] = set()

    async def append_until(log: KafkaLog, who: int, over: asyncio.Event) -> None:
        number = 0
        while not over.is_set():
            number += 1
            value = b"%d-%d" % (who, number)
            try:
                await log.append([Entry(number % 3, value)])
            except Unavailable:
                await asyncio.sleep(0.1)
            else:
                acked.add(value)

    async with opened(topic) as log:
        over = asyncio.Event()
        async with asyncio.TaskGroup() as load:
            for who in range(24):
                load.create_task(append_until(log, who, over))
            await asyncio.sleep(1)
            for _ in range(2):
                broker.kill()
                broker.launch()
                await asyncio.to_thread(broker.wait_until_listening)
                before = len(acked)
                while len(acked) == before:
                    await asyncio.sleep(0.1)
            over.set()
        found: set[bytes] = set()
        for partition, bounds in (await log.bounds()).items():
            found |= {each.value for each in await log.read(partition, 0, bounds.end)}
        assert len(acked) > 100
        assert acked <= found


async def test_bytes_that_wait_for_kafka_are_bounded(broker: Broker, topic: KafkaTopic) -> None:
    megabytes = [Entry(0, b"x" * 1_000_000)] * 20
    async with opened(topic) as log:
        broker.pause()
        appends = [asyncio.create_task(log.append(megabytes)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="wait for Kafka already"):
            await log.append(megabytes)
        broker.resume()
        await asyncio.gather(*appends, return_exceptions=True)
        await until_appended(log, megabytes)


async def test_a_value_above_the_bound_is_a_bug_of_the_caller(topic: KafkaTopic) -> None:
    async with opened(topic) as log:
        await log.append([Entry(0, b"x" * MAX_VALUE_BYTES)])
        with pytest.raises(ValueError, match="larger than"):
            await log.append([Entry(0, b"x" * (MAX_VALUE_BYTES + 1))])
        assert len((await log.read(0, 0, 10))[0].value) == MAX_VALUE_BYTES


async def test_a_reader_reads_on_after_kafka_was_away(broker: Broker, topic: KafkaTopic) -> None:
    async def read_until(log: KafkaLog, value: bytes) -> int:
        troubles = 0
        while True:
            try:
                async for batch in log.batches(from_start):
                    if batch.records[-1].value == value:
                        return troubles
            except Unavailable:
                troubles += 1
                await asyncio.sleep(0.2)

    async with opened(topic) as log:
        await log.append([Entry(0, b"before")])
        assert (await first_batch(log)).records[0].value == b"before"
        reading = asyncio.create_task(read_until(log, b"after"))
        broker.kill()
        await asyncio.sleep(2.5 * DEADLINE_MS / 1000)
        broker.start()
        await until_appended(log, [Entry(0, b"after")])
        async with asyncio.timeout(60):
            assert await reading > 0


async def test_positions_that_kafka_dropped_are_asked_for_again(topic: KafkaTopic) -> None:
    asked: list[Sequence[int]] = []

    async def resume(partitions: Sequence[int]) -> Mapping[int, int]:
        asked.append(partitions)
        bounds = await log.bounds()
        return {each: 0 if len(asked) == 1 else bounds[each].start for each in partitions}

    async with opened(topic) as log:
        await log.append([Entry(0, b"%d" % each) for each in range(10)])
        async with admin(topic) as client:
            await client.delete_records({TopicPartition(topic.name, 0): RecordsToDelete(6)})
        assert [each.offset for each in await log.read(0, 2, 2)] == [6, 7]
        async for batch in log.batches(resume):
            assert [each.offset for each in batch.records] == [6, 7, 8, 9]
            break
        assert asked == [[0, 1, 2], [0]]


async def test_nothing_is_read_from_a_committed_offset_before_resume_has_answered(
    topic: KafkaTopic,
) -> None:
    async def resume(partitions: Sequence[int]) -> Mapping[int, int]:
        await asyncio.sleep(1)  # long enough to fetch from the committed offset
        return {each: 2 if each == 0 else 0 for each in partitions}

    async with opened(topic, Pace(5, 200)) as log:
        await log.append([Entry(0, b"%d" % each) for each in range(10)])
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
            await log.append([Entry(each, b"v%d" % appended[each]) for each in range(3)])
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
