"""What a process knows of the control log survives it, and never seems newer than it is."""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from spine.control.followed import Control
from spine.control.log import Page
from spine.control.mark import Mark, encode_told
from spine.control.withdrawal import EVERYTHING, NOTHING, Withdrawal, decision, encode_withdrawal
from spine.control.withdrawals import Reached, Withdrawals
from spine.digest import identifier_id
from spine.erasure_key import ErasureKey
from spine.errors import Misconfigured, Unavailable


class PlainLog:
    """A control log in memory; it tells from where it was read."""

    def __init__(self, *values: bytes) -> None:
        self.values = list(values)
        self.away = False
        self.reads: list[int] = []

    async def open(self) -> None:
        if self.away:
            raise Unavailable("away")

    async def append(self, key: bytes, value: bytes) -> None:
        del key
        self.values.append(value)

    async def end(self) -> int:
        return len(self.values)

    async def read(self, position: int, wait_s: float) -> Page:
        found = self.values[position : position + 3]
        self.reads.append(position)
        if not found:
            await asyncio.sleep(min(wait_s, 0.01))
        return Page(found, position + len(found))

    async def close(self) -> None:
        """Nothing to let go of."""


@asynccontextmanager
async def following(
    log: PlainLog, kept: Path, key: ErasureKey | None = None
) -> AsyncIterator[Control]:
    control = Control(log, key, kept)
    task = asyncio.create_task(control.follow())
    try:
        await control.begin(0.5)
        yield control
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await control.close()


def value(name: str, at_ms: int = 5, purpose: str = EVERYTHING) -> bytes:
    subject = identifier_id("shop", "anonymous_id", name).hex()
    return encode_withdrawal(Withdrawal(subject, {purpose: (decision(at_ms, withdrawn=True),)}))


def knows(control: Control, *names: str) -> bool:
    return all(control.of("shop", name, None).denies("analytics") for name in names)


async def test_the_next_start_knows_it_without_the_log_and_reads_on(tmp_path: Path) -> None:
    kept, log = tmp_path / "kept.sqlite", PlainLog(*[value(f"d{n}") for n in range(10)])
    async with following(log, kept) as control:
        assert knows(control, "d0", "d9")
    log.away = True
    async with following(log, kept) as control:
        assert knows(control, "d0", "d9")
        assert control.of("shop", "d10", None) == NOTHING
        assert 0 <= control.age_s < 60
        before_s = control.age_s
        await asyncio.sleep(0.05)
        assert control.age_s >= before_s + 0.05  # nothing makes it younger
        log.values.append(value("d10"))
        log.reads.clear()
        log.away = False
        await control.current()
        assert knows(control, "d10")
        assert min(log.reads) == 9  # the value that is recognised


async def test_a_mark_is_known_at_the_next_start_and_to_nobody_with_another_key(
    tmp_path: Path,
) -> None:
    kept = tmp_path / "kept.sqlite"
    key = ErasureKey(b"a secret of more than thirty-two characters")
    hashed = key.mark(identifier_id("shop", "anonymous_id", "gone")).hex()
    mark = Mark(mark=hashed, at_ms=7, erasure="ab" * 8, site="shop", key=key.name)
    log = PlainLog(value("d1"), encode_told(mark), value("d2"))
    async with following(log, kept, key) as control:
        assert control.erased_until("shop", "gone", None) == 7
    log.away = True
    async with following(log, kept, key) as control:
        assert control.erased_until("shop", "gone", None) == 7
        assert control.marks_after(0, 10).marks == [mark]
        assert knows(control, "d1", "d2")
    with pytest.raises(Misconfigured, match="give it the same key"):
        Control(log, ErasureKey(b"another secret of thirty-two characters"), kept)


async def test_one_that_was_killed_left_a_whole_file(tmp_path: Path) -> None:
    kept, log = tmp_path / "kept.sqlite", PlainLog(*[value(f"d{n}") for n in range(10)])
    async with following(log, kept) as control:
        await control.enter(identifier_id("shop", "anonymous_id", "own"), (), (EVERYTHING,), 5)
        for file in tmp_path.glob("kept.sqlite*"):
            shutil.copy(file, tmp_path / file.name.replace("kept", "copy"))
    log.away = True
    async with following(log, tmp_path / "copy.sqlite") as control:
        assert knows(control, "own", *[f"d{n}" for n in range(10)])


async def test_another_log_is_read_whole_and_what_was_known_stays_known(tmp_path: Path) -> None:
    kept = tmp_path / "kept.sqlite"
    async with following(PlainLog(value("d1"), value("d2")), kept) as control:
        assert knows(control, "d1", "d2")
    for other in (
        PlainLog(*[value(f"e{n}") for n in range(6)]),
        PlainLog(value("f1")),
        PlainLog(),
    ):
        async with following(other, kept) as control:
            assert knows(control, "d1", "d2")
            assert other.values == [] or other.reads.count(0)
            assert control.age_s < 0.5
    async with following(PlainLog(), kept) as control:
        assert knows(control, "d1", "e0", "e5", "f1")


async def test_what_said_less_is_met_again_by_who_was_ended_before_it_was_mended(
    tmp_path: Path,
) -> None:
    kept = tmp_path / "kept.sqlite"
    log = PlainLog(value("d1", purpose="analytics"), value("d1", purpose="ads_measurement"))
    async with following(log, kept) as control:
        assert knows(control, "d1")
        (last,) = log.values[2:]
        assert b"analytics" in last and b"ads_measurement" in last
    with sqlite3.connect(kept) as db:
        assert db.execute("SELECT position FROM reached").fetchone() == (3,)
    db.close()

    class Refusing(PlainLog):
        async def append(self, key: bytes, value: bytes) -> None:
            raise Unavailable("no")

    other = tmp_path / "other.sqlite"
    refusing = Refusing(*log.values[:2], value("d2"))
    async with following(refusing, other) as control:
        assert knows(control, "d1", "d2")
    known = Withdrawals(other)
    assert known.reached.position < 2
    known.close()


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500, "newer"])
async def test_a_file_that_is_damaged_or_newer_is_made_anew(
    tmp_path: Path, content: bytes | str
) -> None:
    kept = tmp_path / "kept.sqlite"
    if isinstance(content, bytes):
        kept.write_bytes(content)
    else:
        db = sqlite3.connect(kept)
        db.executescript("CREATE TABLE known (x); PRAGMA user_version = 9;")
        db.close()
    async with following(PlainLog(value("d1")), kept) as control:
        assert knows(control, "d1")
    log = PlainLog(value("d1"))
    log.away = True
    async with following(log, kept) as control:
        assert knows(control, "d1")


async def test_an_instant_that_lies_ahead_is_none(tmp_path: Path) -> None:
    """The clock was put back: how old the file is, nobody knows."""
    kept = tmp_path / "kept.sqlite"
    known = Withdrawals(kept)
    known.reach(Reached(1, b"x", time.time_ns() // 1_000_000 + 3_600_000))
    known.close()
    control = Control(PlainLog(), kept=kept)
    assert control.age_s == float("inf")
    await control.close()


def test_a_page_that_does_not_fit_on_the_disk_is_not_kept_and_fits_later(tmp_path: Path) -> None:
    known = Withdrawals(tmp_path / "kept.sqlite")
    decided: dict[str, tuple[int, ...]] = {EVERYTHING: (decision(5, withdrawn=True),)}
    told = [
        Withdrawal(identifier_id("shop", "anonymous_id", f"d{n}").hex(), decided)
        for n in range(2_000)
    ]

    def take() -> None:
        with known.page():
            for one in told:
                known.learn(one)
            known.reach(Reached(2_000, b"x", 1))

    known._db.execute("PRAGMA max_page_count = 10")
    for _ in range(2):
        with pytest.raises(Unavailable, match="full"):
            take()
        assert known.reached == Reached()
    known._db.execute("PRAGMA max_page_count = 100000")
    take()
    known.close()
    known = Withdrawals(tmp_path / "kept.sqlite")
    assert known.reached.position == 2_000
    assert all(known.find(bytes.fromhex(one.subject)) for one in told)
    known.close()


def test_while_the_filter_is_made_nobody_is_forgotten(tmp_path: Path) -> None:
    kept = tmp_path / "kept.sqlite"
    known = Withdrawals(kept)
    subjects = [identifier_id("shop", "anonymous_id", f"d{n}") for n in range(3_000)]
    decided: dict[str, tuple[int, ...]] = {EVERYTHING: (decision(5, withdrawn=True),)}
    with known.page():
        for subject in subjects[:2_000]:
            known.learn(Withdrawal(subject.hex(), decided))
    known.reach(Reached(2_000, b"x", 1))
    known.close()
    for _ in range(3):
        known = Withdrawals(kept)
        assert known.count >= 2_000
        for subject in subjects[2_000:]:  # beside the thread
            known.learn(Withdrawal(subject.hex(), decided))
            assert known.find(subjects[1_999]) is not None
        known._sifting.join()
        assert known._sifted
        assert all(known.find(subject) is not None for subject in subjects)
        assert known.find(identifier_id("shop", "anonymous_id", "stranger")) is None
        known.close()
