"""The loop: batch, judge, land, derive, ledger, commit. Read it first, it is the whole room.

Killed between any two lines, the same batch is read again and ends in the same rows: every insert
is idempotent, the fate rows come last of what lands, and the ledger line is the commit.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import NamedTuple, Self

import structlog

from processors import ledger
from processors.derive import Touched, derive, touched
from processors.erasure.erasures import Eraser
from processors.half_landed import take_out
from processors.judge import Verdict, judge, read
from processors.rows import tables
from processors.seen import SeenFilter
from processors.site import Site
from processors.withdrawn import passes
from spine.control.followed import Control
from spine.errors import Unavailable
from spine.failpoint import reach
from spine.log import Batch, Log, Range
from spine.metrics import Metrics
from spine.store import Store

_logger = structlog.get_logger()
_FORGETS_AFTER_S = 60.0
_FATE_AND_CODE = attrgetter("fate", "code")


class _Setback(NamedTuple):
    trouble: Unavailable
    at_s: float


class Processor:
    """Turns the log into rows, batch by batch, until it is told to finish."""

    def __init__(
        self,
        log: Log,
        log_id: str,
        store: Store,
        sites: Mapping[str, Site],
        control: Control,
        metrics: Metrics,
    ) -> None:
        self._log = log
        self._log_id = log_id
        self._store = store
        self._sites = sites
        self._control = control
        self._metrics = metrics
        self._seen = SeenFilter(store, log_id, metrics)
        self._eraser: Eraser | None = None
        self._in_batch = asyncio.Lock()
        self._setback: _Setback | None = None
        self._token = 0

    def erase_with(self, eraser: Eraser) -> None:
        """Let what a batch brings of the erased be taken out again."""
        self._eraser = eraser

    async def run(self) -> None:
        """Process for ever; what is away is waited for, nothing is dropped. Raises: Misconfigured
        when the log is not the one that the store has read."""
        if self._eraser is not None:
            await self._eraser.begun.wait()
        while True:
            try:
                async for batch in self._log.batches(self._resume):
                    await self.take(batch)
            except Unavailable as trouble:
                self._metrics.store_failures.inc()
                _logger.warning(
                    "processor waits", why=trouble.what, retry_in_s=trouble.retry_after_s
                )
                await asyncio.sleep(trouble.retry_after_s)

    async def ready(self) -> None:
        """Return unless the last batch failed and is still to be done. Raises: Unavailable.

        A store that answers may still not take rows. What failed is tried again within seconds,
        here, or by another member of the group: then nothing is heard of it here any more."""
        if self._setback is not None:
            trouble, at_s = self._setback
            if self._in_batch.locked() or time.monotonic() - at_s < _FORGETS_AFTER_S:
                raise Unavailable(trouble.what, trouble.retry_after_s)

    def bound(self, seen_filter_bytes: int) -> Self:
        """Let the filter of what has landed take no more memory than this."""
        self._seen.most_bytes = seen_filter_bytes
        return self

    @property
    def turn(self) -> asyncio.Lock:
        """Held while a batch is under way; who takes it works between two batches."""
        return self._in_batch

    async def take(self, batch: Batch) -> None:
        """Take one batch all the way to its ledger line. Raises: Unavailable; taking it again,
        however cut, ends in the same rows."""
        async with self._in_batch:
            await self._attempt(batch)

    async def take_range(self, span: Range, batch_records: int) -> None:
        """Take a range of positions, those of them that are on the log. Raises: Unavailable."""
        at = span.first_offset
        while at < span.next_offset:
            limit = min(batch_records, span.next_offset - at)
            records = await self._log.read(span.partition, at, limit)
            records = [record for record in records if record.offset < span.next_offset]
            if not records:
                return
            first, at = records[0].offset, records[-1].offset + 1
            await self.take(Batch(records, [Range(span.partition, first, at)]))

    async def finish(self, running: asyncio.Task[None]) -> None:
        """Let the batch under way end, then end `running`; the backlog stays on the log."""
        async with self._in_batch:
            running.cancel()

    async def _resume(self, partitions: Sequence[int]) -> Mapping[int, int]:
        self._seen.forget()  # whoever had them meanwhile may have died before its line
        return await ledger.resume(self._store, self._log, self._log_id, partitions)

    async def _attempt(self, batch: Batch) -> None:
        try:
            await self._process(batch)
        except Unavailable as trouble:
            self._setback = _Setback(trouble, time.monotonic())
            raise
        self._setback = None

    async def _process(self, batch: Batch) -> None:
        started = time.monotonic()
        if (await self._seen.ends(batch.ranges)).token < self._token:
            self._token = 0
            raise Unavailable("the store was put back to an earlier state: asking it where to read")
        # What takes long in Python is done in a thread, so that a collector beside it goes on.
        readings = await asyncio.to_thread(read, batch.records)
        await self._control.current()  # all that was withdrawn before, wherever it was told
        marks = self._control.marks
        passing = partial(passes, self._control, self._sites)
        known = await self._seen.look_up(readings, passing)
        verdict = await asyncio.to_thread(judge, self._log_id, readings, known, passing)
        await take_out(self._store, verdict.reduced)
        await land(self._store, self._log_id, verdict, self._sites, self._metrics)
        keys = await asyncio.to_thread(touched, verdict.touched)
        self._token = await derive(self._store, keys)
        await self._erase(verdict, marks)
        reach("before the ledger line")
        await ledger.enter(self._store, self._log_id, batch, self._token)
        self._seen.entered(batch.ranges, self._token)
        reach("after the ledger line")
        await self._log.commit(batch)
        reach("after the commit")
        _tell(batch, verdict, keys, time.monotonic() - started, self._metrics)

    async def _erase(self, verdict: Verdict, marks: int) -> None:
        """Let nothing stay of whom was erased before this batch, or while it was under way: also
        one that slept leaves nothing behind when it wakes."""
        if self._eraser is None:
            return
        await self._eraser.blank(
            fate.record.offset for fate in verdict.fates if fate.code == "erased_before"
        )
        await self._control.current()
        if self._control.marks != marks:
            await self._eraser.take(verdict.touched)


async def land(
    store: Store, log_id: str, verdict: Verdict, sites: Mapping[str, Site], metrics: Metrics
) -> None:
    """Insert what a batch brought. Raises: Unavailable; landing the same batch again is safe."""
    landing = await asyncio.to_thread(tables, log_id, verdict, sites)
    for table, columns in landing:
        reach(f"before {table}")
        with metrics.store_seconds.labels(table).time():
            await store.insert(table, columns)
    reach("after the landing")
    # When all is there: while the store is away a batch is landed again and again.
    _, events = landing[0]
    told = zip(events["site"], events["bot"], strict=True)
    for site, count in Counter(site for site, bot in told if bot).items():
        metrics.bots.labels(site).inc(count)


def _tell(batch: Batch, verdict: Verdict, keys: Touched, took_s: float, metrics: Metrics) -> None:
    for (fate, code), count in Counter(map(_FATE_AND_CODE, verdict.fates)).items():
        metrics.fates.labels(fate, code).inc(count)
    for flag, count in Counter(flag for event in verdict.touched for flag in event.flags).items():
        metrics.flags.labels(flag).inc(count)
    metrics.batch_records.observe(len(batch.records))
    metrics.batch_seconds.observe(took_s)
    metrics.derived.labels("visitor_days").inc(sum(map(len, keys.visitor_days.values())))
    metrics.derived.labels("orders").inc(len(keys.order_keys))
    metrics.derived.labels("persons").inc(len(keys.identifiers))
    now_s = time.time()
    for record in verdict.touched[:1000:50]:
        metrics.row_latency_seconds.observe(max(0.0, now_s - record.received_ms / 1000))
    for covered in batch.ranges:
        metrics.ledger_offset.labels(str(covered.partition)).set(covered.next_offset)
    _logger.info(
        "batch",
        records=len(batch.records),
        stored=len(verdict.fresh),
        landed_before=len(verdict.landed),
        rejected=len(verdict.rejected),
        erased=sum(fate.fate == "erased" for fate in verdict.fates),
        took_ms=round(took_s * 1000),
    )
