"""What is on the log of somebody who was erased: it never lands, and the ledger balances."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from processors import logs
from processors.balance import balance
from processors.erasure.erasing import Place
from processors.erasure.erasures import Eraser
from processors.erasure.receipt import LogKept
from processors.loop import Processor
from spine.control.followed import Control, followed
from spine.control.mark import Mark
from spine.digest import identifier_id
from spine.embedded.control import EmbeddedControl
from spine.embedded.file import blank
from spine.embedded.log import EmbeddedLog
from spine.erasure_key import ErasureKey
from spine.log import Batch, Range
from spine.metrics import Metrics
from spine.record import ConsentRecord
from spine.store import Store
from tests.clickhouse_server import Server
from tests.flow.derived import own_store
from tests.flow.small_log import append, small_log
from tests.flow.test_withdrawn_before import taken, work

KEY = ErasureKey(b"a secret of more than thirty-two characters")
T_MS = 1_711_756_800_000


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EmbeddedLog]:
    async with small_log(tmp_path / "log.sqlite") as opened:
        yield opened


async def erase(control: Control, kind: str, name: str, at_ms: int) -> None:
    mark = KEY.mark(identifier_id("shop", kind, name)).hex()
    await control.enter_mark(Mark(mark, at_ms, "ab" * 8, "shop", KEY.name))


def decided(device: str, at_ms: int) -> ConsentRecord:
    subject = identifier_id("shop", "anonymous_id", device).hex()
    return ConsentRecord(
        site="shop",
        channel="browser",
        kind="anonymous_id",
        subject=subject,
        action="grant",
        granted=("analytics",),
        decided_ms=at_ms,
        received_ms=at_ms,
    )


async def test_what_is_not_later_than_a_mark_never_lands(
    log: EmbeddedLog, clickhouse_server: Server
) -> None:
    async with (
        own_store(clickhouse_server) as store,
        followed(EmbeddedControl(log._path), KEY) as control,
    ):
        log_id = await logs.register(store, log, uuid4().hex[:16])
        await erase(control, "anonymous_id", "d1", T_MS)
        await erase(control, "user_id", "anna", T_MS)
        await append(
            log,
            [
                taken("before", T_MS - 1, "d1"),
                taken("tie", T_MS, "d1"),
                taken("after", T_MS + 1, "d1"),
                taken("user", T_MS - 5, "d2", "anna"),
                taken("user alone", T_MS - 5, None, "anna"),
                taken("somebody else", T_MS - 5, "d2", "ben"),
                taken("nobody", T_MS - 5, None),
                decided("d1", T_MS - 1),
                decided("d1", T_MS + 1),
            ],
        )
        fates = await work(store, log, log_id, control)
        assert fates == {"stored": 3, "erased": 5, "control": 1}
        events = await store.select("SELECT event_id FROM events FINAL ORDER BY event_id")
        assert [row[0] for row in events] == ["after", "nobody", "somebody else"]
        codes = await store.select(
            "SELECT DISTINCT code, identity = toFixedString('', 16) FROM fates"
            " WHERE fate = 'erased'"
        )
        assert codes == [("erased_before", 1)]


async def test_what_had_landed_is_erased_when_it_is_judged_again(
    log: EmbeddedLog, clickhouse_server: Server
) -> None:
    """As after a crash, or by a processor that slept: its fate does not become `stored` again."""
    async with (
        own_store(clickhouse_server) as store,
        followed(EmbeddedControl(log._path), KEY) as control,
    ):
        log_id = await logs.register(store, log, uuid4().hex[:16])
        told = [taken("one", T_MS, "d1"), taken("two", T_MS, "d2")]
        await append(log, told)
        assert await work(store, log, log_id, control) == {"stored": 2}
        await erase(control, "anonymous_id", "d1", T_MS)
        await append(log, told)
        assert await work(store, log, log_id, control) == {
            "stored": 2,
            "erased": 1,
            "duplicate": 1,
        }


class MarkingStore(Store):
    """The real store, in the middle of whose landing somebody is erased."""

    def __init__(self, store: Store, mark: Callable[[], Awaitable[None]]) -> None:
        super().__init__(store._writer, store._reader, store.path)
        self._mark = mark

    async def insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        if table == "seen":
            await self._mark()
        await super().insert(table, columns)


async def test_what_lands_while_somebody_is_erased_goes_before_the_ledger_line(
    log: EmbeddedLog, clickhouse_server: Server
) -> None:
    """Judged before the mark and landed after it, as by a processor that slept."""
    async with (
        own_store(clickhouse_server) as own,
        followed(EmbeddedControl(log._path), KEY) as control,
        followed(EmbeddedControl(log._path), KEY) as other,
    ):
        store = MarkingStore(own, lambda: erase(other, "anonymous_id", "d1", T_MS + 5))
        log_id = await logs.register(store, log, uuid4().hex[:16])
        await append(log, [taken(f"e{n}", T_MS + n, f"d{n % 2}") for n in range(10)])

        async def kept_until() -> LogKept:
            return LogKept("log", 0)

        async def blanked(offsets: Sequence[int]) -> None:
            assert blank(log._path, offsets)

        place = Place(store, log_id, KEY, blanked)
        metrics = Metrics("test")
        eraser = Eraser(place, log, control, kept_until, metrics)
        eraser.begun.set()
        processor = Processor(log, log_id, store, {}, control, metrics)
        processor.erase_with(eraser)
        for first in (0, 5):
            records = await log.read(0, first, 5)
            await processor.take(Batch(records, [Range(0, first, first + 5)]))
        events = await own.select("SELECT event_id FROM v_events ORDER BY event_id")
        assert [row[0] for row in events] == ["e0", "e2", "e4", "e6", "e7", "e8", "e9"]
        (one,) = await balance(own, log_id, await log.bounds())
        assert one.unbalanced is None
        assert {fate: n for fate, n in one.fates.items() if n} == {"stored": 7, "erased": 3}
        gone = [
            record.offset for record in await log.read(0, 0, 10) if b"event" not in record.value
        ]
        assert gone == [1, 3, 5]
        await eraser.step(processor.turn)
        assert await own.select("SELECT state, why FROM erasures FINAL") == [("closed", "")]
        # As at the next start: what the store has of the marks is not written once more.
        await Eraser(place, log, control, kept_until, metrics).step(processor.turn)
        assert await own.select("SELECT count() FROM erasure_marks") == [(1,)]
