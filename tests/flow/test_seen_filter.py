"""The filter before the question for known identities: it may never hide what has landed.

Processors here are long-lived, and take batches that are handed to them: so one may sleep, or go on
with positions that others have taken meanwhile, with a filter that is out of date.
"""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from processors import ledger, logs
from processors.loop import Processor
from spine.control.followed import Control, followed
from spine.control.withdrawal import EVERYTHING
from spine.digest import identifier_id
from spine.embedded.control import EmbeddedControl
from spine.embedded.log import EmbeddedLog
from spine.errors import Unavailable
from spine.log import Batch, Bounds, Range, Record
from spine.metrics import Metrics
from spine.store import Store
from tests.clickhouse_server import Server
from tests.flow.derived import own_store
from tests.flow.happenings import Happening, records
from tests.flow.passage import DyingStore, conclude, judged
from tests.flow.test_derive_ledger import shown

NOON_MS = 1_711_800_000_000


class House:
    """Processors of one log, over one store."""

    def __init__(self, store: Store, log: EmbeddedLog, log_id: str, control: Control) -> None:
        self.store, self.log, self.log_id, self.control = store, log, log_id, control

    def processor(self, store: Store | None = None) -> tuple[Processor, Metrics]:
        metrics = Metrics("test")
        processor = Processor(
            self.log, self.log_id, store or self.store, {}, self.control, metrics
        )  # fmt: skip
        return processor.bound(1 << 16), metrics

    async def fates(self, end: int) -> Mapping[str, int]:
        appended, fates, lost, pending, unbalanced = await shown(
            self.store, self.log_id, {0: Bounds(0, end)}
        )
        assert (appended, lost, pending, unbalanced) == (end, 0, 0, None)
        return fates

    async def stored(self) -> list[int]:
        """Give the offsets of the stored events."""
        rows = await self.store.select(
            "SELECT log_offset FROM events FINAL WHERE log_id = {log_id:String}"
            " ORDER BY log_offset",
            {"log_id": self.log_id},
        )
        return [int(offset) for (offset,) in rows]


@asynccontextmanager
async def housed(store: Store, site: str, path: Path) -> AsyncIterator[House]:
    log = await EmbeddedLog.open(
        path, batch_records=100, batch_wait_ms=10, max_bytes=1 << 30, retention_s=3600
    )
    log.name = site
    async with followed(EmbeddedControl(path)) as control:
        yield House(store, log, await logs.register(store, log, site), control)
    await log.close()


def told(site: str, *numbers: int) -> list[Record]:
    return records(
        [
            Happening(site, "page_view", f"e{number}", NOON_MS + number, anonymous_id=f"a{number}")
            for number in numbers
        ]
    )


def cut(of: Sequence[Record], first: int, end: int) -> Batch:
    return Batch(of[first:end], [Range(0, first, end)])


def asked(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("beleg_identities_asked_total") or 0.0


async def test_only_what_may_be_known_is_asked_for(store: Store, site: str, tmp_path: Path) -> None:
    async with housed(store, site, tmp_path / "log") as house:
        log = told(site, *range(20), *range(5), *range(20, 30))
        processor, metrics = house.processor()
        await processor.take(cut(log, 0, 20))
        assert asked(metrics) == 0
        await processor.take(cut(log, 20, 35))
        assert asked(metrics) == 5
        another, metrics = house.processor()
        await another.take(cut(log, 30, 35))
        assert asked(metrics) == 5  # it has read what landed before it came
        assert await house.fates(35) == {"stored": 30, "duplicate": 5}


async def test_positions_that_another_has_taken_meanwhile_are_known(
    store: Store, site: str, tmp_path: Path
) -> None:
    async with housed(store, site, tmp_path / "log") as house:
        log = told(site, *range(10), *range(10, 20), *range(10, 20), *range(20, 25))
        (slept, _), (other, _) = house.processor(), house.processor()
        await slept.take(cut(log, 0, 10))
        await other.take(cut(log, 10, 20))
        await slept.take(cut(log, 20, 30))
        await slept.take(cut(log, 30, 35))
        assert await house.fates(35) == {"stored": 25, "duplicate": 10}
        assert await house.stored() == [*range(20), *range(30, 35)]


async def test_what_landed_without_its_line_lands_once(
    store: Store, site: str, tmp_path: Path
) -> None:
    async with housed(store, site, tmp_path / "log") as house:
        log = told(site, *range(10), *range(10, 20), *range(5, 15))
        slept, _ = house.processor()
        await slept.take(cut(log, 0, 10))
        for calls in range(1, 24):
            dying, _ = house.processor(DyingStore(store, calls))
            try:
                await dying.take(cut(log, 10, 20))
            except Unavailable:
                continue
            break
        assert calls > 12
        await slept.take(cut(log, 10, 20))
        await slept.take(cut(log, 20, 30))
        assert await house.fates(30) == {"stored": 20, "duplicate": 10}
        assert await house.stored() == list(range(20))


async def test_what_landed_without_its_line_is_not_erased_afterwards(
    clickhouse_server: Server, tmp_path: Path
) -> None:
    async with (
        own_store(clickhouse_server) as store,
        housed(store, "shop", tmp_path / "log") as house,
    ):
        log = told("shop", *range(4))
        processor, _ = house.processor()
        await processor.take(cut(log, 0, 2))
        dying, _ = house.processor(Unledgered(store))
        with pytest.raises(Unavailable):
            await dying.take(cut(log, 2, 4))
        device = identifier_id("shop", "anonymous_id", "a3")
        await house.control.enter(device, (), (EVERYTHING,), 0)
        await processor.take(cut(log, 2, 4))
        assert await house.fates(4) == {"stored": 4}


class Unledgered(Store):
    """The real store, for a process that is killed before it enters its line."""

    def __init__(self, store: Store) -> None:
        super().__init__(store._writer, store._reader, store.path)

    async def insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        if table == "ledger":
            raise Unavailable("killed")
        await super().insert(table, columns)


async def test_a_store_that_was_put_back_gets_everything_again(
    clickhouse_server: Server, tmp_path: Path
) -> None:
    async with (
        own_store(clickhouse_server) as store,
        housed(store, "shop", tmp_path / "log") as house,
    ):
        log = told("shop", *range(20), *range(10, 20))
        processor, _ = house.processor()
        await processor.take(cut(log, 0, 10))
        await processor.take(cut(log, 10, 20))
        for table, offset in (("seen", "log_offset"), ("fates", "log_offset"),
                              ("events", "log_offset"), ("ledger", "first_offset")):  # fmt: skip
            await store.command(
                f"ALTER TABLE {table} DELETE WHERE {offset} >= 10 SETTINGS mutations_sync = 2"
            )
        await processor.take(cut(log, 10, 20))
        await processor.take(cut(log, 20, 30))
        assert await house.fates(30) == {"stored": 20, "duplicate": 10}
        assert await house.stored() == list(range(20))


async def test_what_landed_from_an_adopted_log_is_known_to_who_still_reads_the_former(
    clickhouse_server: Server, tmp_path: Path
) -> None:
    async with (
        own_store(clickhouse_server) as store,
        housed(store, "shop", tmp_path / "log") as house,
    ):
        log = told("shop", *range(10), *range(10, 20))
        slept, _ = house.processor()
        await slept.take(cut(log, 0, 10))
        await logs.enter(store, house.log, logs.Known("adopted", 1, 1))
        newer = House(store, house.log, "adopted", house.control)
        processor, _ = newer.processor()
        await processor.take(cut(log, 0, 15))
        await slept.take(cut(log, 10, 13))
        await processor.take(cut(log, 15, 20))
        await slept.take(cut(log, 13, 20))
        assert await newer.fates(20) == {"stored": 10, "duplicate": 10}
        assert await house.fates(20) == {"stored": 10, "duplicate": 10}


@pytest.mark.parametrize("seed", range(3))
async def test_any_number_of_sleepers_and_deaths_stores_each_identity_where_it_is_first(
    store: Store, site: str, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    numbers = [chance.randrange(40) for _ in range(80)]
    firsts = [at for at, number in enumerate(numbers) if number not in numbers[:at]]
    log = told(site, *numbers)
    async with housed(store, site, tmp_path / "log") as house:
        processors = [house.processor()[0] for _ in range(3)]
        sleepers = []
        reads_at = [0] * len(processors)
        while (at := await end_of(house)) < len(log):
            who = chance.randrange(len(processors))
            # Each begins at the end of the ledger, or where it read last, as one that slept does.
            first = at if chance.random() < 0.7 or reads_at[who] > at else reads_at[who]
            batch = cut(log, first, min(first + chance.randint(4, 20), len(log)))
            happens = chance.choice(["take", "take", "die", "sleep"])
            if happens == "take":
                await processors[who].take(batch)
                reads_at[who] = batch.ranges[0].next_offset
            elif happens == "die":
                dying, _ = house.processor(DyingStore(store, chance.randint(1, 16)))
                with suppress(Unavailable):
                    await dying.take(batch)
            else:
                sleepers.append((batch, await judged(store, house.log_id, batch.records)))
            if sleepers and chance.random() < 0.3:
                batch, verdict = sleepers.pop(0)
                await conclude(store, house.log_id, batch.records, verdict)
        assert await house.stored() == firsts
        assert await house.fates(len(log)) == {
            "stored": len(firsts),
            "duplicate": len(log) - len(firsts),
        }


async def end_of(house: House) -> int:
    return (await ledger.positions(house.store, house.log_id, [0]))[0].offset
