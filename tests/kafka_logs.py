"""Kafka logs for tests: opened and closed, looked into, waited for."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient

from spine.control.log import ControlLog
from spine.errors import Unavailable
from spine.kafka.log import KafkaLog
from spine.kafka.read import Pace
from spine.kafka.topic import KafkaTopic
from spine.log import Batch, Entry

DEADLINE_MS = 3000
PACE = Pace(10_000, 200)


def key_of(partition: int) -> bytes:
    """A key that leads to this partition, where there are more than that."""
    return partition.to_bytes(8, "big") + bytes(8)


@asynccontextmanager
async def opened(topic: KafkaTopic, pace: Pace = PACE) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(topic, f"{topic.name}-readers", pace)
    try:
        await until_open(log)  # a broker that the test before started again may not be ready yet
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


async def until_open(log: KafkaLog | ControlLog) -> None:
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
