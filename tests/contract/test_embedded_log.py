"""What only the log of one machine does: bounds, retention, offsets that never come twice."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from spine.embedded.log import EmbeddedLog
from spine.errors import Misconfigured, Unavailable
from spine.log import Batch, Bounds, Entry, Range
from tests.kafka_logs import key_of

VALUE = b"x" * 50_000


async def open_log(path: Path, *, max_bytes: int = 1 << 24, retention_s: float = 0) -> EmbeddedLog:
    return await EmbeddedLog.open(
        path, batch_records=100, batch_wait_ms=20, max_bytes=max_bytes, retention_s=retention_s
    )


async def fill(log: EmbeddedLog) -> int:
    """Append until the log takes no more; the number of values it took."""
    for number in range(10_000):
        try:
            await log.append([Entry(key_of(0), VALUE)])
        except Unavailable:
            return number
    raise AssertionError("the log has no bound")


async def land(log: EmbeddedLog, count: int) -> None:
    """Read as the store says, from the start, and commit so many positions."""

    async def resume(_: Sequence[int]) -> Mapping[int, int]:
        return {0: 0}

    reading = log.batches(resume)
    await anext(reading)
    await log.commit(Batch([], [Range(0, 0, count)]))
    await reading.aclose()  # type: ignore[attr-defined]


async def test_at_its_bound_the_log_takes_nothing_that_has_not_room(tmp_path: Path) -> None:
    log = await open_log(tmp_path / "log")
    taken = await fill(log)
    assert 200 < taken < 400
    with pytest.raises(Unavailable, match="max_bytes"):
        await log.ready()
    assert (await log.bounds())[0].end == taken
    await log.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_nobody_waits_for_a_writer_that_a_bug_has_ended(tmp_path: Path) -> None:
    log = await open_log(tmp_path / "log")
    await log.append([Entry(key_of(0), VALUE)])
    too_large: Any = 1 << 70  # not an error of SQLite's, so that nothing expects it
    async with asyncio.timeout(20):
        for value in (too_large, VALUE):
            with pytest.raises(Unavailable, match="has ended"):
                await log.append([Entry(key_of(0), value)])
        with pytest.raises(Unavailable, match="has ended"):
            await log.ready()
        assert await log.bounds() == {0: Bounds(0, 1)}
        await log.close()


async def test_nothing_goes_before_the_store_has_told_the_reader_where_to_begin(
    tmp_path: Path,
) -> None:
    log = await open_log(tmp_path / "log")
    await log.append([Entry(key_of(0), VALUE)] * 3)
    await log.commit(Batch([], [Range(0, 0, 3)]))  # an older store may know of fewer
    await asyncio.sleep(1.2)
    await log.append([Entry(key_of(0), VALUE)])
    assert await log.bounds() == {0: Bounds(0, 4)}
    await log.close()


async def test_what_has_landed_makes_room_before_its_retention_ends(tmp_path: Path) -> None:
    log = await open_log(tmp_path / "log", retention_s=3600)
    taken = await fill(log)
    await land(log, taken // 2)
    await log.append([Entry(key_of(0), VALUE)])
    await log.ready()
    bounds = (await log.bounds())[0]
    assert bounds.start == taken // 2
    assert bounds.end == taken + 1
    await log.close()


async def test_what_landed_before_the_clock_was_put_back_makes_room_too(tmp_path: Path) -> None:
    log = await open_log(tmp_path / "log", retention_s=3600)
    taken = await fill(log)
    with sqlite3.connect(tmp_path / "log", timeout=30) as connection:
        connection.execute("UPDATE records SET appended_ms = appended_ms + 7200000")
    connection.close()
    await land(log, taken)
    await log.append([Entry(key_of(0), VALUE)])
    assert (await log.bounds())[0] == (taken, taken + 1)
    await log.close()


async def test_only_the_oldest_positions_go_whatever_the_clock_said_when_they_came(
    tmp_path: Path,
) -> None:
    log = await open_log(tmp_path / "log", retention_s=3600)
    values = (b"old", b"of a clock that was ahead", b"old")
    await log.append([Entry(key_of(0), value) for value in values])
    with sqlite3.connect(tmp_path / "log", timeout=30) as connection:
        connection.execute(
            "UPDATE records SET appended_ms = appended_ms + iif(id = 2, 7200000, -7200000)"
        )
    connection.close()
    await land(log, 3)
    async with asyncio.timeout(30):
        while (await log.bounds())[0].start == 0:
            await asyncio.sleep(0.1)
    assert (await log.bounds())[0] == (1, 3)
    assert [record.offset for record in await log.read(0, 0, 10)] == [1, 2]
    await log.close()


async def test_a_full_log_is_ready_again_by_itself_once_something_has_landed(
    tmp_path: Path,
) -> None:
    log = await open_log(tmp_path / "log", retention_s=3600)
    taken = await fill(log)
    await land(log, taken)
    for _ in range(50):
        try:
            await log.ready()
            break
        except Unavailable:
            await asyncio.sleep(0.1)
    await log.ready()
    await log.close()


async def test_nothing_that_has_not_landed_is_ever_deleted(tmp_path: Path) -> None:
    log = await open_log(tmp_path / "log")
    taken = await fill(log)
    with pytest.raises(Unavailable):
        await log.append([Entry(key_of(0), VALUE)])
    assert len(await log.read(0, 0, 10_000)) == taken
    await log.close()


async def test_an_offset_never_comes_twice_even_when_all_rows_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = await open_log(path)
    await log.append([Entry(key_of(0), b"a"), Entry(key_of(0), b"b")])
    await log.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM records")
    connection.close()
    log = await open_log(path)
    assert (await log.bounds())[0] == (2, 2)
    await log.append([Entry(key_of(0), b"c")])
    assert [record.offset for record in await log.read(0, 0, 10)] == [2]
    await log.close()


async def test_a_log_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    log = await open_log(tmp_path / "log")
    await log.close()
    with sqlite3.connect(tmp_path / "log") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Misconfigured, match="newer version"):
        await open_log(tmp_path / "log")


async def test_a_file_that_is_no_log_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"this is not a database, not at all" * 100)
    with pytest.raises(Misconfigured, match="cannot be opened"):
        await open_log(tmp_path / "log")


async def test_a_reader_behind_the_start_is_told_by_the_bounds(tmp_path: Path) -> None:
    log = await open_log(tmp_path / "log")
    await log.append([Entry(key_of(0), b"a"), Entry(key_of(0), b"b"), Entry(key_of(0), b"c")])

    async def resume(partitions: Sequence[int]) -> Mapping[int, int]:
        assert list(partitions) == [0]
        return {0: 1}

    async for batch in log.batches(resume):
        assert [record.value for record in batch.records] == [b"b", b"c"]
        assert list(batch.ranges) == [Range(0, 1, 3)]
        break
    await log.close()


async def test_a_second_opener_appends_beside_the_reader_and_its_close_does_no_harm(
    tmp_path: Path,
) -> None:
    """What `beleg replay` does while `beleg run` runs."""
    first = await open_log(tmp_path / "log")
    second = await open_log(tmp_path / "log")
    assert second.log_id == first.log_id

    async def append(log: EmbeddedLog, name: bytes) -> None:
        for number in range(100):
            await log.append(
                [Entry(key_of(0), b"%s %d" % (name, number)), Entry(key_of(0), b"and more")]
            )

    writing = asyncio.gather(append(first, b"first"), append(second, b"second"))

    async def resume(_: Sequence[int]) -> Mapping[int, int]:
        return {0: 0}

    values: list[bytes] = []
    async with asyncio.timeout(30):
        async for batch in first.batches(resume):
            assert batch.ranges[0].first_offset == len(values)
            values += [record.value for record in batch.records]
            if len(values) == 400:
                break
    await writing
    for name in (b"first", b"second"):
        assert [v for v in values if v.startswith(name)] == [
            b"%s %d" % (name, n) for n in range(100)
        ]
    await second.close()
    await first.append([Entry(key_of(0), b"after")])
    assert [record.value for record in await first.read(0, 400, 10)] == [b"after"]
    await first.close()


async def test_the_bound_holds_for_a_second_opener_too(tmp_path: Path) -> None:
    first = await open_log(tmp_path / "log")
    taken = await fill(first)
    second = await open_log(tmp_path / "log")
    assert await fill(second) == 0
    assert (await first.bounds())[0].end == taken
    await second.close()
    await first.close()


async def test_a_relative_path_is_looked_up_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """chDB's import leaves the working directory for a moment, in a thread of its own."""
    monkeypatch.chdir(tmp_path)
    log = await EmbeddedLog.open(
        Path("log.sqlite"), batch_records=10, batch_wait_ms=10, max_bytes=1 << 30, retention_s=60
    )
    try:
        assert log._path == tmp_path / "log.sqlite"
    finally:
        await log.close()


async def test_the_time_a_batch_is_worked_on_counts_as_waiting(tmp_path: Path) -> None:
    """What came meanwhile is handed over at once: it has waited as long as it must."""
    log = await EmbeddedLog.open(
        tmp_path / "log", batch_records=100, batch_wait_ms=2_000, max_bytes=1 << 30, retention_s=60
    )

    async def resume(_: Sequence[int]) -> Mapping[int, int]:
        return {0: 0}

    await log.append([Entry(bytes(16), b"first")])
    batches = log.batches(resume)
    await anext(batches)
    await log.append([Entry(bytes(16), b"second")])
    await asyncio.sleep(2.1)
    async with asyncio.timeout(1.8):
        batch = await anext(batches)
    assert [record.value for record in batch.records] == [b"second"]
    await log.close()
