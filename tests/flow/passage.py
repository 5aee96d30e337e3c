"""The way of a batch through judge, land, derive and ledger, with ways to die in between."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from processors.derive import derive, touched
from processors.judge import Verdict, judge, read
from processors.ledger import enter
from processors.loop import land
from processors.seen import seen
from processors.site import Site
from spine.errors import Unavailable
from spine.log import Batch, Range, Record
from spine.metrics import Metrics
from spine.store import Row, Store


class DyingStore(Store):
    """The real store, for a process that is killed before its n-th call."""

    def __init__(self, store: Store, calls: int) -> None:
        super().__init__(store._writer, store._reader, store.path)
        self._calls = calls

    def _live(self) -> None:
        self._calls -= 1
        if self._calls < 0:
            raise Unavailable("killed")

    async def insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        self._live()
        await super().insert(table, columns)

    async def command(self, sql: str) -> None:
        self._live()
        await super().command(sql)

    async def select_after_write(self, sql: str) -> list[Row]:
        self._live()
        return await super().select_after_write(sql)


async def process(
    store: Store, log_id: str, records: Sequence[Record], sites: Mapping[str, Site] | None = None
) -> None:
    """Do with a batch what the loop does."""
    await conclude(store, log_id, records, await judged(store, log_id, records), sites)


async def judged(store: Store, log_id: str, records: Sequence[Record]) -> Verdict:
    readings = read(records)
    return judge(log_id, readings, await seen(store, {reading.identity for reading in readings}))


async def conclude(
    store: Store,
    log_id: str,
    records: Sequence[Record],
    verdict: Verdict,
    sites: Mapping[str, Site] | None = None,
) -> None:
    await land(store, log_id, verdict, sites or {}, Metrics("test"))
    token = await derive(store, touched(verdict.touched))
    covered = Range(records[0].partition, records[0].offset, records[-1].offset + 1)
    await enter(store, log_id, Batch(records, [covered]), token)


class _Sleeper(NamedTuple):
    records: Sequence[Record]
    verdict: Verdict


async def rough_passage(
    store: Store, log_id: str, records: Sequence[Record], chance: random.Random
) -> None:
    """Take the log through the processors in random cuts, with kills and sleepers.

    A kill leaves any prefix of a batch's statements behind, and the next batch is cut anew. A
    sleeper has judged a batch before others did the same and wakes at the end."""
    sleepers: list[_Sleeper] = []
    at = 0
    while at < len(records):
        batch = records[at : at + chance.randint(1, max(2, len(records) // 2))]
        fate = chance.random()
        if fate < 0.3:
            try:
                await process(DyingStore(store, chance.randint(1, 16)), log_id, batch)
            except Unavailable:
                continue
        elif fate < 0.4:
            sleepers.append(_Sleeper(batch, await judged(store, log_id, batch)))
            continue
        else:
            await process(store, log_id, batch)
        at += len(batch)
    for sleeper in sleepers:
        await conclude(store, log_id, sleeper.records, sleeper.verdict)


async def enter_site(
    store: Store, site: str, currency: str = "EUR", timezone: str = "Europe/Berlin"
) -> None:
    await store.command(
        "INSERT INTO sites (site, currency, timezone, updated_at)"
        f" VALUES ('{site}', '{currency}', '{timezone}', 0)"
    )
