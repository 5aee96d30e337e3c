"""What is refused or dropped leaves no payload, but it is counted, and counted once."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from collector.admission import Outcome
from collector.tally import Tallies, flush_for_ever
from processors.judge import judge, read
from spine.errors import Unavailable
from spine.record import TallyRecord, TallyRow
from tests.flow.door import BROWSER, CONSENT, EVENT, NOW_MS, OTHER, Door, door

NOON = 20_779  # 2026-11-22, in days since 1970
DROPPED = EVENT | {"consent": {}}
SENT = [
    EVENT,
    DROPPED,
    DROPPED,
    DROPPED | {"name": "canary-name"},
    DROPPED | {"name": "another name"},
    EVENT | {"ip": "198.51.100.7"},
    5,
    {"name": "page_view", "x": 1},
]
COUNTED = {
    TallyRow("shop", NOON, "dropped", "no_consent", "(custom)", 2),
    TallyRow("shop", NOON, "dropped", "no_consent", "page_view", 2),
    TallyRow("shop", NOON, "refused", "not_allowed", "page_view", 1),
    TallyRow("shop", NOON, "refused", "unknown_field", "(unreadable)", 1),
    TallyRow("shop", NOON, "refused", "wrong_type", "(unreadable)", 1),
}


async def tallies_of(front: Door) -> list[TallyRecord]:
    return [r for r in await front.on_the_log() if isinstance(r, TallyRecord)]


async def counted_once(front: Door) -> Counter[tuple[str, str, str]]:
    """Add up what the processors would: tallies that are no duplicates."""
    verdict = judge("log", read(await front.log.read(0, 0, 1000)), {})
    total: Counter[tuple[str, str, str]] = Counter()
    for reading in verdict.fresh:
        if isinstance(reading.content, TallyRecord):
            for row in reading.content.rows:
                total[row.status, row.code, row.name] += row.count
    return total


async def test_a_flush_is_one_record_of_counts_without_payload(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        await front.post({"events": SENT}, BROWSER)
        await front.tallies.flush(front.log, NOW_MS + 10_000)
        (tally,) = await tallies_of(front)
        assert set(tally.rows) == COUNTED
        assert (tally.collector, tally.sequence, tally.received_ms) == ("test", 0, NOW_MS + 10_000)
        assert len(await front.events()) == 1
        assert front.counted("events_total", site="shop", status="dropped", code="no_consent") == 4
    assert b"canary-name" not in b"".join(p.read_bytes() for p in tmp_path.iterdir())


async def test_nothing_to_count_is_no_record_and_sequences_increase(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        await front.tallies.flush(front.log, NOW_MS)
        assert await front.on_the_log() == []
        for _ in range(3):
            await front.post(DROPPED, BROWSER)
            await front.tallies.flush(front.log, NOW_MS)
            await front.tallies.flush(front.log, NOW_MS)
        assert [tally.sequence for tally in await tallies_of(front)] == [0, 1, 2]
        assert len({tally.boot for tally in await tallies_of(front)}) == 1
        assert Tallies("test")._boot != front.tallies._boot


async def test_the_day_of_a_tally_is_the_day_of_its_site(tmp_path: Path) -> None:
    half_past_eleven_ms = NOW_MS + 13_500_000 + 36_000_000 - 1_800_000  # 22:30 UTC
    async with door(tmp_path, now_ms=lambda: half_past_eleven_ms + 3_600_000) as front:
        await front.post(DROPPED, BROWSER)
        await front.post(DROPPED, OTHER)
        await front.tallies.flush(front.log, NOW_MS)
        (tally,) = await tallies_of(front)
        assert {(row.site, row.received_on) for row in tally.rows} == {
            ("shop", NOON + 1),
            ("other", NOON),
        }


@pytest.mark.parametrize("written", [False, True])
async def test_a_flush_that_failed_is_repeated_and_counts_once(
    tmp_path: Path, written: bool
) -> None:
    async with door(tmp_path) as front:
        await front.post({"events": SENT}, BROWSER)
        front.log.away, front.log.writes_all_the_same = Unavailable("away"), written
        for _ in range(3):
            with pytest.raises(Unavailable):
                await front.tallies.flush(front.log, NOW_MS)
        front.log.away = None
        await front.post(DROPPED, BROWSER)
        await front.tallies.flush(front.log, NOW_MS)
        sequences = [tally.sequence for tally in await tallies_of(front)]
        assert sequences == [*[0] * (4 if written else 1), 1]
        expected = Counter({(row.status, row.code, row.name): row.count for row in COUNTED})
        expected["dropped", "no_consent", "page_view"] += 1
        assert await counted_once(front) == expected


async def test_counts_take_no_more_room_while_the_log_is_away(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        await front.post(DROPPED, BROWSER)
        front.log.away = Unavailable("away")
        for _ in range(20):
            with pytest.raises(Unavailable):
                await front.tallies.flush(front.log, NOW_MS)
            await front.post(DROPPED, BROWSER)
        front.log.away = None
        await front.tallies.flush(front.log, NOW_MS)
        assert [tally.sequence for tally in await tallies_of(front)] == [0, 1]
        assert sum((await counted_once(front)).values()) == 21


async def test_what_is_counted_during_a_flush_is_in_the_next(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        await front.post(DROPPED, BROWSER)
        front.log.gate.clear()
        flushing = asyncio.create_task(front.tallies.flush(front.log, NOW_MS))
        await front.log.arrived.wait()
        await front.post(DROPPED, BROWSER)
        flushing.cancel()  # as at the end of a process
        await asyncio.gather(flushing, return_exceptions=True)
        front.log.gate.set()
        await front.tallies.flush(front.log, NOW_MS)
        assert await counted_once(front) == Counter({("dropped", "no_consent", "page_view"): 2})


async def test_many_kinds_are_several_records(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        outcomes = {Outcome("refused", "wrong_type", "(custom)"): 1}
        for day in range(2_500):
            front.tallies.count("shop", day, outcomes)
        await front.tallies.flush(front.log, NOW_MS)
        tallies = await tallies_of(front)
        assert [len(tally.rows) for tally in tallies] == [1000, 1000, 500]
        assert [tally.sequence for tally in tallies] == [0, 1, 2]


async def test_flushing_goes_on_when_the_log_comes_back(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        front.log.away = Unavailable("away")
        await front.post(DROPPED, BROWSER)
        flushing = asyncio.create_task(
            flush_for_ever(front.tallies, front.log, lambda: NOW_MS, every_s=0.02)
        )
        await asyncio.sleep(0.1)
        assert not flushing.done()
        front.log.away = None
        async with asyncio.timeout(5):
            while not await tallies_of(front):
                await asyncio.sleep(0.01)
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)
        assert sum((await counted_once(front)).values()) == 1


async def test_what_is_accepted_is_no_tally(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        await front.post({"name": "purchase", "consent": CONSENT}, BROWSER)
        await front.post({"name": "purchase", "consent": {}}, BROWSER)
        await front.tallies.flush(front.log, NOW_MS)
        assert await tallies_of(front) == []
