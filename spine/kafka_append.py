"""Group commit onto Kafka: many small appends become few produce requests.

Invariants:

1. Per partition one micro-batch is under way; what arrives meanwhile gathers in the next one.
2. A micro-batch has one future. Nobody who waits for it can cancel it for the others.
3. Every micro-batch is sent or given up by its deadline, which begins when it is opened. Who waits
   for it hears so after the topic's patience at the latest, while it may still be sent.
4. A producer that failed once is never used again: aiokafka's accumulator repeats its first
   unexpected error for ever, and a batch it gave up may still sit in its queue.

The producer is not idempotent: aiokafka's idempotent one never expires a batch while the broker
is away. Copies are settled downstream, by identity.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from spine.digest import partition_of
from spine.errors import Unavailable
from spine.failpoint import reach
from spine.kafka_topic import MAX_VALUE_BYTES, KafkaTopic
from spine.log import Entry

_WINDOW_S = 0.0025  # lanes send at multiples of it, so that they share produce requests
_BATCH_BYTES = 256 * 1024
_BATCH_HEADER_BYTES = 61
_RECORD_BYTES = 24  # an upper bound of what a record needs around its value
_MAX_WAITING_BYTES = 64 * 1024 * 1024  # aiokafka itself has no bound

_logger = structlog.get_logger()


class _MicroBatch:
    """Values of one partition that are sent, and settled, together."""

    __slots__ = ("deadline_at", "patience", "settled", "size_bytes", "values")

    def __init__(self, topic: KafkaTopic) -> None:
        loop = asyncio.get_running_loop()
        self.deadline_at = loop.time() + topic.deadline_s
        self.patience = loop.call_later(topic.patience_s, self.settle, "it is slow")
        self.values: list[bytes] = []
        self.size_bytes = _BATCH_HEADER_BYTES
        self.settled: asyncio.Future[str | None] = loop.create_future()

    def settle(self, trouble: str | None) -> None:
        """Tell who waits what came of it; only the first word counts."""
        self.patience.cancel()
        if not self.settled.done():
            self.settled.set_result(trouble)


class _Lane:
    """What waits for one partition, and the task that sends it while there is something."""

    __slots__ = ("sending", "task", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[_MicroBatch] = deque()
        self.sending: _MicroBatch | None = None
        self.task: asyncio.Task[None] | None = None


class KafkaAppender:
    """Appends to the partitions of one topic, merged across callers."""

    def __init__(self, topic: KafkaTopic) -> None:
        self._topic = topic
        self._lanes = [_Lane() for _ in range(topic.partitions)]
        self._waiting_bytes = 0
        self._open = False
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Return once a producer is connected. Raises: Unavailable."""
        await self._probe()
        self._open = True

    async def append(self, entries: Sequence[Entry]) -> None:
        """Return once every value is on all in-sync replicas. Raises: Unavailable."""
        self._admit(entries)
        partitions = len(self._lanes)
        touched = {
            self._place(partition_of(entry.key, partitions), entry.value) for entry in entries
        }
        await asyncio.wait([batch.settled for batch in touched])  # leaves them be when cancelled
        for batch in touched:
            if (trouble := batch.settled.result()) is not None:
                raise Unavailable(trouble)

    async def ready(self) -> None:
        """Return if every partition has a leader and there is room. Raises: Unavailable."""
        self._admit(())
        await self._probe()

    async def close(self) -> None:
        """Let what is under way settle, by its deadline, and disconnect."""
        self._open = False
        lanes = [lane.task for lane in self._lanes if lane.task is not None]
        if lanes:
            await asyncio.wait(lanes)
        if self._producer is not None:
            self._retire(self._producer)
        if self._stopping:
            await asyncio.wait(self._stopping)

    def _admit(self, entries: Sequence[Entry]) -> None:
        if not self._open:
            raise Unavailable("the log is not open")
        if any(len(entry.value) > MAX_VALUE_BYTES for entry in entries):
            raise ValueError(f"a value is larger than {MAX_VALUE_BYTES} bytes")
        if self._waiting_bytes + sum(len(entry.value) for entry in entries) > _MAX_WAITING_BYTES:
            raise Unavailable(f"{self._waiting_bytes} bytes wait for Kafka already")

    def _place(self, partition: int, value: bytes) -> _MicroBatch:
        lane = self._lanes[partition]
        size_bytes = len(value) + _RECORD_BYTES
        if not lane.waiting or lane.waiting[-1].size_bytes + size_bytes > _BATCH_BYTES:
            lane.waiting.append(_MicroBatch(self._topic))
        batch = lane.waiting[-1]
        batch.values.append(value)
        batch.size_bytes += size_bytes
        self._waiting_bytes += size_bytes
        if lane.task is None:
            lane.task = asyncio.create_task(self._drain(lane, partition))
            lane.task.add_done_callback(lambda task: self._bury(lane, task))
        return batch

    async def _drain(self, lane: _Lane, partition: int) -> None:
        while lane.waiting:
            await asyncio.sleep(_WINDOW_S - asyncio.get_running_loop().time() % _WINDOW_S)
            lane.sending = lane.waiting.popleft()
            trouble = await self._send(lane.sending, partition)
            self._settle(lane.sending, trouble)
            lane.sending = None
            while trouble is not None and lane.waiting:
                # Whoever waits behind a failure hears of it now, not a deadline later.
                self._settle(lane.waiting.popleft(), trouble)
        lane.task = None

    def _settle(self, batch: _MicroBatch, trouble: str | None) -> None:
        self._waiting_bytes -= batch.size_bytes - _BATCH_HEADER_BYTES
        batch.settle(trouble)

    def _bury(self, lane: _Lane, task: asyncio.Task[None]) -> None:
        """Hand a bug that killed a lane to those who wait on it; the next append starts afresh."""
        if not task.cancelled() and task.exception() is None:
            return
        left = [*([lane.sending] if lane.sending else []), *lane.waiting]
        lane.task, lane.sending = None, None
        lane.waiting.clear()
        for batch in left:
            self._waiting_bytes -= batch.size_bytes - _BATCH_HEADER_BYTES
            batch.patience.cancel()
            if task.cancelled():
                batch.settled.cancel()
            elif not batch.settled.done():
                batch.settled.set_exception(task.exception() or RuntimeError("a lane died"))

    async def _send(self, batch: _MicroBatch, partition: int) -> str | None:
        """Answer with what went wrong, None once all in-sync replicas have the batch."""
        producer = None
        try:
            async with asyncio.timeout_at(batch.deadline_at):
                producer = await self._connected()
                builder = producer.create_batch()
                now_ms = int(time.time() * 1000)  # the broker overwrites it: LogAppendTime
                for value in batch.values:
                    builder.append(timestamp=now_ms, key=None, value=value)
                if builder.record_count() != len(batch.values):
                    raise RuntimeError("a micro-batch is larger than its bound")
                reach("before the Kafka send")
                acked = await producer.send_batch(builder, self._topic.name, partition=partition)
                # Cancelled, it would report the batch's later failure as an error nobody handled.
                acked.add_done_callback(_hear)
                await asyncio.wait([acked])
                acked.result()
                reach("after the Kafka send")
        except (TimeoutError, KafkaError) as error:
            if producer is not None:
                self._retire(producer)
            return f"Kafka did not acknowledge partition {partition} ({error!r})"
        return None

    async def _probe(self) -> None:
        """Return if a broker answers and every partition has a leader. Raises: Unavailable."""
        producer = None
        try:
            async with asyncio.timeout(self._topic.deadline_s):
                producer = await self._connected()
                await producer.partitions_for(self._topic.name)
                answered = await producer.client.force_metadata_update()
        except (TimeoutError, KafkaError) as error:
            if producer is not None:
                self._retire(producer)
            raise Unavailable(f"Kafka does not answer ({error!r})") from error
        led = producer.client.cluster.available_partitions_for_topic(self._topic.name) or ()
        if not answered or len(led) < self._topic.partitions:
            raise Unavailable(f"{len(led)} of {self._topic.partitions} partitions have a leader")
        if len(led) > self._topic.partitions:  # copies of an event would not meet any more
            raise Unavailable(
                f"topic {self._topic.name} has grown to {len(led)} partitions: start this collector"
                " with log.partitions set to it"
            )

    async def _connected(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._topic.connection,
                    acks="all",
                    max_batch_size=_BATCH_BYTES,
                    max_request_size=MAX_VALUE_BYTES,
                    request_timeout_ms=self._topic.deadline_ms,
                )
                self._producer = producer
                connected = False
                try:
                    await producer.start()
                    connected = True
                finally:
                    if not connected:
                        self._retire(producer)
            return self._producer

    def _retire(self, producer: AIOKafkaProducer) -> None:
        if producer is self._producer:
            self._producer = None
            task = asyncio.create_task(self._stop(producer))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    async def _stop(self, producer: AIOKafkaProducer) -> None:
        # A batch expires one deadline after its creation, when the request it is in has failed.
        try:
            async with asyncio.timeout(3 * self._topic.deadline_s):
                await producer.stop()
        except (TimeoutError, KafkaError) as error:
            _logger.warning("kafka_producer_did_not_stop", topic=self._topic.name, why=repr(error))


def _hear(acked: asyncio.Future[object]) -> None:
    if not acked.cancelled():
        acked.exception()
