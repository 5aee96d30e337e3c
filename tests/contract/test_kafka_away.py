"""What the Kafka log does when Kafka is away, is killed, stands still and comes back."""

import asyncio
import time

import pytest

from spine.errors import Unavailable
from spine.kafka.log import KafkaLog
from spine.kafka.topic import KafkaTopic
from spine.log import Entry
from tests.kafka_broker import Broker
from tests.kafka_logs import (
    DEADLINE_MS,
    PACE,
    first_batch,
    from_start,
    key_of,
    opened,
    until_appended,
    until_open,
)

# aiokafka drops a connection that the broker ended without closing it, when its end is seen before
# its reader task has run; the socket is then closed, with a warning, by the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


async def test_a_log_can_be_made_while_kafka_is_away_and_opened_when_it_is_back(
    broker: Broker, topic: KafkaTopic
) -> None:
    log = KafkaLog(topic, "readers", PACE)
    broker.kill()
    for attempt in (log.open(), log.open(), log.ready(), log.append([Entry(key_of(0), b"early")])):
        with pytest.raises(Unavailable):
            await attempt
    with pytest.raises(Unavailable, match=r"log\.url"):
        await log.open()
    broker.start()
    await until_open(log)
    await log.append([Entry(key_of(0), b"kept")])
    await log.close()


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_append_raises_within_the_deadline_while_kafka_is_away_and_works_again_after(
    broker: Broker, topic: KafkaTopic, fault: str
) -> None:
    async with opened(topic) as log:
        await log.append([Entry(key_of(0), b"before")])
        {"kill": broker.kill, "pause": broker.pause}[fault]()
        started_at = time.monotonic()
        outcomes = await asyncio.gather(
            log.append([Entry(key_of(0), b"lost")]), log.ready(), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [Unavailable, Unavailable], outcomes
        assert time.monotonic() - started_at < DEADLINE_MS / 1000 + 3
        {"kill": broker.start, "pause": broker.resume}[fault]()
        await until_appended(log, [Entry(key_of(0), b"after")])
        await log.ready()
        values = [record.value for record in await log.read(0, 0, 10)]
        assert values[0] == b"before"
        assert values[-1] == b"after"


async def test_nobody_waits_longer_than_the_patience_whatever_is_under_way(
    broker: Broker, topic: KafkaTopic
) -> None:
    patience_s = 1.0
    hurried = topic._replace(deadline_ms=30_000, patience_ms=round(patience_s * 1000))
    async with opened(hurried) as log:
        await log.append([Entry(key_of(0), b"before")])
        broker.pause()

        async def refused_after_s() -> float:
            started_at = time.monotonic()
            with pytest.raises(Unavailable, match="slow"):
                await log.append([Entry(key_of(0), b"waits")])
            return time.monotonic() - started_at

        sent = asyncio.create_task(refused_after_s())  # its round is under way for the deadline
        await asyncio.sleep(0.1)
        gathered = asyncio.create_task(refused_after_s())  # the next round: it gathers meanwhile
        await asyncio.sleep(patience_s + 0.2)
        late = await refused_after_s()  # joins that round, whose first one has lost patience
        assert max(await sent, await gathered) < patience_s + 2
        assert late < patience_s
        broker.resume()


async def test_what_is_under_way_is_not_cut_off_when_a_probe_gives_up(
    broker: Broker, topic: KafkaTopic
) -> None:
    async with opened(topic._replace(deadline_ms=6000)) as log:
        await log.append([Entry(key_of(0), b"before")])
        broker.pause()
        probe = asyncio.create_task(log.ready())
        await asyncio.sleep(3)
        under_way = asyncio.create_task(log.append([Entry(key_of(0), b"under way")]))
        with pytest.raises(Unavailable):
            await probe
        assert not under_way.done()
        broker.resume()
        await under_way
        await log.append([Entry(key_of(0), b"after")])


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
                await log.append([Entry(key_of(number % 3), value)])
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
    megabytes = [Entry(key_of(0), b"x" * 1_000_000)] * 20
    async with opened(topic) as log:
        broker.pause()
        appends = [asyncio.create_task(log.append(megabytes)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="wait for Kafka already"):
            await log.append(megabytes)
        broker.resume()
        await asyncio.gather(*appends, return_exceptions=True)
        await until_appended(log, megabytes)


async def test_a_reader_reads_on_after_kafka_was_away(broker: Broker, topic: KafkaTopic) -> None:
    noticed = asyncio.Event()

    async def read_until(log: KafkaLog, value: bytes) -> None:
        while True:
            try:
                async for batch in log.batches(from_start):
                    if batch.records[-1].value == value:
                        return
            except Unavailable:
                noticed.set()
                await asyncio.sleep(0.2)

    async with opened(topic) as log:
        await log.append([Entry(key_of(0), b"before")])
        assert (await first_batch(log)).records[0].value == b"before"
        reading = asyncio.create_task(read_until(log, b"after"))
        broker.kill()
        async with asyncio.timeout(60):
            await noticed.wait()
        broker.start()
        await until_appended(log, [Entry(key_of(0), b"after")])
        async with asyncio.timeout(60):
            await reading
