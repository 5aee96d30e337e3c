"""Where a replay reads from: rejected records page by page, or a range of the log."""

import asyncio
import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import msgspec

from beleg.replay import Replaying, on_the_log
from processors import ledger
from processors.rejects import Pile, Rejects, pages, piles
from spine.embedded.log import EmbeddedLog
from spine.log import Batch, Entry, Range, Record
from spine.store import Store
from tests.clickhouse_server import client_of, started
from tests.faults.oracle import settle
from tests.flow.houses import House, embedded_house
from tests.flow.test_replay import happened, post
from tests.kafka_logs import key_of

EPOCH = date(1970, 1, 1)
LANDED = ("seen", "events", "visitor_facts", "order_facts", "lead_facts", "identity_evidence")


def day_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


async def reject(store: Store, log_id: str, partition: int, records: list[Record]) -> None:
    count = len(records)
    await store.insert(
        "rejects",
        {
            "log_id": [log_id] * count,
            "log_partition": [partition] * count,
            "log_offset": [record.offset for record in records],
            "appended_at": [record.appended_ms for record in records],
            "code": ["unknown_schema" if r.offset % 3 else "unreadable_record" for r in records],
            "detail": [""] * count,
            "value": [record.value for record in records],
        },
    )


async def read_all(store: Store, rejects: Rejects, log_id: str, size: int) -> list[list[Record]]:
    return [
        list(page)
        for pile in await piles(store, rejects)
        if pile.log_id == log_id
        async for page in pages(store, rejects, pile, size)
    ]


async def test_rejects_come_page_by_page_with_their_bytes_and_once(store: Store) -> None:
    log_id = uuid4().hex
    told = [
        Record(0, offset, bytes([offset, 0, 255]) * offset, day_ms(f"2026-11-{20 + offset // 30}"))
        for offset in range(0, 60, 4)
    ]
    await reject(store, log_id, 0, told)
    await reject(store, log_id, 0, told[3:9])  # landed again after a crash
    await reject(store, log_id, 2, told[:2])
    found = await piles(store, Rejects())
    assert [pile for pile in found if pile.log_id == log_id] == [
        Pile(log_id, 0, 15, 56), Pile(log_id, 2, 2, 4),
    ]  # fmt: skip
    for size in (1, 4, 5, 100):
        read = await read_all(store, Rejects(), log_id, size)
        assert all(len(page) <= size for page in read)
        assert [record for page in read for record in page] == [
            *told, *(msgspec.structs.replace(record, partition=2) for record in told[:2])
        ]  # fmt: skip


async def test_rejects_are_chosen_by_code_and_by_the_day_of_the_append(store: Store) -> None:
    log_id = uuid4().hex
    times = ("2026-11-20T23:59:59.999", "2026-11-21T00:00:00", "2026-11-21T23:59:59", "2026-11-22")
    told = [Record(0, offset, b"x", day_ms(text)) for offset, text in enumerate(times)]
    await reject(store, log_id, 0, told)
    on = (date(2026, 11, 21) - EPOCH).days
    for rejects, offsets in (
        (Rejects("unreadable_record"), [0, 3]),
        (Rejects("unknown_schema"), [1, 2]),
        (Rejects(days=(on, on)), [1, 2]),
        (Rejects("unreadable_record", (on, on + 1)), [3]),
    ):
        found = [r.offset for p in await read_all(store, rejects, log_id, 1) for r in p]
        assert found == offsets


async def test_what_is_rejected_meanwhile_is_not_replayed_in_the_same_run(store: Store) -> None:
    log_id = uuid4().hex
    await reject(store, log_id, 0, [Record(0, offset, b"x", 0) for offset in (1, 2, 3)])
    (pile,) = [one for one in await piles(store, Rejects()) if one.log_id == log_id]
    read = []
    async for page in pages(store, Rejects(), pile, 2):
        read += [record.offset for record in page]
        await reject(store, log_id, 0, [Record(0, read[-1] + 10, b"x", 0)])
    assert read == [1, 2, 3]


async def test_what_retention_drops_while_a_range_is_read_is_told(
    store: Store, tmp_path: Path
) -> None:
    log = await EmbeddedLog.open(
        tmp_path / "log", batch_records=500, batch_wait_ms=20, max_bytes=1 << 24, retention_s=3600
    )
    await log.append([Entry(key_of(0), b"not readable")] * 500)
    batch = Batch(await log.read(0, 0, 500), [Range(0, 0, 500)])
    await ledger.enter(store, log.log_id, batch, await ledger.next_token(store))
    records = await on_the_log(store, log, log.log_id, Range(0, 0, 450))
    replaying = Replaying(store, log, {}, lambda _: False, only_tell=False)
    offsets: list[int] = []
    async for page in records.pages:
        await replaying.page(page)
        offsets += [record.offset for record in page]
        with sqlite3.connect(tmp_path / "log", timeout=30) as connection:
            connection.execute("DELETE FROM records WHERE id <= 400")
        connection.close()
    assert offsets == [*range(200), *range(400, 450)]
    said: list[str] = []
    assert replaying.conclude(records.total, said.append) == 1
    assert said[1:] == ["  gone meanwhile: 200", "  unreadable_record: 250"]
    await log.close()


def forget(house: House) -> None:
    """Let the store have lost what it landed, but not that it was there."""
    with (
        started(house.config.parent / "data" / "store", "--writable") as server,
        client_of(server, database="beleg") as client,
    ):
        for table in LANDED:
            client.command(f"TRUNCATE TABLE {table}")


async def test_a_range_of_the_log_lands_again_where_the_store_has_lost_it(tmp_path: Path) -> None:
    with embedded_house(tmp_path) as house:
        for part in range(3):
            told = [happened("shop", 150 * part + n, "page_view") for n in range(150)]
            await post(house, "shop", *told)
        await asyncio.to_thread(house.wait_until, "SELECT count() FROM v_events", 450)
        for wrong, sentence in (
            (("0", "0", "450"), "partition 0 holds offsets 0 to 449 that the processors have"),
            (("1", "5", "4"), "has partitions 0 to 0, offsets rise"),
        ):
            refused = house.run("replay", "--range", *wrong, check=False)
            assert (refused.returncode, sentence in refused.stderr) == (2, True), refused.stderr
        alone = house.run("replay", "--range", "0", "0", "1", "--from", "2026-11-20", check=False)
        assert (alone.returncode, "stands alone" in alone.stderr) == (2, True)
        assert house.running["run"].end() == 0
        forget(house)
        done = house.run("replay", "--range", "0", "100", "349")  # nothing runs: the directory
        assert "250 records: 250 appended, 0 landed already" in done.stdout
        house.start("run")
        settle(house, "run")
        assert house.ask("SELECT count() FROM v_events") == [(250,)]
        arguments = ("replay", "--range", "0", "0", "449")
        tried = house.run(*arguments, "--dry-run")
        assert "450 records: 200 would be appended, 250 landed already" in tried.stdout
        await asyncio.gather(*(asyncio.to_thread(house.run, *arguments) for _ in range(2)))
        settle(house, "run")
        assert house.ask("SELECT count(), uniqExact(event_id) FROM v_events") == [(450, 450)]
