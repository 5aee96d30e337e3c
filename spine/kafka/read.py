"""Reading a Kafka topic as a member of a group, in batches that begin where the store says.

Invariants:

1. Nothing is handed over from a partition before `resume` has answered for it: aiokafka fetches
   from the committed offset as soon as it has an assignment, before any listener has run.
2. `resume` runs in the reader's own task, when the batch before is done with. So what it raises
   reaches the reader, and it never answers from a store that a batch is just being written to.
3. A rebalance takes every partition away and gives some back. What was gathered until then is
   forgotten, and resumed from the store: a batch never has a hole.
4. A range is `last offset + 1 - first offset` records long.
5. A batch is handed over only after the topic was found, since it was fetched, to be the one that
   was read before. aiokafka tells neither that a topic was deleted and made again, nor that its
   broker came back with older files, when the topic has grown past the position meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from spine.errors import Misconfigured, Unavailable
from spine.kafka.consumer import start_consumer, stop_consumer
from spine.kafka.topic import KafkaTopic
from spine.log import Batch, Range, Record, Resume

_logger = structlog.get_logger()


class Pace(NamedTuple):
    """When a batch is handed over: full, or this long after its first record."""

    batch_records: int = 10_000
    batch_wait_ms: int = 1_000


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """The partitions held now; `turn` changes whenever they may have changed."""

    def __init__(self) -> None:
        self.turn = 0
        self.partitions: tuple[int, ...] = ()
        self.positions: dict[int, int] = {}
        self.gone: dict[int, int] = {}
        self.appended_ms: dict[int, int] = {}  # of the last record that was handed over

    def forget(self) -> None:
        self.positions, self.gone, self.appended_ms = {}, {}, {}

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._change(set())

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._change(assigned)

    def _change(self, held: set[TopicPartition]) -> None:
        self.turn += 1
        self.partitions = tuple(sorted(each.partition for each in held))
        self.forget()


class KafkaReader:
    """One member of a consumer group; has at most one reader of `batches` at a time."""

    def __init__(self, topic: KafkaTopic, group: str, pace: Pace) -> None:
        self._topic = topic
        self._group = group
        self._pace = pace
        self._consumer: AIOKafkaConsumer | None = None
        self._held = _Assignment()

    async def batches(self, resume: Resume) -> AsyncIterator[Batch]:
        """Yield what the partitions of this member hold, and wait for more, without end.

        After trouble it may be called again. Raises: Unavailable, and what `resume` raises."""
        self._held.forget()
        while True:
            consumer = await self._joined()
            await self._position(consumer, resume)
            turn = self._held.turn
            gathered = await self._gather(consumer)
            if not gathered:
                continue
            recognised = await self._recognises(consumer, resume, gathered)
            if self._held.turn != turn:
                continue
            if not recognised:
                _logger.warning("kafka_topic_not_recognised", topic=self._topic.name)
                self._held.forget()  # `resume` says whether it is another one
                continue
            for partition, records in gathered.items():
                self._held.appended_ms[partition] = records[-1].appended_ms
            yield _batch(gathered)

    async def commit(self, batch: Batch) -> None:
        """Tell the group's lag tools where the ledger ends; trouble is logged, not raised."""
        offsets = {self._at(each.partition): each.next_offset for each in batch.ranges}
        if self._consumer is None:
            return
        try:
            async with asyncio.timeout(self._topic.deadline_s):
                await self._consumer.commit(offsets)
        except (TimeoutError, KafkaError) as error:
            # The position is in the store; the next commit repairs what lag tools show.
            _logger.info("kafka_commit_skipped", topic=self._topic.name, why=repr(error))

    async def close(self) -> None:
        """Leave the group, within a bounded time."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_consumer(consumer, self._topic)

    async def _joined(self) -> AIOKafkaConsumer:
        if self._consumer is not None:
            return self._consumer
        self._held = _Assignment()
        self._consumer = await start_consumer(self._topic, self._group)
        self._consumer.subscribe([self._topic.name], listener=self._held)
        return self._consumer

    async def _position(self, consumer: AIOKafkaConsumer, resume: Resume) -> None:
        """Return when every partition that is held stands where `resume` wants it."""
        held = self._held
        while missing := [each for each in held.partitions if each not in held.positions]:
            if missing[-1] >= self._topic.partitions:
                raise Misconfigured(
                    "log.partitions",
                    f"topic {self._topic.name} has grown a partition {missing[-1]}: set"
                    " log.partitions to the new count, then `beleg log adopt`",
                )
            turn = held.turn
            answer = await resume(missing)
            if held.turn == turn:
                for partition in missing:
                    self._seek(consumer, partition, answer[partition])

    def _seek(self, consumer: AIOKafkaConsumer, partition: int, offset: int) -> None:
        if self._held.gone.get(partition) == offset:
            raise Unavailable(f"offset {offset} of partition {partition} is not to be had")
        consumer.seek(self._at(partition), offset)
        self._held.appended_ms.pop(partition, None)
        self._held.positions[partition] = offset

    async def _gather(self, consumer: AIOKafkaConsumer) -> Mapping[int, list[Record]]:
        """Answer with the records of one batch; none after an idle deadline or a rebalance."""
        held, clock = self._held, asyncio.get_running_loop()
        turn, room = held.turn, self._pace.batch_records
        gathered: dict[int, list[Record]] = {}
        closes_at = clock.time() + self._topic.deadline_s
        while room > 0 and (wait_s := closes_at - clock.time()) > 0:
            fetched = await self._poll(consumer, wait_s, room)
            if held.turn != turn:
                return {}
            if fetched and not gathered:
                closes_at = clock.time() + self._pace.batch_wait_ms / 1000
            for partition, records in fetched.items():
                self._advance(partition, records)
                gathered.setdefault(partition, []).extend(records)
                room -= len(records)
            if len(held.positions) < len(held.partitions):
                break
        if not gathered:
            await self._listen(consumer)
        return gathered

    async def _recognises(
        self, consumer: AIOKafkaConsumer, resume: Resume, gathered: Mapping[int, list[Record]]
    ) -> bool:
        """Say whether what was gathered follows on what was read before.

        The broker knows the first record that was appended at a time or later: where the last one
        that was read still stands, that is its very time. Where nothing was handed over yet,
        `resume` compares the log with the store once more."""
        times = self._held.appended_ms
        if fresh := sorted(gathered.keys() - times.keys()):
            answer = await resume(fresh)
            if any(answer[each] != gathered[each][0].offset for each in fresh):
                return False
        asked = {self._at(each): times[each] for each in gathered if each in times}
        try:
            async with asyncio.timeout(self._topic.deadline_s):
                found = await consumer.offsets_for_times(dict(asked)) if asked else {}
        except (TimeoutError, KafkaError) as error:
            raise Unavailable(f"Kafka does not tell its offsets ({error!r})") from error
        return all(
            found[each] is not None and found[each].timestamp == asked[each] for each in asked
        )

    def _advance(self, partition: int, records: Sequence[Record]) -> None:
        expected, first, last = (
            self._held.positions[partition],
            records[0].offset,
            records[-1].offset,
        )
        if first != expected or last + 1 - first != len(records):
            raise Misconfigured(
                f"topic {self._topic.name}",
                f"partition {partition} has a hole at or after offset {expected}; "
                "a log must be neither compacted nor written in transactions",
            )
        self._held.positions[partition] = last + 1

    async def _poll(
        self, consumer: AIOKafkaConsumer, wait_s: float, room: int
    ) -> dict[int, list[Record]]:
        """Answer with what was fetched from the partitions that have a position."""
        try:
            # During a rebalance getmany waits for its end whatever its own time-out says.
            async with asyncio.timeout(wait_s + 0.1):
                fetched = await consumer.getmany(timeout_ms=wait_s * 1000, max_records=room)
        except (TimeoutError, NoOffsetForPartitionError):
            return {}  # no offset: fetched before it was given one
        except OffsetOutOfRangeError as error:
            return self._lose(error)
        except KafkaError as error:
            await self.close()
            raise Unavailable(f"Kafka cannot be read ({error!r})") from error
        return {
            each.partition: [kafka_record(one) for one in records]
            for each, records in fetched.items()
            if each.partition in self._held.positions
        }

    def _lose(self, error: OffsetOutOfRangeError) -> dict[int, list[Record]]:
        """Forget a position the topic no longer has: the store is asked again.

        What was gathered is handed over first, so that the store knows of it when asked."""
        for each, offset in error.args[0].items():
            _logger.warning("kafka_offset_gone", partition=each.partition, offset=offset)
            self._held.positions.pop(each.partition, None)
            self._held.gone[each.partition] = offset
        return {}

    async def _listen(self, consumer: AIOKafkaConsumer) -> None:
        """Tell silence from absence: aiokafka waits for an absent broker without a word."""
        try:
            async with asyncio.timeout(self._topic.deadline_s):
                await consumer.end_offsets([self._at(0)])
        except (TimeoutError, KafkaError) as error:
            raise Unavailable(f"Kafka cannot be read ({error!r})") from error

    def _at(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic.name, partition)


def kafka_record(message: ConsumerRecord) -> Record:
    """Answer with the record a Kafka message is; a tombstone has an empty value."""
    return Record(message.partition, message.offset, message.value or b"", message.timestamp)


def _batch(gathered: Mapping[int, Sequence[Record]]) -> Batch:
    return Batch(
        [record for records in gathered.values() for record in records],
        [
            Range(partition, records[0].offset, records[-1].offset + 1)
            for partition, records in gathered.items()
        ],
    )
