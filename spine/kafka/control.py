"""`KafkaControl`: the control log on Kafka, a topic of one partition.

Every process reads all of it, outside any group, and then follows: nobody owns it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from spine.control.log import Page
from spine.errors import Unavailable
from spine.kafka.append import KafkaAppender
from spine.kafka.consumer import start_consumer, stop_consumer
from spine.kafka.topic import KafkaTopic, provide
from spine.log import Entry

_Offsets = Callable[[list[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]
_PAGE_VALUES = 200
_ANSWERS_WITHIN_S = 1.0


class KafkaControl:
    """A `spine.control.log.ControlLog` on one of the topics that belong to a log's."""

    def __init__(self, topic: KafkaTopic) -> None:
        self._topic = topic
        self._place = TopicPartition(self._topic.name, 0)
        self._appender = KafkaAppender(self._topic)
        self._consumer: AIOKafkaConsumer | None = None
        self._connecting = asyncio.Lock()
        self._at = -1

    async def open(self) -> None:
        """Return once the topic is there and as it must be. Raises: Unavailable, Misconfigured."""
        await provide(self._topic)
        await self._appender.open()

    async def append(self, key: bytes, value: bytes) -> None:
        """Return once the value is on every in-sync replica. Raises: Unavailable."""
        await self._appender.append([Entry(key, value)])

    async def end(self) -> int:
        """Give the offset behind the last value. Raises: Unavailable."""
        consumer = await self._connected()
        return await self._told(consumer, consumer.end_offsets)

    async def read(self, position: int, wait_s: float) -> Page:
        """Give some values from an offset on; waits up to so long for one. Raises: Unavailable."""
        consumer = await self._connected()
        if position != self._at:
            consumer.seek(self._place, position)
        try:
            fetched = await consumer.getmany(
                self._place, timeout_ms=wait_s * 1000, max_records=_PAGE_VALUES
            )
        except OffsetOutOfRangeError:
            return Page([], await self._told(consumer, consumer.beginning_offsets))
        except KafkaError as error:
            raise Unavailable(f"Kafka cannot be read ({error!r})") from error
        records = fetched.get(self._place, ())
        if records:
            position = records[-1].offset + 1
        self._at = position
        return Page([record.value or b"" for record in records], position)

    async def _told(self, consumer: AIOKafkaConsumer, asked: _Offsets) -> int:
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_S):
                return (await asked([self._place]))[self._place]
        except (TimeoutError, KafkaError) as error:
            # Not dropped: it connects again by itself, and another task may be reading from it.
            raise Unavailable(f"Kafka does not tell its offsets ({error!r})") from error

    async def close(self) -> None:
        """Disconnect, within a bounded time."""
        await self._appender.close()
        if self._consumer is not None:
            await stop_consumer(self._consumer, self._topic)

    async def _connected(self) -> AIOKafkaConsumer:
        async with self._connecting:
            if self._consumer is None:
                consumer = await start_consumer(self._topic, None)
                consumer.assign([self._place])
                self._consumer, self._at = consumer, -1
            return self._consumer
