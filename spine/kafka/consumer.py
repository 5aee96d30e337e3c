"""aiokafka's consumer, connected and let go of within bounded times."""

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from spine.errors import Unavailable
from spine.kafka.topic import MAX_VALUE_BYTES, KafkaTopic

_FETCH_BYTES = 32 * 1024 * 1024
_SESSION_MS = 10_000
_HEARTBEAT_MS = 1_000

_logger = structlog.get_logger()


async def start_consumer(topic: KafkaTopic, group: str | None) -> AIOKafkaConsumer:
    """Answer with a connected consumer that has no partitions yet. Raises: Unavailable."""
    consumer = AIOKafkaConsumer(
        **topic.connection,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_bytes=_FETCH_BYTES,
        max_partition_fetch_bytes=MAX_VALUE_BYTES,
        session_timeout_ms=_SESSION_MS,
        heartbeat_interval_ms=_HEARTBEAT_MS,
        # A join waits at the coordinator for the slowest member, as long as a session lasts.
        request_timeout_ms=_SESSION_MS + topic.deadline_ms,
    )
    connected = False
    try:
        async with asyncio.timeout(topic.deadline_s):
            await consumer.start()
        connected = True
    except (TimeoutError, KafkaError) as error:
        raise Unavailable(f"Kafka cannot be reached ({error!r})") from error
    finally:
        if not connected:
            await stop_consumer(consumer, topic)
    return consumer


async def stop_consumer(consumer: AIOKafkaConsumer, topic: KafkaTopic) -> None:
    """Return when the consumer has left its group, or has had its time to."""
    # In a task of its own: a fetch that aiokafka cancels while it waits to try again hands that on,
    # and it would look as if somebody had cancelled us.
    stopping = asyncio.create_task(consumer.stop())
    try:
        await asyncio.wait([stopping], timeout=topic.deadline_s)
    finally:
        stopping.cancel()
    ended: list[object] = await asyncio.gather(stopping, return_exceptions=True)
    if ended != [None]:
        _logger.warning("kafka_consumer_did_not_stop", topic=topic.name, why=repr(ended[0]))
