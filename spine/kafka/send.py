"""Sending to all partitions of one topic, by produce requests of our own on aiokafka's client.

The client keeps connections, logs in, and knows brokers and leaders. Invariants:

1. A request goes to one leader; those to several leaders are under way at the same time.
2. What a broker refuses for now is sent again, to whoever leads then, for as long as the caller
   waits. Values that were there already are then copies: identity settles them (P3).
3. Any other refusal is an error, and what was sent counts as not sent.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError, LeaderNotAvailableError, for_code
from aiokafka.structs import TopicPartition

from spine.failpoint import reach
from spine.kafka.batch import Batches, Produce, packed
from spine.kafka.topic import KafkaTopic
from spine.log import Entry

_NOBODY = -1
_NO_WORD = -1  # Kafka's code of an unknown error
_AGAIN_AFTER_S = 0.1

_logger = structlog.get_logger()

_Refusals = Mapping[int, KafkaError]


class Leaders(NamedTuple):
    """Whether a broker answered just now, and how many partitions have a leader."""

    answered: bool
    led: int


class KafkaSender:
    """Sends to one topic, for one caller at a time, who bounds the time.

    One that failed is stopped and not used again: what it believes of brokers and connections may
    be what failed."""

    def __init__(self, topic: KafkaTopic) -> None:
        self._topic = topic
        self._client = AIOKafkaClient(**topic.connection, request_timeout_ms=topic.deadline_ms)
        self._sending = asyncio.Lock()

    async def start(self) -> None:
        """Return once a broker has told who leads what. Raises: KafkaError."""
        await self._client.bootstrap()
        await self._client.set_topics([self._topic.name])

    async def stop(self) -> None:
        """Let what is being sent settle, then let go of all connections. Raises: KafkaError."""
        async with self._sending:
            await self._client.close()

    async def leaders(self) -> Leaders:
        """Ask a broker anew. Raises: KafkaError."""
        answered = await self._client.force_metadata_update()
        led = self._client.cluster.available_partitions_for_topic(self._topic.name)
        return Leaders(answered, len(led or ()))

    async def send(self, entries: Sequence[Entry]) -> None:
        """Return once all in-sync replicas have every value. Raises: KafkaError."""
        async with self._sending:
            topic, now_ms = self._topic, int(time.time() * 1000)
            for batches in packed(entries, topic.partitions, now_ms, compacted=topic.compacted):
                await self._send(batches)

    async def _send(self, batches: Batches) -> None:
        while refusals := await self._ask_leaders(batches):
            why = {repr(refusal) for refusal in refusals.values()}
            _logger.warning("kafka_refuses", partitions=sorted(refusals), why=sorted(why))
            for refusal in refusals.values():
                if not refusal.retriable:
                    raise refusal
            await asyncio.sleep(_AGAIN_AFTER_S)
            await self._client.force_metadata_update()
            batches = {partition: batches[partition] for partition in refusals}

    async def _ask_leaders(self, batches: Batches) -> _Refusals:
        """Send every batch to its leader; give why some of them were refused."""
        refusals: dict[int, KafkaError] = {}
        by_leader: defaultdict[int, dict[int, bytes]] = defaultdict(dict)
        for partition, batch in batches.items():
            place = TopicPartition(self._topic.name, partition)
            leader = self._client.cluster.leader_for_partition(place)
            if leader is None or leader == _NOBODY:
                refusals[partition] = LeaderNotAvailableError()
            else:
                by_leader[leader][partition] = batch
        async with asyncio.TaskGroup() as asking:
            asked = [asking.create_task(self._ask(*each)) for each in by_leader.items()]
            await asyncio.sleep(0)  # until they are on their way
            reach("inside the Kafka send")
        for answer in asked:
            refusals |= answer.result()
        return refusals

    async def _ask(self, leader: int, batches: Batches) -> _Refusals:
        request = Produce(self._topic.name, batches, self._topic.deadline_ms)
        try:
            answer = await self._client.send(leader, request)
        except KafkaError as error:
            return dict.fromkeys(batches, error)
        except RuntimeError as error:  # uvloop's, of a connection that broke in this very moment
            return dict.fromkeys(batches, KafkaConnectionError(str(error)))
        codes = {partition: code for _, told in answer.topics for partition, code, *_ in told}
        found = {partition: codes.get(partition, _NO_WORD) for partition in batches}
        return {partition: for_code(code)() for partition, code in found.items() if code}
