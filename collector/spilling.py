"""The log with a spill in front of it: what Kafka cannot take now waits on this machine's disk.

Invariants:

1. `put` tells that values are durable when Kafka has them, or when they are on disk, synced (P1).
2. Once Kafka was away nothing waits for it until it has taken something again: values go to disk.
3. What waits on disk goes to Kafka before it is deleted. What was sent twice, because an answer was
   lost or a process died, is the same identity twice; the order of values does not matter.
4. Before the log was there for the first time nothing is acknowledged from disk.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import structlog

from spine.errors import Unavailable
from spine.failpoint import reach
from spine.kafka.log import KafkaLog
from spine.log import Appends, Entry, Settled, tell
from spine.metrics import Metrics
from spine.record import SpillRecord, control_identity, encode
from spine.spill import Spill, Waiting

T = TypeVar("T")

_AGAIN_AFTER_S = 1.0
_ENTRIES_AT_ONCE = 5_000

_logger = structlog.get_logger()


class _Group(NamedTuple):
    """Values that are written together, and who waits for it."""

    entries: list[Entry]
    waiting: list[Settled]


class SpillingLog(Appends):
    """What a collector appends to in the many-machines mode.

    `quick` and `patient` are the same log. Senders do not wait long for the one; what is handed
    over goes by the other, or a merely slow Kafka would be sent the same values for ever."""

    def __init__(
        self,
        quick: KafkaLog,
        patient: KafkaLog,
        spill: Spill,
        collector: str,
        metrics: Metrics,
        now_ms: Callable[[], int],
    ) -> None:
        self._quick = quick
        self._patient = patient
        self._spill = spill
        self._collector = collector
        self._metrics = metrics
        self._now_ms = now_ms
        self._shown = Waiting("", 0, 0, 0)
        self._away = False
        self._waits = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._disk = ThreadPoolExecutor(1, "spill")
        self._gathering = threading.Lock()
        self._group: _Group | None = None

    async def open(self) -> None:
        """Return once the log takes appends, or the disk does for a log that was there before.

        Raises: Unavailable, Misconfigured."""
        try:
            await self._quick.open()
        except Unavailable as trouble:
            if self._spill.spill_id is None:
                raise
            self._spill.room()
            self._turn_away(trouble.what)
        else:
            self._spill.meet(self._quick.name)
        self.resume()

    def resume(self) -> None:
        """Let what waits on disk from before be handed over; enough where nothing is appended."""
        self._show()
        self._waits.set()

    def put(self, entries: Sequence[Entry], settled: Settled) -> None:
        """Take values; what is told is that they are in Kafka or on this machine's disk."""
        if self._away:
            self._keep(entries, settled)
        else:
            self._quick.put(entries, partial(self._heard, entries, settled))

    def _heard(
        self, entries: Sequence[Entry], settled: Settled, trouble: BaseException | None
    ) -> None:
        if isinstance(trouble, Unavailable):
            self._turn_away(trouble.what)
            self._keep(entries, settled)
        else:
            settled(trouble)

    async def ready(self) -> None:
        """Return if Kafka, or the disk for it, would take an append now. Raises: Unavailable."""
        if not self._away:
            try:
                await self._quick.ready()
            except Unavailable as trouble:
                self._turn_away(trouble.what)
        if self._away:
            self._spill.room()

    async def close(self) -> None:
        """Finish the writes under way; what waits on disk stays there."""
        await asyncio.to_thread(self._disk.shutdown)
        self._spill.close()

    def _turn_away(self, why: str) -> None:
        if not self._away:
            _logger.warning("log is away, events go to the spill", why=why)
        self._away = True
        self._waits.set()

    def _keep(self, entries: Sequence[Entry], settled: Settled) -> None:
        """Write to the spill, together with whatever else waits for its turn."""
        with self._gathering:
            group = self._group
            if group is None:
                self._disk.submit(self._write)  # first: where it cannot be, nobody joins the group
                group = self._group = _Group([], [])
            group.entries.extend(entries)
            group.waiting.append(settled)

    def _write(self) -> None:
        with self._gathering:
            group, self._group = self._group, None
        assert group is not None  # noqa: S101 - `_keep` made it with this job
        trouble: BaseException | None = None
        try:
            self._spill.append(group.entries)
            self._show()
        except BaseException as why:  # noqa: BLE001 - for who waits: nobody asks this job
            trouble = why
        self._loop.call_soon_threadsafe(self._kept, group, trouble)

    def _kept(self, group: _Group, trouble: BaseException | None) -> None:
        if trouble is None:
            self._metrics.spilled.inc(len(group.entries))
            self._waits.set()
        tell(self._loop, group.waiting, trouble)

    async def hand_over_for_ever(self) -> None:
        """Give to Kafka what waits on disk, whenever something does, until cancelled.

        Raises: Misconfigured when the topic came back as one that would lose events."""
        while True:
            await self._waits.wait()
            self._waits.clear()  # first: what is kept from now on sets it again
            try:
                await self._hand_over()
            except Unavailable as trouble:
                _logger.info("spill waits", why=trouble.what)
                await asyncio.sleep(_AGAIN_AFTER_S)
                self._waits.set()

    async def _hand_over(self) -> None:
        if self._away:
            await self._quick.open()
            self._spill.meet(self._quick.name)
        handed_over = 0
        while entries := await self._on_disk(self._spill.oldest):
            if not handed_over:
                await self._patient.open()
            await self._tell()
            for start in range(0, len(entries), _ENTRIES_AT_ONCE):
                reach("before the drain's append")
                await self._patient.append(entries[start : start + _ENTRIES_AT_ONCE])
            reach("after the drain's append")
            await self._on_disk(self._spill.drop)
            reach("after the drain's drop")
            handed_over += len(entries)
            self._return()
        self._return()
        if handed_over:
            await self._tell()
            _logger.info("spill is empty", handed_over=handed_over)

    def _return(self) -> None:
        if self._away:
            _logger.info("log is back")
        self._away = False

    async def _tell(self) -> None:
        """Put on the log how much waits here, so that the ledger can say it."""
        waiting = await self._on_disk(self._show)
        record = SpillRecord(
            collector=self._collector,
            spill=waiting.spill_id,
            number=waiting.number,
            waiting=waiting.records,
            received_ms=self._now_ms(),
        )
        await self._patient.append([Entry(control_identity(record), encode(record))])

    def _show(self) -> Waiting:
        waiting = self._spill.waiting()
        self._metrics.spill_records.inc(waiting.records - self._shown.records)
        self._metrics.spill_bytes.inc(waiting.size_bytes - self._shown.size_bytes)
        self._shown = waiting  # its part of the metrics: a process may have several spills
        return waiting

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._disk.submit(work))
