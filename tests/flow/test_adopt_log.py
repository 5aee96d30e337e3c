"""Another log than before, in one process: which one counts, where reading begins, what is lost."""

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from processors.adopt import adopt, plan
from processors.balance import balance, replaced_balances
from processors.ledger import resume
from processors.logs import Known, counting, enter, log_id_of, register
from spine.embedded.log import EmbeddedLog
from spine.errors import Misconfigured, Unavailable
from spine.store import Store
from tests.flow.passage import DyingStore
from tests.flow.test_derive_ledger import append, opened, read_all, told


def remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def restore(path: Path, copy: Path) -> None:
    remove(path)
    shutil.copy(copy, path)


async def read_on(store: Store, log: EmbeddedLog) -> str:
    log_id = await register(store, log, log.log_id)
    await read_all(store, log, log_id)
    return log_id


async def adopted(store: Store, log: EmbeddedLog) -> str:
    planned = await plan(store, log, log.log_id)
    assert planned is not None
    log_id = await adopt(store, log, planned)
    assert log_id == log.log_id == planned.log_id
    assert await plan(store, log, log.log_id) is None
    return log_id


async def stored(store: Store, site: str) -> int:
    ((count, distinct),) = await store.select(
        "SELECT count(), uniqExact(event_id) FROM v_events WHERE site = {site:String}",
        {"site": site},
    )
    assert count == distinct
    return int(count)


async def test_a_replaced_log_is_read_from_its_start_and_one_put_back_reads_on(
    store: Store, site: str, tmp_path: Path
) -> None:
    path, kept = tmp_path / "log", tmp_path / "kept"
    async with opened(path, site) as log:
        first_id = await register(store, log, log.log_id)
        await append(log, told(site, 6))
        await read_on(store, log)
    shutil.copy(path, kept)
    remove(path)
    async with opened(path, site) as log:
        await append(log, told(site, 6, first=3))
        with pytest.raises(Misconfigured, match="beleg log adopt"):
            await register(store, log, log.log_id)
        second_id = await adopted(store, log)
        await read_on(store, log)
        assert await stored(store, site) == 9
        (one,) = await balance(store, second_id, await log.bounds())
        assert (one.fates["stored"], one.fates["duplicate"], one.unbalanced) == (3, 3, None)
        (before,) = await replaced_balances(store, site)
        assert (before.log_id, before.partitions[0].fates["stored"]) == (first_id, 6)
    restore(path, kept)
    async with opened(path, site) as log:
        assert await adopted(store, log) == first_id
        assert await resume(store, log, first_id, [0]) == {0: 6}
        assert [each.log_id for each in await replaced_balances(store, site)] == [second_id]


async def test_an_older_copy_of_a_log_of_before_gets_another_id_too(
    store: Store, site: str, tmp_path: Path
) -> None:
    path, older = tmp_path / "log", tmp_path / "older"
    async with opened(path, site) as log:
        await append(log, told(site, 3))
        first_id = await read_on(store, log)
    shutil.copy(path, older)
    async with opened(path, site) as log:
        await append(log, told(site, 2, first=3))
        await read_on(store, log)
    remove(path)
    async with opened(path, site) as log:
        await adopted(store, log)
    restore(path, older)
    async with opened(path, site) as log:
        await append(log, told(site, 9, first=4))
        assert await adopted(store, log) != first_id
        await read_on(store, log)
        assert await stored(store, site) == 13


@pytest.mark.parametrize("written_on", [0, 2, 9])
async def test_an_older_copy_gets_another_id_whatever_was_written_to_it_since(
    store: Store, site: str, tmp_path: Path, written_on: int
) -> None:
    path, older = tmp_path / "log", tmp_path / "older"
    async with opened(path, site) as log:
        await append(log, told(site, 3))
        first_id = await read_on(store, log)
    shutil.copy(path, older)
    async with opened(path, site) as log:
        await append(log, told(site, 4, first=3))
        await read_on(store, log)
    restore(path, older)
    async with opened(path, site) as log:
        if written_on:
            await append(log, told(site, written_on, first=5))
        with pytest.raises(Misconfigured, match="beleg log adopt"):
            await resume(store, log, first_id, [0])
        assert await adopted(store, log) != first_id
        await read_on(store, log)
        assert await stored(store, site) == max(7, 5 + written_on)
    async with opened(path, site) as log:  # the file keeps its new id
        await register(store, log, log.log_id)


async def test_an_adopted_log_that_begins_later_has_lost_nothing(
    store: Store, site: str, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    async with opened(path, site) as log:
        await append(log, told(site, 2))
        await read_on(store, log)
    remove(path)
    async with opened(path, site) as log:
        await append(log, told(site, 9, first=2))
        _drop(path, 5)
        log_id = await adopted(store, log)
        await read_on(store, log)
        (one,) = await balance(store, log_id, await log.bounds())
        assert (one.appended, one.lost, one.pending, one.unbalanced) == (4, 0, 0, None)
        await append(log, told(site, 6, first=11))
        _drop(path, 12)
        await read_on(store, log)
        (one,) = await balance(store, log_id, await log.bounds())
        assert (one.appended, one.lost, one.unbalanced) == (10, 3, None)


async def test_an_interrupted_adoption_is_planned_and_done_again(
    store: Store, site: str, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    for calls in range(5):
        remove(path)
        async with opened(path, f"{site}{calls}") as log:
            await register(store, log, "the-one-before")
            await append(log, told(f"{site}{calls}", 9))
            _drop(path, 5)
            planned = await plan(store, log, log.log_id)
            assert planned is not None
            with contextlib.suppress(Unavailable):
                await adopt(DyingStore(store, calls), log, planned)
            if await plan(store, log, log.log_id) is not None:
                await adopted(store, log)
            log_id = await read_on(store, log)
            (one,) = await balance(store, log_id, await log.bounds())
            assert (one.appended, one.lost, one.unbalanced) == (4, 0, None)


def _drop(path: Path, following: int) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("DELETE FROM records WHERE id <= ?", (following,))


@pytest.mark.parametrize("left", [0, 2])
async def test_a_log_made_anew_right_after_a_loss_does_not_pass_for_the_old_one(
    store: Store, site: str, tmp_path: Path, left: int
) -> None:
    """The line of the loss has no last record to be recognised by."""
    path = tmp_path / "log"
    async with opened(path, site) as log:
        log_id = await register(store, log, log.log_id)
        await append(log, told(site, 6))
        _drop(path, 6 - left)
        assert await resume(store, log, log_id, [0]) == {0: 6 - left}
        assert await resume(store, log, log_id, [0]) == {0: 6 - left}
    remove(path)
    async with opened(path, site) as log:
        await append(log, told(site, 9, first=10))
        with pytest.raises(Misconfigured, match="beleg log adopt"):
            await resume(store, log, log_id, [0])


async def test_records_that_come_back_after_a_loss_are_those_of_the_same_log(
    store: Store, site: str, tmp_path: Path
) -> None:
    """They stay lost: the alarm was given, and the log is told by the record behind them."""
    path, whole = tmp_path / "log", tmp_path / "whole"
    async with opened(path, site) as log:
        log_id = await register(store, log, log.log_id)
        await append(log, told(site, 6))
    shutil.copy(path, whole)
    async with opened(path, site) as log:
        _drop(path, 4)
        assert await resume(store, log, log_id, [0]) == {0: 4}
    restore(path, whole)
    async with opened(path, site) as log:
        assert await resume(store, log, log_id, [0]) == {0: 4}


async def test_what_an_older_store_has_not_read_stays_on_the_log(
    store: Store, site: str, tmp_path: Path
) -> None:
    """The file says that all has landed; the store that is there now knows of two records."""

    async def older(_: Sequence[int]) -> Mapping[int, int]:
        return {0: 2}

    path = tmp_path / "log"
    async with opened(path, site) as log:
        await append(log, told(site, 5))
        await read_on(store, log)
    swept = await EmbeddedLog.open(
        path, batch_records=100, batch_wait_ms=10, max_bytes=1 << 30, retention_s=0
    )
    try:
        for number in (5, 6):  # it sweeps beside an append
            await append(swept, told(site, 1, first=number))
        assert (await swept.bounds())[0].start == 0
        async for batch in swept.batches(older):
            assert batch.records[0].offset == 2
            break
        async with asyncio.timeout(30):
            while (await swept.bounds())[0].start < 2:
                await append(swept, told(site, 1))
        assert (await swept.bounds())[0].start == 2
    finally:
        await swept.close()


async def test_of_two_who_adopt_at_once_the_earlier_counts_for_both(
    store: Store, site: str, tmp_path: Path
) -> None:
    async with opened(tmp_path / "log", site) as log:
        first_id = await register(store, log, None)
        await enter(store, log, Known("of-the-first", 1, 1))
        await enter(store, log, Known("of-the-second", 1, 1))
        await enter(store, log, Known("a-late-start", 1, 0))
        assert await log_id_of(store, log, None) == "of-the-first"
        with pytest.raises(Misconfigured, match="adopted under another id"):
            await resume(store, log, first_id, [0])
        known = await counting(store, site)
        assert known is not None
        assert known.generation == 1
