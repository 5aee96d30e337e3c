"""A store filled through the loop, what its views show, and ways to spoil what is derived."""

import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from spine.store import Row, Store
from tests.clickhouse_server import Server
from tests.flow.happenings import DAY_MS, Happening, Order, records
from tests.flow.passage import enter_site, process
from tests.migrated import make_tables, mark_migrated

START_MS = 1_711_756_800_000


def happenings(site: str, seed: int, count: int) -> list[Happening]:
    """Some visitors over some days, many of their events late by days."""
    chance = random.Random(seed)
    return [_told(site, chance, number) for number in range(count)]


def _told(site: str, chance: random.Random, number: int) -> Happening:
    name = chance.choice(["page_view", "page_view", "purchase", "refund", "generate_lead"])
    order = Order(f"t{chance.randint(1, 6)}", chance.choice(["10", "2.5", None]))
    return Happening(
        site,
        name,
        f"e{number}",
        START_MS + 3 * DAY_MS + chance.randint(-3 * DAY_MS, 3 * DAY_MS) // 600_000 * 600_000,
        chance.choice(["browser", "browser", "server"]),
        chance.choice(["a1", "a1", "a2", "a3"]),
        chance.choice([None, None, "u1", "u2"]),
        "/",
        chance.choice([None, ("google", "cpc")]),
        order if name in ("purchase", "refund") else None,
    )


async def land(store: Store, site: str, told: list[Happening], size: int = 9) -> None:
    """Take them through the loop in batches."""
    await enter_site(store, site)
    for at in range(0, len(told), size):
        batch = records(told[at : at + size], first_offset=at)
        await process(store, f"log-{site}", batch)


async def shown(store: Store, site: str) -> dict[str, list[Row]]:
    """Everything that the contract's views say about a site, as bytes in order."""
    views = await store.select(
        "SELECT name FROM system.tables WHERE database = currentDatabase()"
        " AND startsWith(name, 'v_') ORDER BY name"
    )
    return {
        view: await store.select(
            "SELECT hex(formatRow('RowBinary', *)) AS bytes"
            f" FROM {view} WHERE site = '{site}' ORDER BY bytes"
        )
        for (view,) in views
    }


async def spoil(store: Store, site: str) -> None:
    """Delete rows, alter rows under higher versions, and make up rows that have no facts."""
    await store.command(f"DELETE FROM persons WHERE site = '{site}'")
    await store.command(
        "INSERT INTO orders SELECT * REPLACE (1234 AS gross, 'refunded' AS status,"
        f" version + 1000000000000 AS version) FROM orders FINAL WHERE site = '{site}'"
    )
    await store.command(
        "INSERT INTO visitor_days SELECT site, visitor_id, day,"
        " if(day % 2, [], arrayPushBack(sessions_of_day, sessions_of_day[1])),"
        f" version + 1000000000000 FROM visitor_days FINAL WHERE site = '{site}'"
    )
    await make_up(store, site)


async def make_up(store: Store, site: str) -> None:
    """Store derived rows that have no facts."""
    ghost = f"unhex('{uuid4().hex}')"
    await store.command(
        f"INSERT INTO visitor_days SELECT site, {ghost}, day + 1, sessions_of_day, 7"
        f" FROM visitor_days FINAL WHERE site = '{site}' AND notEmpty(sessions_of_day) LIMIT 1"
    )
    await store.command(
        f"INSERT INTO orders SELECT * REPLACE ({ghost} AS order_key, 'ghost' AS transaction_id)"
        f" FROM orders FINAL WHERE site = '{site}' LIMIT 1"
    )
    await store.command(
        f"INSERT INTO persons SELECT {ghost}, '{site}', 'anonymous_id', [(NULL, NULL, {ghost})], 7"
    )


class _Empty(NamedTuple):
    database: str
    store: Store


_empty: defaultdict[Server, list[_Empty]] = defaultdict(list)
"""Stores with tables and nothing in them, of which a test is through; to open one costs as much."""


@asynccontextmanager
async def own_store(server: Server) -> AsyncIterator[Store]:
    """A store with tables and nothing in it, behind ClickHouse's HTTP interface.

    Emptied for the next test: one that changes tables takes a `fresh_store`."""
    empty = _empty[server]
    own = empty.pop() if empty else await _made(server)
    try:
        yield own.store
        await own.store.command(f"TRUNCATE ALL TABLES FROM {own.database}")
        await mark_migrated(own.store, own.database)
    except BaseException:
        await own.store.close()
        raise
    empty.append(own)


async def close_stores(server: Server) -> None:
    """Let go of the stores that tests were through with, before the server goes."""
    for own in _empty.pop(server, []):
        await own.store.close()


@asynccontextmanager
async def fresh_store(server: Server) -> AsyncIterator[Store]:
    """The same, and no other test will have it."""
    own = await _made(server)
    try:
        yield own.store
    finally:
        await own.store.close()


async def _made(server: Server) -> _Empty:
    database = f"d{uuid4().hex}"
    url = f"clickhouse://{server.host}:{server.port}/{database}"
    store = await Store.open(url, Path(), makes=True)
    await make_tables(store, database)
    return _Empty(database, store)
