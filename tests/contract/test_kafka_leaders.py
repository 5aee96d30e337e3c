"""Who leads may change while values are under way: they are sent again, and nobody is refused."""

import asyncio

import pytest

from spine.kafka.topic import KafkaTopic
from spine.log import Entry
from tests.kafka_broker import fresh_topic
from tests.kafka_cluster import running_cluster
from tests.kafka_logs import key_of, opened

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # as in test_kafka_away


@pytest.mark.long
async def test_appends_go_on_within_their_deadline_when_a_leader_is_killed() -> None:
    acked: set[bytes] = set()

    async def append_until(over: asyncio.Event, who: int) -> None:
        number = 0
        while not over.is_set():
            number += 1
            values = [b"%d-%d-%d" % (who, number, partition) for partition in range(6)]
            await log.append([Entry(key_of(each), value) for each, value in enumerate(values)])
            acked.update(values)

    with running_cluster() as cluster:
        topic = KafkaTopic(cluster.servers, fresh_topic(), 6, deadline_ms=30_000)
        async with opened(topic) as log:
            over = asyncio.Event()
            async with asyncio.TaskGroup() as load:
                for who in range(8):
                    load.create_task(append_until(over, who))
                for broker in cluster.brokers:  # each leads two of the partitions
                    await asyncio.sleep(1)
                    await asyncio.to_thread(broker.kill)
                    before = len(acked)
                    async with asyncio.timeout(30):
                        while len(acked) < before + 1000:
                            await asyncio.sleep(0.1)
                    broker.launch()
                    await asyncio.to_thread(broker.wait_until_listening)
                    await asyncio.sleep(5)  # it is in sync again
                over.set()
            found: set[bytes] = set()
            for partition, bounds in (await log.bounds()).items():
                found |= {each.value for each in await log.read(partition, 0, bounds.end)}
        assert acked <= found
