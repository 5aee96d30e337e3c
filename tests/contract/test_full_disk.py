"""A full disk under the embedded log: it says so, loses nothing, and goes on when there is room."""

import asyncio
from pathlib import Path

import pytest

from spine.embedded.log import EmbeddedLog
from spine.errors import Unavailable
from spine.log import Batch, Bounds, Entry, Range
from tests.kafka_logs import key_of
from tests.small_disk import SmallDisk, small_disk

VALUE = b"x" * 5_000


async def open_log(disk: SmallDisk) -> EmbeddedLog:
    return await EmbeddedLog.open(
        disk.path / "log", batch_records=100, batch_wait_ms=20, max_bytes=1 << 30, retention_s=3600
    )


async def taken_until_full(log: EmbeddedLog) -> int:
    for number in range(10_000):
        try:
            await log.append([Entry(key_of(0), VALUE)])
        except Unavailable as trouble:
            assert "full" in trouble.what
            return number
    raise AssertionError("the disk does not fill")


async def test_what_a_full_disk_does_not_take_is_not_acknowledged_and_the_rest_is_there(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        log = await open_log(disk)
        try:
            taken = await taken_until_full(log)
            disk.fill()
            taken += await taken_until_full(log)
            assert await log.bounds() == {0: Bounds(0, taken)}
            assert [one.value for one in await log.read(0, 0, 10_000)] == [VALUE] * taken
            await log.commit(Batch([], [Range(0, 0, taken)]))
        finally:
            await log.close()
        reopened = await open_log(disk)
        assert await reopened.bounds() == {0: Bounds(0, taken)}
        await reopened.close()


async def test_a_log_on_a_full_disk_is_not_ready_until_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        log = await open_log(disk)
        try:
            disk.fill()
            await taken_until_full(log)
            await asyncio.sleep(2.5)  # the log asks the disk again every second
            with pytest.raises(Unavailable, match="full"):
                await log.ready()
            disk.free()
            async with asyncio.timeout(30):
                while True:
                    try:
                        await log.ready()
                        break
                    except Unavailable:
                        await asyncio.sleep(0.1)
            await log.append([Entry(key_of(0), VALUE)])
        finally:
            await log.close()
