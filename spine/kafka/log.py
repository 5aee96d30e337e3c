"""The log on Apache Kafka: one topic, explicit partitions, no keys."""

from collections.abc import AsyncIterator, Mapping, Sequence

from spine.kafka.append import KafkaAppender
from spine.kafka.peek import KafkaPeek
from spine.kafka.read import KafkaReader, Pace
from spine.kafka.topic import KafkaTopic, provide
from spine.log import Appends, Batch, Bounds, Entry, Record, Resume, Settled


class KafkaLog(Appends):
    """A `spine.log.Log` whose values are on every in-sync replica before `append` returns.

    Making one touches nothing. Until `open` has succeeded, which may be tried again and again,
    `append` and `ready` raise Unavailable; what reads needs no `open`, only a topic.
    """

    def __init__(self, topic: KafkaTopic, group: str, pace: Pace) -> None:
        self._topic = topic
        self._appender = KafkaAppender(topic)
        self._reader = KafkaReader(topic, group, pace)
        self._peek = KafkaPeek(topic)

    @property
    def name(self) -> str:
        """The name under which the store knows this log, the same in every process."""
        return f"kafka:{self._topic.name}"

    @property
    def partitions(self) -> int:
        """How many partitions there are; `open` has compared it with the topic."""
        return self._topic.partitions

    async def open(self) -> None:
        """Return once the topic is there, is as it must be, and would take an append.

        Raises: Unavailable (try again), Misconfigured."""
        await provide(self._topic)
        await self._appender.open()

    def put(self, entries: Sequence[Entry], settled: Settled) -> None:
        """Take values, and tell what came of them within the deadline.

        Shape: values of at most `MAX_VALUE_BYTES`."""
        self._appender.put(entries, settled)

    def batches(self, resume: Resume) -> AsyncIterator[Batch]:
        """Yield what this member of the group is assigned, and wait for more, without end.

        Raises: Unavailable, and what `resume` raises; may be called again after either."""
        return self._reader.batches(resume)

    async def commit(self, batch: Batch) -> None:
        """Tell Kafka's lag tools that a batch is in the ledger."""
        await self._reader.commit(batch)

    async def bounds(self) -> Mapping[int, Bounds]:
        """Answer with the bounds of every partition. Raises: Unavailable."""
        return await self._peek.bounds()

    async def read(self, partition: int, offset: int, limit: int) -> Sequence[Record]:
        """Answer with up to `limit` records from `offset` on, without waiting for more.

        Begins at the start of the partition where that is later. Raises: Unavailable."""
        return await self._peek.read(partition, offset, limit)

    async def ready(self) -> None:
        """Return if the log would take an append now. Raises: Unavailable."""
        await self._appender.ready()

    async def close(self) -> None:
        """Finish appends under way, within a bounded time, and let go of everything."""
        await self._appender.close()
        await self._reader.close()
        await self._peek.close()
