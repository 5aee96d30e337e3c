"""The log: where an event is durable before anyone hears "accepted", and read from in order.

Two implementations stand behind this protocol, `EmbeddedLog` and `KafkaLog`; one contract suite
(`tests/contract/test_log.py`) runs against both. The log knows nothing of what a value means: its
key decides where it goes, and it is judged after.

Invariants:

1. `put` tells that values are durable only when every one of them survives the death of this
   process (Kafka: `acks=all`). Of values of which it tells trouble some may be there all the same.
2. Offsets of a partition are contiguous, start at 0 and are never used again.
3. A batch is read, judged, written and committed as a whole. The resume position is not the log's
   business: whoever reads says where to begin, from what the store has.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import msgspec


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A value on its way to the log.

    Shape: `key` is 16 bytes and chooses the partition (`spine.digest.partition_of`); it is not
    kept."""

    key: bytes
    value: bytes


class Record(msgspec.Struct, frozen=True, gc=False):
    """A value at its position.

    Units: `appended_ms` is the log's own clock (Kafka: LogAppendTime), milliseconds since 1970.
    """

    partition: int
    offset: int
    value: bytes
    appended_ms: int


class Range(NamedTuple):
    """The positions `first_offset <= offset < next_offset` of one partition."""

    partition: int
    first_offset: int
    next_offset: int


MOST_RECORDS = 100_000
"""No batch has more records, so no line of the ledger that tells of one is longer."""


class Batch(NamedTuple):
    """Records that are judged, landed and entered together.

    Shape: records of a partition are in offset order; `ranges` cover exactly the records.
    """

    records: Sequence[Record]
    ranges: Sequence[Range]


class Bounds(NamedTuple):
    """What a partition holds now: offsets `start <= offset < end`."""

    start: int
    end: int


Resume = Callable[[Sequence[int]], Awaitable[Mapping[int, int]]]
"""Asked with the partitions just assigned; answers with the offset to read next in each.

May raise `Misconfigured` or `Unavailable`; `batches` passes either on to its reader."""


Settled = Callable[[BaseException | None], None]
"""Told once, in the event loop: nothing when values are durable, or the trouble there was.

What is told is an Unavailable; anything else is a bug, as is an exception that it raises itself."""


class Appends(Protocol):
    """What takes values and makes them durable; all that a collector needs of a log."""

    def put(self, entries: Sequence[Entry], settled: Settled) -> None:
        """Take values, and tell once what came of them, possibly before this returns.

        Shape: 1..10,000 entries, each at most `max_record_bytes`."""

    async def append(self, entries: Sequence[Entry]) -> None:
        """Return once every value is durable. Raises: Unavailable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.put(entries, partial(_wake, done))
        await done

    async def ready(self) -> None:
        """Return if an append would be taken now. Raises: Unavailable."""

    async def close(self) -> None:
        """Finish appends under way, within a bounded time, and let go of everything."""


class Log(Appends, Protocol):
    """A durable, partitioned, ordered sequence of values."""

    @property
    def name(self) -> str:
        """The name under which the store knows this log, the same in every process."""

    @property
    def partitions(self) -> int:
        """How many partitions there are; known once the log is open."""

    def batches(self, resume: Resume) -> AsyncIterator[Batch]:
        """Yield what is on the log, in order per partition, and wait for more, without end.

        A batch holds at most `batch_records` records and is handed over `batch_wait_ms` after its
        first record was seen even when it is not full; where that one came while the batch before
        was worked on, that time may count. Raises: Unavailable, and what `resume` raises."""

    async def commit(self, batch: Batch) -> None:
        """Tell the log that a batch is in the ledger, for lag tools and for retention."""

    async def bounds(self) -> Mapping[int, Bounds]:
        """Answer with the bounds of every partition. Raises: Unavailable."""

    async def read(self, partition: int, offset: int, limit: int) -> Sequence[Record]:
        """Answer with up to `limit` records from `offset` on, without waiting for more.

        Empty at the end of the log. Raises: Unavailable."""


def tell(
    loop: asyncio.AbstractEventLoop, waiting: Iterable[Settled], trouble: BaseException | None
) -> None:
    """Tell everybody who waits for the same values; a bug of one is not the others' trouble."""
    for settled in waiting:
        try:
            settled(trouble)
        except Exception as bug:  # noqa: BLE001 - as the loop does with callbacks of its own
            loop.call_exception_handler(
                {"message": "who waited for the log failed", "exception": bug}
            )


def _wake(done: "asyncio.Future[None]", trouble: BaseException | None) -> None:
    if done.done():  # who waited was cancelled; the values are durable or not
        return
    if trouble is None:
        done.set_result(None)
    else:
        done.set_exception(trouble)
