"""The ledger: the balance, where reading goes on, and another log than before."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from processors.balance import balance
from processors.bookkeeping import fate_columns
from processors.judge import Fate
from processors.ledger import positions, resume
from processors.logs import register
from processors.loop import Processor
from spine.control.followed import followed
from spine.embedded.control import EmbeddedControl
from spine.embedded.log import EmbeddedLog
from spine.errors import Misconfigured
from spine.log import Bounds, Entry, Record
from spine.metrics import Metrics
from spine.record import encode
from spine.store import Store
from tests.flow.happenings import Happening, record, records
from tests.flow.passage import process
from tests.kafka_logs import key_of

NOON_MS = 1_711_800_000_000


class NamedLog(EmbeddedLog):
    """An embedded log under a name of its own: the session's store knows many."""

    def named(self, name: str) -> "NamedLog":
        self.name = name
        return self


class SweptLog(NamedLog):
    """A log whose retention drops everything that has landed just before a record is read."""

    async def read(self, partition: int, offset: int, limit: int) -> Sequence[Record]:
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.execute("DELETE FROM records WHERE id <= (SELECT committed FROM about)")
        return await super().read(partition, offset, limit)


@asynccontextmanager
async def opened(path: Path, name: str, kind: type[NamedLog] = NamedLog) -> AsyncIterator[NamedLog]:
    log = await kind.open(
        path, batch_records=100, batch_wait_ms=10, max_bytes=1 << 30, retention_s=3600
    )
    assert isinstance(log, NamedLog)
    try:
        yield log.named(name)
    finally:
        await log.close()


def told(site: str, count: int, first: int = 0) -> list[Happening]:
    return [
        Happening(site, "page_view", f"e{number}", NOON_MS + number, anonymous_id="a")
        for number in range(first, first + count)
    ]


async def append(log: EmbeddedLog, happenings: Sequence[Happening]) -> None:
    await log.append([Entry(key_of(0), encode(record(happening))) for happening in happenings])


async def read_all(store: Store, log: EmbeddedLog, log_id: str) -> None:
    """Let a processor work until it has nothing left to do."""
    async with followed(EmbeddedControl(log._path)) as control:
        processor = Processor(log, log_id, store, {}, control, Metrics("test"))
        running = asyncio.create_task(processor.run())
        end = (await log.bounds())[0].end
        while (await positions(store, log_id, [0]))[0].offset < end:
            await asyncio.wait([running], timeout=0.05)
            if running.done():
                running.result()
        await processor.finish(running)


async def shown(
    store: Store, log_id: str, bounds: Mapping[int, Bounds]
) -> tuple[int, dict[str, int], int, int, tuple[int, int] | None]:
    (one,) = await balance(store, log_id, bounds)
    fates = {fate: count for fate, count in one.fates.items() if count}
    return one.appended, fates, one.lost, one.pending, one.unbalanced


async def test_every_position_is_booked_once_and_the_rest_is_pending(
    store: Store, site: str, tmp_path: Path
) -> None:
    async with opened(tmp_path / "log", site) as log:
        log_id = await register(store, log, log.log_id)
        happenings = told(site, 5)
        await append(log, [*happenings, happenings[0], happenings[1]._replace(path="/other")])
        await log.append([Entry(key_of(0), b"garbage")])
        await read_all(store, log, log_id)
        await append(log, told(site, 3, first=5))
        fates = {"stored": 5, "duplicate": 2, "rejected": 1}
        assert await shown(store, log_id, await log.bounds()) == (11, fates, 0, 3, None)
        codes = await store.select(
            "SELECT code, count() FROM fates FINAL WHERE log_id = {log_id:String} AND code != ''"
            " GROUP BY code ORDER BY code",
            {"log_id": log_id},
        )
        assert codes == [
            ("duplicate_conflict", 1),
            ("duplicate_copy", 1),
            ("unreadable_record", 1),
        ]


async def test_the_lines_of_a_sleeper_overlap_and_the_balance_holds(
    store: Store, site: str
) -> None:
    batch = records(told(site, 10))
    for first, following in ((0, 4), (2, 6), (0, 7), (5, 10), (3, 5)):
        await process(store, site, batch[first:following])
    assert (await positions(store, site, [0]))[0].offset == 10
    expected = (12, {"stored": 10}, 0, 2, None)
    assert await shown(store, site, {0: Bounds(0, 12)}) == expected


async def test_a_hole_between_lines_is_where_reading_goes_on(store: Store, site: str) -> None:
    batch = records(told(site, 10))
    await process(store, site, batch[0:3])
    await process(store, site, batch[5:10])
    assert (await positions(store, site, [0, 7]))[0].offset == 3
    assert (await positions(store, site, [0, 7]))[7].offset == 0
    await process(store, site, batch[3:6])
    assert (await positions(store, site, [0]))[0].offset == 10


async def test_a_missing_fate_is_found_with_its_range(store: Store, site: str) -> None:
    await process(store, site, records(told(site, 10)))
    await store.command(
        "ALTER TABLE fates DELETE WHERE log_id = '" + site + "' AND log_offset IN (4, 5, 8)"
        " SETTINGS mutations_sync = 2"
    )
    assert await shown(store, site, {0: Bounds(0, 10)}) == (10, {"stored": 7}, 0, 0, (4, 6))
    await store.command(
        f"ALTER TABLE fates DELETE WHERE log_id = '{site}' AND log_offset = 9"
        " SETTINGS mutations_sync = 2"
    )
    await _book_lost(store, site, 4, 6)
    assert (await shown(store, site, {0: Bounds(0, 10)}))[4] == (8, 10)


async def _book_lost(store: Store, log_id: str, first: int, following: int) -> None:
    await store.command(
        f"INSERT INTO ledger SELECT '{log_id}', 0, {first}, {following},"
        " toFixedString('', 16), 1, 1, now64(3, 'UTC')"
    )


async def test_overlapping_losses_count_once_and_what_has_a_fate_is_not_lost(
    store: Store, site: str
) -> None:
    batch = records(told(site, 20))
    await process(store, site, batch[:6])
    await _book_lost(store, site, 5, 10)
    await _book_lost(store, site, 6, 12)
    await _book_lost(store, site, 7, 9)
    await process(store, site, batch[12:])
    expected = (20, {"stored": 14}, 6, 0, None)
    assert await shown(store, site, {0: Bounds(12, 20)}) == expected


async def test_what_the_log_dropped_unread_is_booked_as_lost(
    store: Store, site: str, tmp_path: Path
) -> None:
    async with opened(tmp_path / "log", site) as log:
        log_id = await register(store, log, log.log_id)
        await append(log, told(site, 6))
        with closing(sqlite3.connect(tmp_path / "log")) as file, file:
            file.execute("DELETE FROM records WHERE id <= 4")
        assert await resume(store, log, log_id, [0]) == {0: 4}
        assert await resume(store, log, log_id, [0]) == {0: 4}
        await read_all(store, log, log_id)
        expected = (6, {"stored": 2}, 4, 0, None)
        assert await shown(store, log_id, await log.bounds()) == expected


async def test_a_replaced_log_is_refused_with_a_sentence(
    store: Store, site: str, tmp_path: Path
) -> None:
    async with opened(tmp_path / "log", site) as log:
        assert await register(store, log, log.log_id) == log.log_id
        assert await register(store, log, log.log_id) == log.log_id
    async with opened(tmp_path / "another", site) as log:
        with pytest.raises(Misconfigured, match=r"data_dir: .*one of the two was replaced"):
            await register(store, log, log.log_id)


async def test_a_record_dropped_while_it_is_compared_does_not_make_another_log(
    store: Store, site: str, tmp_path: Path
) -> None:
    async with opened(tmp_path / "log", site) as log:
        log_id = await register(store, log, log.log_id)
        await append(log, told(site, 5))
        await read_all(store, log, log_id)
        await append(log, told(site, 2, first=5))
    async with opened(tmp_path / "log", site, SweptLog) as log:
        assert await resume(store, log, log_id, [0]) == {0: 5}


async def test_a_log_that_grows_while_it_is_compared_is_no_shorter_log(
    store: Store, site: str, tmp_path: Path
) -> None:
    class GrowingLog(NamedLog):
        async def bounds(self) -> Mapping[int, Bounds]:
            bounds = await super().bounds()
            happening = told(site, 1, first=bounds[0].end)
            await append(self, happening)
            await process(store, self.log_id, records(happening, bounds[0].end))
            return bounds

    async with opened(tmp_path / "log", site, GrowingLog) as log:
        await register(store, log, log.log_id)
        assert await resume(store, log, log.log_id, [0]) == {0: 0}
        assert await resume(store, log, log.log_id, [0]) == {0: 1}


async def test_another_partition_count_is_refused_with_a_sentence(
    store: Store, site: str, tmp_path: Path
) -> None:
    async with opened(tmp_path / "log", site) as log:
        await register(store, log, log.log_id)
        log.partitions = 2
        with pytest.raises(Misconfigured, match=r"log\.partitions: .* `beleg log adopt`"):
            await register(store, log, log.log_id)


async def _read_once(store: Store, log: EmbeddedLog, site: str) -> str:
    log_id = await register(store, log, log.log_id)
    await append(log, told(site, 6))
    await read_all(store, log, log_id)
    return log_id


async def test_a_truncated_log_is_refused_with_a_sentence(
    store: Store, site: str, tmp_path: Path
) -> None:
    async with opened(tmp_path / "log", site) as log:
        log_id = await _read_once(store, log, site)
    with closing(sqlite3.connect(tmp_path / "log")) as file, file:
        file.execute("DELETE FROM records WHERE id > 3")
    async with opened(tmp_path / "log", site) as log:
        with pytest.raises(
            Misconfigured, match=r"log\.url: .*ends at 3, the store has read it to 6"
        ):
            await resume(store, log, log_id, [0])


async def test_a_log_restored_from_an_older_copy_and_written_on_is_refused(
    store: Store, site: str, tmp_path: Path
) -> None:
    """It has grown past the ledger's end again, with other records."""
    async with opened(tmp_path / "log", site) as log:
        log_id = await register(store, log, log.log_id)
        await append(log, told(site, 3))
    older = (tmp_path / "log").read_bytes()
    async with opened(tmp_path / "log", site) as log:
        await append(log, told(site, 3, first=3))
        await read_all(store, log, log_id)
    for leftover in tmp_path.glob("log-*"):
        leftover.unlink()
    (tmp_path / "log").write_bytes(older)
    async with opened(tmp_path / "log", site) as log:
        await append(log, told(site, 9, first=100))
        with pytest.raises(Misconfigured, match=r"log\.url: .*has another record at 5"):
            await resume(store, log, log_id, [0])


async def test_fates_of_another_log_do_not_count(store: Store, site: str) -> None:
    await process(store, site, records(told(site, 2)))
    stray = Fate(Record(0, 0, b"", 0), site, 0, bytes(16), "stored", "")
    await store.insert("fates", fate_columns(f"{site}-other", [stray]))
    expected = (2, {"stored": 2}, 0, 0, None)
    assert await shown(store, site, {0: Bounds(0, 2)}) == expected
