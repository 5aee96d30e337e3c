"""What is overwritten in the embedded log is in no file any more, and the log is the same log."""

from pathlib import Path

import pytest

from processors.judge import judge, read
from spine.digest import record_digest
from spine.embedded.file import blank
from spine.embedded.log import EmbeddedLog
from spine.errors import Unavailable
from spine.log import Bounds, Entry
from spine.record import Unreadable, decode, encode
from tests.flow.happenings import Happening, record

CANARY = b"5c1e2f0a9b8d7c6e5f4a3b2c"


def values() -> list[bytes]:
    told = [
        Happening("shop", "page_view", f"e{number}", 1_711_800_000_000 + number, path="/" + "x" * 9)
        for number in range(40)
    ]
    hers = [one._replace(anonymous_id=CANARY.decode(), path="/" + "y" * 6000) for one in told[::2]]
    return [encode(record(one)) for pair in zip(hers, told[1::2], strict=True) for one in pair]


def has_canary(directory: Path) -> bool:
    return any(CANARY in path.read_bytes() for path in directory.iterdir())


async def test_its_bytes_are_gone_and_its_positions_stay(tmp_path: Path) -> None:
    log = await EmbeddedLog.open(
        tmp_path / "log.sqlite",
        batch_records=100,
        batch_wait_ms=10,
        max_bytes=1 << 30,
        retention_s=3600,
    )
    found = values()
    await log.append([Entry(bytes(16), value) for value in found])
    assert has_canary(tmp_path), "the scan is blind"
    for _ in range(2):
        assert blank(tmp_path / "log.sqlite", range(0, 40, 2))
        assert not has_canary(tmp_path)
    assert await log.bounds() == {0: Bounds(0, 40)}
    records = await log.read(0, 0, 100)
    assert [one.offset for one in records] == list(range(40))
    assert [record_digest(one.value) for one in records] == [record_digest(one) for one in found]
    assert [one.value for one in records[1::2]] == found[1::2]
    assert decode(records[0].value) == Unreadable("erased_before", "")
    fates = judge("log", read(records), {}).fates
    assert [(one.fate, one.code) for one in fates[::2]] == [("erased", "erased_before")] * 20
    assert {one.fate for one in fates[1::2]} == {"stored"}
    await log.append([Entry(bytes(16), found[1])])
    assert await log.bounds() == {0: Bounds(0, 41)}
    await log.close()


def test_a_file_that_is_none_is_said_to_be_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "log.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(Unavailable):
        blank(tmp_path / "log.sqlite", [0])
