"""Looking at any place of a Kafka topic, outside the group and without waiting for more."""

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from spine.errors import Unavailable
from spine.kafka.consumer import start_consumer, stop_consumer
from spine.kafka.read import kafka_record
from spine.kafka.topic import KafkaTopic
from spine.log import Bounds, Record


class KafkaPeek:
    """A consumer without a group, connected at the first question, one question at a time."""

    def __init__(self, topic: KafkaTopic) -> None:
        self._topic = topic
        self._consumer: AIOKafkaConsumer | None = None
        self._asking = asyncio.Lock()

    async def bounds(self) -> Mapping[int, Bounds]:
        """Answer with the bounds of every partition. Raises: Unavailable."""
        async with self._asking:
            consumer = await self._connected()
            try:
                async with asyncio.timeout(self._topic.deadline_s):
                    return await self._bounds(consumer, range(self._topic.partitions))
            except (TimeoutError, KafkaError) as error:
                await self._drop()
                raise Unavailable(f"Kafka does not tell its bounds ({error!r})") from error

    async def read(self, partition: int, offset: int, limit: int) -> Sequence[Record]:
        """Answer with up to `limit` records from `offset` on. Raises: Unavailable."""
        async with self._asking:
            consumer = await self._connected()
            try:
                async with asyncio.timeout(self._topic.deadline_s):
                    start, end = (await self._bounds(consumer, [partition]))[partition]
                    first = max(offset, start)
                    return await self._read(consumer, partition, first, min(first + limit, end))
            except (TimeoutError, KafkaError) as error:
                await self._drop()
                raise Unavailable(f"Kafka cannot be read ({error!r})") from error

    async def close(self) -> None:
        """Disconnect, within a bounded time."""
        async with self._asking:
            await self._drop()

    async def _bounds(
        self, consumer: AIOKafkaConsumer, partitions: Sequence[int]
    ) -> Mapping[int, Bounds]:
        asked = [TopicPartition(self._topic.name, each) for each in partitions]
        starts = await consumer.beginning_offsets(asked)
        ends = await consumer.end_offsets(asked)
        return {each.partition: Bounds(starts[each], ends[each]) for each in asked}

    async def _read(
        self, consumer: AIOKafkaConsumer, partition: int, first: int, end: int
    ) -> Sequence[Record]:
        records: list[Record] = []
        if first >= end:
            return records
        place = TopicPartition(self._topic.name, partition)
        consumer.assign([place])
        consumer.seek(place, first)
        try:
            while len(records) < end - first:
                room = end - first - len(records)
                fetched = await consumer.getmany(place, timeout_ms=1000, max_records=room)
                records.extend(kafka_record(each) for each in fetched.get(place, ()))
        finally:
            consumer.unsubscribe()  # else it goes on fetching what nobody asked for
        return records

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            self._consumer = await start_consumer(self._topic, None)
        return self._consumer

    async def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_consumer(consumer, self._topic)
