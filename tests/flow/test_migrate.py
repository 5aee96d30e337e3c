"""A migration that was killed anywhere is done to its end, and changes no number."""

from pathlib import Path
from uuid import uuid4

import pytest

from processors.audit import audit
from spine.migrations import migrations, statements
from spine.store import Store
from tests.clickhouse_server import Server
from tests.flow.derived import fresh_store, happenings, land, shown

_BY_DAY = (9, 10)
# What changed the table since, and the last, with which all views are laid.
_AND_LATER = (*_BY_DAY, 15, 18, 24, max(migrations()))
_STATEMENTS = [(number, text) for number in _BY_DAY for text in statements(migrations()[number][1])]


async def _as_before(store: Store) -> None:
    """Put a store back to sessions that lie by visitor, as version 0.1.0 left them."""
    await store.command("DROP VIEW sessions")
    for number, start in ((2, "CREATE TABLE IF NOT EXISTS sessions"), (8, "ALTER TABLE sessions")):
        for text in statements(migrations()[number][1]):
            if start in text:
                await store.command(text)
    await store.command(
        "INSERT INTO sessions SELECT site, visitor_id, day, sessions_of_day, version"
        " FROM visitor_days"
    )
    await store.command("DROP TABLE visitor_days")
    await store.command(f"DELETE FROM migrations WHERE number IN {_AND_LATER}")


@pytest.mark.parametrize("done", [0, 1, 2, len(_STATEMENTS) - 2, len(_STATEMENTS) - 1])
async def test_sessions_by_visitor_become_sessions_by_day(
    clickhouse_server: Server, site: str, done: int
) -> None:
    async with fresh_store(clickhouse_server) as store:
        await land(store, site, happenings(site, seed=1, count=40), size=20)
        before = await shown(store, site)
        await _as_before(store)
        for number, text in _STATEMENTS[:done]:
            if number == _BY_DAY[1]:  # then the first of the two was done to its end
                await store.command(
                    f"INSERT INTO migrations SELECT {_BY_DAY[0]}, '', now64(3, 'UTC')"
                )
            await store.command(text)
        await store.migrate(lambda _: None)
        assert await shown(store, site) == before
        assert [one async for part in audit(store) for one in part.differences] == []
        kept = await store.select("SELECT count(), sum(length(sessions_of_day)) FROM sessions")
        assert kept == await store.select(
            "SELECT count(), sum(length(sessions_of_day)) FROM visitor_days FINAL"
        )


async def test_what_tests_begin_with_is_what_a_migration_ends_in(
    clickhouse_server: Server,
) -> None:
    async with fresh_store(clickhouse_server) as store:
        database = f"m{uuid4().hex}"
        url = f"clickhouse://{clickhouse_server.host}:{clickhouse_server.port}/{database}"
        migrated = await Store.open(url, Path(), makes=True)
        try:
            await migrated.migrate(lambda _: None)
            assert await _tables(store) == await _tables(migrated)
            await store.check_version()
        finally:
            await migrated.close()


async def _tables(store: Store) -> dict[str, str]:
    rows = await store.select(
        "SELECT name, replaceAll(create_table_query, concat(database, '.'), '') FROM system.tables"
        " WHERE database = currentDatabase()"
    )
    assert len(rows) > 40
    return dict(rows)
