"""Group commit onto Kafka: many small appends become few produce requests.

Invariants:

1. One round is under way; what arrives meanwhile gathers in the next one. The busier, the larger
   the rounds, and the less an append costs.
2. Everyone who waits is told by a call of their own: nobody who has gone disturbs the others.
3. Every round is sent or given up by its deadline, which begins when it is opened. Who waits for
   it hears so after the topic's patience at the latest, while it may still be sent.
4. A round fails as a whole, although some of its values may be there: sent again, they are copies.
5. A sender that failed once is never used again: the next round begins with a new one.

Nothing here is idempotent: copies are settled downstream, by identity.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog
from aiokafka.errors import KafkaError

from spine.errors import Unavailable
from spine.failpoint import reach
from spine.kafka.send import KafkaSender
from spine.kafka.topic import MAX_VALUE_BYTES, KafkaTopic
from spine.log import Appends, Entry, Settled, tell

_WINDOW_S = 0.0005  # what comes at the same moment goes together
_RECORD_BYTES = 24  # an upper bound of what a record needs around its value
_ROUND_BYTES = 8 * 1024 * 1024
_MAX_WAITING_BYTES = 64 * 1024 * 1024

_SLOW = "it is slow"

_logger = structlog.get_logger()


class _Round:
    """Values that are sent, and settled, together."""

    __slots__ = ("_loop", "deadline_at", "entries", "is_slow", "patience", "size_bytes", "waiting")

    def __init__(self, topic: KafkaTopic) -> None:
        self._loop = asyncio.get_running_loop()  # to ask for it takes a system call, each time
        self.deadline_at = self._loop.time() + topic.deadline_s
        self.patience = self._loop.call_later(topic.patience_s, self._lose_patience)
        self.is_slow = False
        self.entries: list[Entry] = []
        self.size_bytes = 0
        self.waiting: list[Settled] = []

    def wait(self, settled: Settled) -> None:
        """Let somebody be told what comes of the round."""
        if self.is_slow:  # nobody waits longer than the first one did
            settled(Unavailable(_SLOW))
        else:
            self.waiting.append(settled)

    def _lose_patience(self) -> None:
        self.is_slow = True
        self.settle(Unavailable(_SLOW))

    def settle(self, trouble: BaseException | None) -> None:
        """Tell who waits what came of it; only the first word counts."""
        self.patience.cancel()
        waiting, self.waiting = self.waiting, []
        tell(self._loop, waiting, trouble)


class KafkaAppender(Appends):
    """Appends to the partitions of one topic, merged across callers."""

    def __init__(self, topic: KafkaTopic) -> None:
        self._topic = topic
        self._gathering: deque[_Round] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._waiting_bytes = 0
        self._open = False
        self._sender: KafkaSender | None = None
        self._starting = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Return once a sender is connected. Raises: Unavailable."""
        await self._probe()
        self._open = True

    def put(self, entries: Sequence[Entry], settled: Settled) -> None:
        """Take values; what is told is that all in-sync replicas have them."""
        try:
            size_bytes = self._admitted_bytes(entries)
        except Unavailable as trouble:
            settled(trouble)
            return
        self._place(entries, size_bytes).wait(settled)

    async def ready(self) -> None:
        """Return if every partition has a leader and there is room. Raises: Unavailable."""
        self._admitted_bytes(())
        await self._probe()

    async def close(self) -> None:
        """Let what is under way settle, by its deadline, and disconnect."""
        self._open = False
        if self._sending is not None:
            await asyncio.wait([self._sending])
        if self._sender is not None:
            self._retire(self._sender)
        if self._stopping:
            await asyncio.wait(self._stopping)

    def _admitted_bytes(self, entries: Sequence[Entry]) -> int:
        if not self._open:
            raise Unavailable("the log is not open")
        size_bytes = 0
        for entry in entries:
            value_bytes = len(entry.value)
            if value_bytes > MAX_VALUE_BYTES:
                raise ValueError(f"a value is larger than {MAX_VALUE_BYTES} bytes")
            size_bytes += value_bytes + _RECORD_BYTES
        if self._waiting_bytes + size_bytes > _MAX_WAITING_BYTES:
            raise Unavailable(f"{self._waiting_bytes} bytes wait for Kafka already")
        return size_bytes

    def _place(self, entries: Sequence[Entry], size_bytes: int) -> _Round:
        if not self._gathering or self._gathering[-1].size_bytes > _ROUND_BYTES:
            self._gathering.append(_Round(self._topic))
        gathered = self._gathering[-1]
        gathered.entries += entries
        gathered.size_bytes += size_bytes
        self._waiting_bytes += size_bytes
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return gathered

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
                    left.settle(bug)
            self._gathering.clear()
            self._waiting_bytes = 0
            raise
        finally:
            self._sending = None

    def _settle(self, settled: _Round, trouble: str | None) -> None:
        self._waiting_bytes -= settled.size_bytes
        settled.settle(None if trouble is None else Unavailable(trouble))

    async def _send(self, sent: _Round) -> str | None:
        """Answer with what went wrong, None once all in-sync replicas have the round."""
        sender = None
        try:
            async with asyncio.timeout_at(sent.deadline_at):
                sender = await self._connected()
                reach("before the Kafka send")
                await sender.send(sent.entries)
                reach("after the Kafka send")
        except (TimeoutError, KafkaError) as error:
            if sender is not None:
                self._retire(sender)
            return f"Kafka did not acknowledge ({error!r})"
        return None

    async def _probe(self) -> None:
        """Return if a broker answers and every partition has a leader. Raises: Unavailable."""
        sender = None
        try:
            async with asyncio.timeout(self._topic.deadline_s):
                sender = await self._connected()
                answered, led = await sender.leaders()
        except (TimeoutError, KafkaError) as error:
            if sender is not None:
                self._retire(sender)
            raise Unavailable(f"Kafka does not answer ({error!r})") from error
        if not answered or led < self._topic.partitions:
            raise Unavailable(f"{led} of {self._topic.partitions} partitions have a leader")
        if led > self._topic.partitions:  # copies of an event would not meet any more
            raise Unavailable(
                f"topic {self._topic.name} has grown to {led} partitions: start this collector"
                " with log.partitions set to it"
            )

    async def _connected(self) -> KafkaSender:
        async with self._starting:
            if self._sender is None:
                sender = self._sender = KafkaSender(self._topic)
                connected = False
                try:
                    await sender.start()
                    connected = True
                finally:
                    if not connected:
                        self._retire(sender)
            return self._sender

    def _retire(self, sender: KafkaSender) -> None:
        if sender is self._sender:
            self._sender = None
            task = asyncio.create_task(self._stop(sender))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    async def _stop(self, sender: KafkaSender) -> None:
        # What was written to a broker that stands still is waited for until it is sent.
        try:
            async with asyncio.timeout(3 * self._topic.deadline_s):
                await sender.stop()
        except (TimeoutError, KafkaError) as error:
            _logger.warning("kafka_sender_did_not_stop", topic=self._topic.name, why=repr(error))
