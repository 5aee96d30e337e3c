"""The store that `bench volume` measures is as the processors would have left it."""

import pytest

from bench.stored import fill, known_visitors
from processors.rebuild import rebuild
from spine.store import Store
from tests.clickhouse_server import Server
from tests.flow.derived import own_store

_COLUMNS = {
    "visitor_days": "site, visitor_id, day, sessions_of_day",
    "orders": "* EXCEPT version",
    "persons": "* EXCEPT version",
}


@pytest.mark.parametrize("known", [0, 40])
async def test_what_bench_fills_in_is_what_the_processors_derive(
    clickhouse_server: Server, known: int
) -> None:
    async with own_store(clickhouse_server) as store:
        await fill(store, 20_000, known_visitors(known))
        filled = {table: await _rows(store, table) for table in _COLUMNS}

        async for _ in rebuild(store):
            pass

        assert len(filled["orders"]) == 100
        assert len(filled["persons"]) > 400
        for table in _COLUMNS:
            assert filled[table] == await _rows(store, table)


async def _rows(store: Store, table: str) -> list[str]:
    rows = await store.select(
        f"SELECT toString(tuple({_COLUMNS[table]})) AS row FROM {table} FINAL ORDER BY row"
    )
    return [row for (row,) in rows]
