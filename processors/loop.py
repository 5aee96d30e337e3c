"""The loop: batch, judge, land, derive, ledger, commit. Read it first, it is the whole room.

Killed between any two lines, the same batch is read again and ends in the same rows: every insert
is idempotent, the fate rows come last of what lands, and the ledger line is the commit.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog

from processors import ledger
from processors.derive import Touched, derive, touched
from processors.judge import Reading, Seen, Verdict, judge, read
from processors.rows import (
    Site,
    edge_columns,
    event_columns,
    fate_columns,
    landings,
    order_fact_columns,
    reject_columns,
    seen_columns,
    tally_columns,
    visitor_fact_columns,
)
from spine.errors import Unavailable
from spine.log import Batch, Log
from spine.metrics import Metrics
from spine.store import Store, packed

_logger = structlog.get_logger()


class Processor:
    """Turns the log into rows, batch by batch, until it is told to finish."""

    def __init__(
        self, log: Log, log_id: str, store: Store, sites: Mapping[str, Site], metrics: Metrics
    ) -> None:
        self._log = log
        self._log_id = log_id
        self._store = store
        self._sites = sites
        self._metrics = metrics
        self._in_batch = asyncio.Lock()

    async def run(self) -> None:
        """Process for ever; what is away is waited for, nothing is dropped. Raises: Misconfigured
        when the log is not the one that the store has read."""
        while True:
            try:
                async for batch in self._log.batches(self._resume):
                    async with self._in_batch:
                        await self._process(batch)
            except Unavailable as trouble:
                self._metrics.store_failures.inc()
                _logger.warning(
                    "processor waits", why=trouble.what, retry_in_s=trouble.retry_after_s
                )
                await asyncio.sleep(trouble.retry_after_s)

    async def finish(self, running: asyncio.Task[None]) -> None:
        """Let the batch under way end, then end `running`; the backlog stays on the log."""
        async with self._in_batch:
            running.cancel()

    async def _resume(self, partitions: Sequence[int]) -> Mapping[int, int]:
        return await ledger.resume(self._store, self._log, self._log_id, partitions)

    async def _process(self, batch: Batch) -> None:
        started = time.monotonic()
        readings = read(batch.records)
        verdict = judge(self._log_id, readings, await seen(self._store, readings))
        await land(self._store, self._log_id, verdict, self._sites)
        keys = touched(verdict.touched)
        token = await derive(self._store, keys)
        await ledger.enter(self._store, self._log_id, batch, token)
        await self._log.commit(batch)
        _tell(batch, verdict, keys, time.monotonic() - started, self._metrics)


async def seen(store: Store, readings: Sequence[Reading]) -> Mapping[bytes, Seen]:
    """Ask the store which of these identities have landed before, and where first."""
    identities = {reading.identity for reading in readings}
    if not identities:
        return {}
    rows = await store.select_after_write(
        "SELECT identity, argMin((log_id, log_partition, log_offset, body),"
        " (log_partition, log_offset, log_id)) FROM seen WHERE identity IN "
        f"{packed(identities)} GROUP BY identity"
    )
    return {
        bytes(identity): Seen(str(log_id), int(partition), int(offset), bytes(body))
        for identity, (log_id, partition, offset, body) in rows
    }


async def land(store: Store, log_id: str, verdict: Verdict, sites: Mapping[str, Site]) -> None:
    """Insert what a batch brought: facts first, then what says that they are there, fates last.

    Raises: Unavailable; landing the same batch again is safe."""
    events = landings(verdict.fresh, sites)
    await store.insert("events", event_columns(log_id, events))
    await store.insert("visitor_facts", visitor_fact_columns(events))
    await store.insert("order_facts", order_fact_columns(events))
    await store.insert("identity_edges", edge_columns(events))
    await store.insert("tallies", tally_columns(verdict.fresh))
    await store.insert("rejects", reject_columns(log_id, verdict.rejected))
    await store.insert("seen", seen_columns(log_id, verdict.fresh))
    await store.insert("fates", fate_columns(log_id, verdict.fates))


def _tell(batch: Batch, verdict: Verdict, keys: Touched, took_s: float, metrics: Metrics) -> None:
    for fate in verdict.fates:
        metrics.fates.labels(fate.fate, fate.code).inc()
    metrics.batch_records.observe(len(batch.records))
    metrics.batch_seconds.observe(took_s)
    metrics.derived.labels("visitor_days").inc(sum(map(len, keys.visitor_days.values())))
    metrics.derived.labels("orders").inc(len(keys.order_keys))
    metrics.derived.labels("persons").inc(len(keys.anonymous_keys))
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
        took_ms=round(took_s * 1000),
    )
