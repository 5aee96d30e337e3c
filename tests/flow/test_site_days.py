"""The balance by site and day, from stored data alone."""

from collections.abc import AsyncIterator
from datetime import date

import pytest

from processors.site_days import SiteDay, site_days
from spine.store import Store
from tests.clickhouse_server import Server
from tests.flow.derived import own_store
from tests.flow.happenings import DAY_MS, Happening, records
from tests.flow.passage import process

NOON_MS = 1_711_800_000_000
FIRST, SECOND = date(2024, 3, 30), date(2024, 3, 31)


@pytest.fixture
async def own(clickhouse_server: Server) -> AsyncIterator[Store]:
    async with own_store(clickhouse_server) as opened:
        yield opened


def told(site: str, first: int, following: int, day: int = 0) -> list[Happening]:
    return [
        Happening(site, "page_view", f"e{n}", NOON_MS + day * DAY_MS + n, anonymous_id="a")
        for n in range(first, following)
    ]


async def shown(store: Store) -> list[tuple[str, date, dict[str, int], int, int, int]]:
    return [(*one[:2], dict(one.fates), *one[3:]) for one in await site_days(store)]


async def test_every_site_and_day_is_counted_whatever_lines_overlap(own: Store) -> None:
    batch = records([*told("a", 0, 6), *told("a", 2, 4), *told("b", 0, 3), *told("a", 6, 8, day=1)])
    for first, following in ((0, 5), (3, 9), (0, 13), (4, 7)):
        await process(own, "log", batch[first:following])
    assert await shown(own) == [
        ("a", FIRST, {"stored": 6, "duplicate": 2}, 6, 0, 0),
        ("a", SECOND, {"stored": 2}, 2, 0, 0),
        ("b", FIRST, {"stored": 3}, 3, 0, 0),
    ]


async def test_a_missing_event_and_a_missing_fate_are_found_on_their_day(own: Store) -> None:
    await process(own, "log", records([*told("a", 0, 6), *told("a", 6, 9, day=1)]))
    for table, where in (("events", "event_id IN ('e1', 'e2')"), ("fates", "log_offset = 7")):
        await own.command(f"ALTER TABLE {table} DELETE WHERE {where} SETTINGS mutations_sync = 2")
    assert await site_days(own) == [
        SiteDay("a", FIRST, {"stored": 6}, 4, 2, 0),
        SiteDay("a", SECOND, {"stored": 2}, 3, 0, 1),
    ]


async def test_what_is_just_landing_is_not_missing(own: Store) -> None:
    await process(own, "log", records(told("a", 0, 3)))
    await process(own, "log", records(told("a", 3, 6), 3))
    await own.command("ALTER TABLE fates DELETE WHERE log_offset >= 3 SETTINGS mutations_sync = 2")
    await own.command(
        "ALTER TABLE ledger DELETE WHERE first_offset >= 3 SETTINGS mutations_sync = 2"
    )
    assert await site_days(own) == [SiteDay("a", FIRST, {"stored": 3}, 6, 0, 0)]


async def test_an_event_stored_from_two_logs_counts_once(own: Store) -> None:
    """A processor that slept through an adoption lands what it had judged before."""
    batch = records(told("a", 0, 4))
    await process(own, "old", batch)
    await own.command("TRUNCATE TABLE seen")
    await process(own, "new", batch)
    assert await site_days(own) == [SiteDay("a", FIRST, {"stored": 8}, 4, 0, 0)]
