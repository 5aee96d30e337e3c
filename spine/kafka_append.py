"""Group commit onto Kafka: many small appends become few produce requests.

Invariants:

1. One round is under way; what arrives meanwhile gathers in the next one. The busier, the larger
   the rounds, and the less an append costs.
2. Everyone who waits has a future of their own: nobody who is cancelled disturbs the others.
3. Every round is sent or given up by its deadline, which begins when it is opened. Who waits for
   it hears so after the topic's patience at the latest, while it may still be sent.
4. A round fails as a whole, although some of its values may be there: sent again, they are copies.
5. A producer that failed once is never used again: aiokafka's accumulator repeats its first
   unexpected error for ever, and a batch it gave up may still sit in its queue.

The producer is not idempotent: aiokafka's idempotent one never expires a batch while the broker
is away. Copies are settled downstream, by identity.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from spine.digest import partition_of
from spine.errors import Unavailable
from spine.failpoint import reach
from spine.kafka_topic import MAX_VALUE_BYTES, KafkaTopic
from spine.log import Entry

_WINDOW_S = 0.0005  # what comes at the same moment goes together
_BATCH_BYTES = 256 * 1024
_BATCH_HEADER_BYTES = 61
_RECORD_BYTES = 24  # an upper bound of what a record needs around its value
_ROUND_BYTES = 8 * 1024 * 1024
_MAX_WAITING_BYTES = 64 * 1024 * 1024  # aiokafka itself has no bound

_SLOW = "it is slow"

_logger = structlog.get_logger()


class _Round:
    """Values that are sent, and settled, together."""

    __slots__ = ("deadline_at", "entries", "is_slow", "patience", "size_bytes", "waiting")

    def __init__(self, topic: KafkaTopic) -> None:
        loop = asyncio.get_running_loop()
        self.deadline_at = loop.time() + topic.deadline_s
        self.patience = loop.call_later(topic.patience_s, self._lose_patience)
        self.is_slow = False
        self.entries: list[Entry] = []
        self.size_bytes = 0
        self.waiting: list[asyncio.Future[str | None]] = []

    def wait(self) -> "asyncio.Future[str | None]":
        """Give what will be told of the round: the trouble there was, or nothing."""
        waiter: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        if self.is_slow:  # nobody waits longer than the first one did
            waiter.set_result(_SLOW)
        else:
            self.waiting.append(waiter)
        return waiter

    def _lose_patience(self) -> None:
        self.is_slow = True
        self.settle(_SLOW)

    def settle(self, trouble: str | None) -> None:
        """Tell who waits what came of it; only the first word counts."""
        self.patience.cancel()
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(trouble)
        self.waiting.clear()

    def fail(self, bug: BaseException) -> None:
        """Hand a bug to who waits."""
        self.patience.cancel()
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_exception(bug)
        self.waiting.clear()


class KafkaAppender:
    """Appends to the partitions of one topic, merged across callers."""

    def __init__(self, topic: KafkaTopic) -> None:
        self._topic = topic
        self._gathering: deque[_Round] = deque()
        self._sending: asyncio.Task[None] | None = None
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
        waiter = self._place(entries, self._admitted_bytes(entries))
        if (trouble := await waiter) is not None:
            raise Unavailable(trouble)

    async def ready(self) -> None:
        """Return if every partition has a leader and there is room. Raises: Unavailable."""
        self._admitted_bytes(())
        await self._probe()

    async def close(self) -> None:
        """Let what is under way settle, by its deadline, and disconnect."""
        self._open = False
        if self._sending is not None:
            await asyncio.wait([self._sending])
        if self._producer is not None:
            self._retire(self._producer)
        if self._stopping:
            await asyncio.wait(self._stopping)

    def _admitted_bytes(self, entries: Sequence[Entry]) -> int:
        if not self._open:
            raise Unavailable("the log is not open")
        size_bytes = 0
        for _, value in entries:
            if len(value) > MAX_VALUE_BYTES:
                raise ValueError(f"a value is larger than {MAX_VALUE_BYTES} bytes")
            size_bytes += len(value) + _RECORD_BYTES
        if self._waiting_bytes + size_bytes > _MAX_WAITING_BYTES:
            raise Unavailable(f"{self._waiting_bytes} bytes wait for Kafka already")
        return size_bytes

    def _place(self, entries: Sequence[Entry], size_bytes: int) -> "asyncio.Future[str | None]":
        if not self._gathering or self._gathering[-1].size_bytes > _ROUND_BYTES:
            self._gathering.append(_Round(self._topic))
        gathered = self._gathering[-1]
        gathered.entries += entries
        gathered.size_bytes += size_bytes
        self._waiting_bytes += size_bytes
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return gathered.wait()

    async def _send_all(self) -> None:
        """Send round after round, until nobody waits."""
        under_way: _Round | None = None
        try:
            while self._gathering:
                await asyncio.sleep(_WINDOW_S)
                under_way = self._gathering.popleft()
                trouble = await self._send(under_way)
                self._settle(under_way, trouble)
                while trouble is not None and self._gathering:
                    # Whoever waits behind a failure hears of it now, not a deadline later.
                    self._settle(self._gathering.popleft(), trouble)
        except BaseException as bug:
            for left in (under_way, *self._gathering):
                if left is not None:
                    left.fail(bug)
            self._gathering.clear()
            self._waiting_bytes = 0
            raise
        finally:
            self._sending = None

    def _settle(self, settled: _Round, trouble: str | None) -> None:
        self._waiting_bytes -= settled.size_bytes
        settled.settle(trouble)

    async def _send(self, sent: _Round) -> str | None:
        """Answer with what went wrong, None once all in-sync replicas have the round."""
        producer = None
        try:
            async with asyncio.timeout_at(sent.deadline_at):
                producer = await self._connected()
                reach("before the Kafka send")
                acked = []
                for partition, batch in self._batches(sent.entries, producer):
                    ack = await producer.send_batch(batch, self._topic.name, partition=partition)
                    # Nobody may be there to hear it, after the deadline.
                    ack.add_done_callback(_hear)
                    acked.append(ack)
                    reach("inside the Kafka send")
                await asyncio.wait(acked)
                for ack in acked:
                    ack.result()
                reach("after the Kafka send")
        except (TimeoutError, KafkaError) as error:
            if producer is not None:
                self._retire(producer)
            return f"Kafka did not acknowledge ({error!r})"
        return None

    def _batches(
        self, entries: Sequence[Entry], producer: AIOKafkaProducer
    ) -> Iterator[tuple[int, BatchBuilder]]:
        """Build the batches of a round: one or more for every partition."""
        now_ms = int(time.time() * 1000)  # the broker overwrites it: LogAppendTime
        open_batches: dict[int, BatchBuilder] = {}
        for key, value in entries:
            partition = partition_of(key, self._topic.partitions)
            batch = open_batches.get(partition)
            if batch is not None and batch.append(timestamp=now_ms, key=None, value=value) is None:
                yield partition, batch  # it is full
                batch = None
            if batch is None:
                batch = open_batches[partition] = producer.create_batch()
                if batch.append(timestamp=now_ms, key=None, value=value) is None:
                    raise RuntimeError("a value does not fit into a batch of its own")
        yield from open_batches.items()

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
