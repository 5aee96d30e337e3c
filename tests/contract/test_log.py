"""What every log does, whichever is behind the protocol (`spine/log.py`)."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from spine.embedded.log import EmbeddedLog
from spine.errors import Misconfigured, Unavailable
from spine.kafka.log import KafkaLog
from spine.kafka.read import Pace
from spine.kafka.topic import KafkaTopic
from spine.log import Batch, Bounds, Entry, Log, Record
from tests.kafka_broker import Broker, fresh_topic
from tests.kafka_logs import key_of, until_open


class OpenLog(Protocol):
    """Opens the one log of a test, again and again; each opening is closed at its end."""

    def __call__(
        self, *, batch_records: int = 10_000, batch_wait_ms: int = 200
    ) -> AbstractAsyncContextManager[Log]: ...


def open_kafka(request: pytest.FixtureRequest) -> OpenLog:
    broker: Broker = request.getfixturevalue("kafka_broker")
    topic = KafkaTopic(broker.servers, fresh_topic(), partitions=3)

    @asynccontextmanager
    async def opened(
        *, batch_records: int = 10_000, batch_wait_ms: int = 200
    ) -> AsyncIterator[Log]:
        log = KafkaLog(topic, f"{topic.name}-readers", Pace(batch_records, batch_wait_ms))
        try:
            await until_open(log)  # a topic that is new has leaders late on a busy machine
            yield log
        finally:
            await log.close()

    return opened


def open_embedded(request: pytest.FixtureRequest) -> OpenLog:
    path: Path = request.getfixturevalue("tmp_path") / "log.sqlite"

    @asynccontextmanager
    async def opened(
        *, batch_records: int = 10_000, batch_wait_ms: int = 200
    ) -> AsyncIterator[Log]:
        log = await EmbeddedLog.open(
            path,
            batch_records=batch_records,
            batch_wait_ms=batch_wait_ms,
            max_bytes=1024 * 1024 * 1024,
            retention_s=24 * 3600.0,
        )
        try:
            yield log
        finally:
            await log.close()

    return opened


OPENERS: Mapping[str, Callable[[pytest.FixtureRequest], OpenLog]] = {
    "embedded": open_embedded,
    "kafka": open_kafka,
}


@pytest.fixture(params=OPENERS)
def open_log(request: pytest.FixtureRequest) -> OpenLog:
    return OPENERS[request.param](request)


async def from_start(partitions: Sequence[int]) -> Mapping[int, int]:
    return dict.fromkeys(partitions, 0)


async def take(log: Log, count: int, resume: Callable[..., object] = from_start) -> list[Batch]:
    """The batches that hold the next `count` records."""
    taken: list[Batch] = []
    async with asyncio.timeout(30):
        async for batch in log.batches(resume):  # type: ignore[arg-type]
            taken.append(batch)
            count -= len(batch.records)
            if count <= 0:
                break
    return taken


def by_partition(batches: Sequence[Batch]) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = defaultdict(list)
    for batch in batches:
        for record in batch.records:
            found[record.partition].append(record)
    return found


def spread(log: Log, values: Sequence[bytes]) -> list[Entry]:
    return [Entry(key_of(number % log.partitions), value) for number, value in enumerate(values)]


def numbered(count: int) -> list[bytes]:
    return [b"value %d" % number for number in range(count)]


async def test_values_come_back_byte_equal_at_contiguous_offsets(open_log: OpenLog) -> None:
    odd = [b"\x00", b"\xff\xfe\n\r\x00'\"", "Käsespätzle".encode(), b'{"a":1}', b"x" * 70_000]
    async with open_log() as log:
        entries = spread(log, odd + numbered(100))
        await log.append(entries[:50])
        await log.append(entries[50:])
        found = by_partition(await take(log, len(entries)))
        for partition in range(log.partitions):
            expected = [entry.value for entry in entries if entry.key == key_of(partition)]
            assert [record.value for record in found[partition]] == expected
            assert [record.offset for record in found[partition]] == list(range(len(expected)))


async def test_appended_ms_is_the_clock_of_the_log_at_the_append(open_log: OpenLog) -> None:
    async with open_log() as log:
        before_ms = time.time() * 1000
        await log.append([Entry(key_of(0), b"now")])
        after_ms = time.time() * 1000
        (record,) = await log.read(0, 0, 1)
        assert before_ms - 1000 <= record.appended_ms <= after_ms + 1000


async def test_concurrent_appends_interleave_without_loss_and_each_in_its_order(
    open_log: OpenLog,
) -> None:
    async def append_all(log: Log, who: bytes) -> None:
        for turn in range(40):
            values = [b"%s %d" % (who, turn * 10 + each) for each in range(10)]
            await log.append([Entry(key_of(0), value) for value in values])

    async with open_log() as log:
        await asyncio.gather(append_all(log, b"one"), append_all(log, b"two"))
        values = [each.value for each in by_partition(await take(log, 800))[0]]
        for who in (b"one", b"two"):
            own = [value for value in values if value.startswith(who)]
            assert own == [b"%s %d" % (who, number) for number in range(400)]
        assert len(values) == 800


async def test_an_append_that_is_cancelled_takes_no_neighbour_with_it(open_log: OpenLog) -> None:
    async with open_log() as log:
        entries = [Entry(key_of(0), value) for value in numbered(20)]
        appends = [asyncio.create_task(log.append([entry])) for entry in entries]
        await asyncio.sleep(0)
        for each in appends[::2]:
            each.cancel()
        results = await asyncio.gather(*appends, return_exceptions=True)
        assert results[1::2] == [None] * 10
        kept = {record.value for record in await log.read(0, 0, 100)}
        assert {entry.value for entry in entries[1::2]} <= kept


async def test_a_batch_holds_at_most_batch_records(open_log: OpenLog) -> None:
    async with open_log(batch_records=10) as log:
        await log.append(spread(log, numbered(35)))
        batches = await take(log, 35)
        assert all(1 <= len(batch.records) <= 10 for batch in batches)
        assert sum(len(batch.records) for batch in batches) == 35


async def test_a_batch_waits_batch_wait_ms_after_its_first_record_and_no_longer(
    open_log: OpenLog,
) -> None:
    async with open_log(batch_wait_ms=1500) as log:
        reading = asyncio.create_task(take(log, 2))
        await asyncio.sleep(0.1)
        await log.append([Entry(key_of(0), b"first")])
        await asyncio.sleep(0.2)
        await log.append([Entry(key_of(0), b"second")])
        (batch,) = await asyncio.wait_for(reading, 10)  # a Kafka group takes its time to form
        assert [record.value for record in batch.records] == [b"first", b"second"]


async def test_ranges_cover_exactly_the_records(open_log: OpenLog) -> None:
    async with open_log(batch_records=7) as log:
        await log.append(spread(log, numbered(40)))
        next_offset = dict.fromkeys(range(log.partitions), 0)
        for batch in await take(log, 40):
            covered = [
                (each.partition, offset)
                for each in batch.ranges
                for offset in range(each.first_offset, each.next_offset)
            ]
            assert sorted(covered) == sorted((one.partition, one.offset) for one in batch.records)
            for each in batch.ranges:
                assert each.first_offset == next_offset[each.partition]
                next_offset[each.partition] = each.next_offset


async def test_what_is_appended_later_reaches_a_reader_who_waits(open_log: OpenLog) -> None:
    async with open_log() as log:
        reading = asyncio.create_task(take(log, 6))
        for value in numbered(6):
            await log.append([Entry(key_of(0), value)])
            await asyncio.sleep(0.15)
        values = [record.value for batch in await reading for record in batch.records]
        assert values == numbered(6)


async def test_batches_begin_where_resume_says(open_log: OpenLog) -> None:
    asked: list[Sequence[int]] = []

    async def resume(partitions: Sequence[int]) -> Mapping[int, int]:
        asked.append(tuple(partitions))
        await asyncio.sleep(0.5)  # a store takes its time
        return dict.fromkeys(partitions, 4)

    async with open_log() as log:
        await log.append(spread(log, numbered(10 * log.partitions)))
        found = by_partition(await take(log, 6 * log.partitions, resume))
        assert sorted(found) == list(range(log.partitions))
        assert all([one.offset for one in each] == list(range(4, 10)) for each in found.values())
        assert sorted({one for each in asked for one in each}) == sorted(found)


@pytest.mark.parametrize("trouble", [Misconfigured("log", "was restored"), Unavailable("store")])
async def test_what_resume_raises_reaches_the_reader_who_can_read_on(
    open_log: OpenLog, trouble: Exception
) -> None:
    async def resume(partitions: Sequence[int]) -> Mapping[int, int]:
        raise trouble

    async with open_log() as log:
        await log.append([Entry(key_of(0), b"kept")])
        with pytest.raises(type(trouble)) as raised:
            await take(log, 1, resume)
        assert raised.value is trouble
        (batch,) = await take(log, 1)
        assert batch.records[0].value == b"kept"


async def test_a_commit_moves_no_reader_only_resume_does(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.append([Entry(key_of(0), value) for value in numbered(5)])
        for batch in await take(log, 5):
            await log.commit(batch)
    async with open_log() as log:
        again = by_partition(await take(log, 5))[0]
        assert [record.value for record in again] == numbered(5)


async def test_bounds_and_read_show_any_place_without_waiting(open_log: OpenLog) -> None:
    async with open_log() as log:
        assert await log.bounds() == dict.fromkeys(range(log.partitions), Bounds(0, 0))
        assert list(await log.read(0, 0, 10)) == []
        await log.append([Entry(key_of(0), value) for value in numbered(20)])
        assert (await log.bounds())[0] == Bounds(0, 20)
        middle = await log.read(0, 7, 5)
        assert [record.offset for record in middle] == [7, 8, 9, 10, 11]
        assert [record.value for record in middle] == numbered(20)[7:12]
        assert [record.offset for record in await log.read(0, 18, 10)] == [18, 19]
        assert list(await log.read(0, 20, 10)) == []
        assert list(await log.read(0, 999, 10)) == []


async def test_ten_thousand_entries_go_in_at_once(open_log: OpenLog) -> None:
    async with open_log() as log:
        entries = spread(log, numbered(10_000))
        await log.append(entries)
        found = by_partition(await take(log, 10_000))
        for partition in range(log.partitions):
            expected = [entry.value for entry in entries if entry.key == key_of(partition)]
            assert [record.value for record in found[partition]] == expected


async def test_large_values_go_in_beside_small_ones(open_log: OpenLog) -> None:
    values = [b"small", b"\x7f" * 900_000, b"small too", b"\x80" * 900_000, b""]
    async with open_log() as log:
        await log.append([Entry(key_of(0), value) for value in values])
        assert [record.value for record in await log.read(0, 0, 10)] == values


async def test_reopening_keeps_all_and_goes_on_at_the_next_offset(open_log: OpenLog) -> None:
    async with open_log() as log:
        name, partitions = log.name, log.partitions
        await log.append([Entry(key_of(0), b"before")])
    async with open_log() as log:
        assert (log.name, log.partitions) == (name, partitions)
        await log.append([Entry(key_of(0), b"after")])
        found = [(record.offset, record.value) for record in await log.read(0, 0, 10)]
        assert found == [(0, b"before"), (1, b"after")]


async def test_an_open_log_is_ready(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.ready()
