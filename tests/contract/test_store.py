"""One class, two engines' doors: the store does the same in this process and over HTTP."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from spine.errors import Misconfigured, Unavailable
from spine.migrations import migrations, statements
from spine.store import DERIVE_VERSION, Store, packed
from tests.clickhouse_server import Server, started


@pytest.fixture(params=["embedded", "clickhouse"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, chdb_dir: Path
) -> AsyncIterator[Store]:
    if request.param == "embedded":
        opened = await _emptied("embedded", chdb_dir)
    else:
        server: Server = request.getfixturevalue("server")
        opened = await _emptied(f"clickhouse://{server.host}:{server.port}/beleg", tmp_path)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(tmp_path_factory.mktemp("server"), "--writable") as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def tables_for_others(chdb_dir: Path) -> Iterator[None]:
    """Other tests of this process have the same directory."""
    yield

    async def made() -> None:
        opened = await _emptied("embedded", chdb_dir)
        await opened.migrate(quiet)
        await opened.close()

    asyncio.run(made())


async def _emptied(url: str, data_dir: Path) -> Store:
    opened = await Store.open(url, data_dir, makes=True)
    await opened.command("DROP DATABASE beleg")
    await opened.close()
    return await Store.open(url, data_dir, makes=True)


def quiet(_: str) -> None:
    pass


async def test_migrating_twice_is_migrating_once(store: Store) -> None:
    told: list[str] = []
    await store.migrate(told.append)
    await store.migrate(told.append)
    assert told == [f"migration {name}" for name, _ in migrations().values()]
    await store.check_version()


async def test_what_lands_goes_before_what_is_asked(store: Store) -> None:
    # 0 would be outside of the order; readers of the read endpoint have 10
    assert await store.select_after_write("SELECT getSetting('priority')") == [(1,)]


async def test_a_migration_that_was_cut_short_is_taken_up_again(store: Store) -> None:
    _, text = migrations()[1]
    for statement in statements(text)[:5]:
        await store.command(statement)
    await store.migrate(quiet)
    await store.check_version()


async def test_a_store_without_tables_says_what_to_run(store: Store) -> None:
    with pytest.raises(Misconfigured, match="beleg migrate"):
        await store.check_version()


async def test_a_newer_store_refuses_an_older_program(store: Store) -> None:
    await store.migrate(quiet)
    await store.command("INSERT INTO migrations SELECT 9999, '9999_new', now64(3, 'UTC')")
    with pytest.raises(Misconfigured, match="newer version"):
        await store.check_version()
    with pytest.raises(Misconfigured, match="newer version"):
        await store.migrate(quiet)


async def test_newer_derived_rows_stop_an_older_processor(store: Store) -> None:
    await store.migrate(quiet)
    newer = DERIVE_VERSION + 1
    await store.command(f"INSERT INTO derive_versions SELECT {newer}, now64(3, 'UTC')")
    with pytest.raises(Misconfigured, match="newer program"):
        await store.check_version()


async def test_what_is_inserted_is_read_back_and_seen_at_once(store: Store) -> None:
    await store.command(
        "CREATE TABLE t (id FixedString(16), at DateTime64(3, 'UTC'), day Date,"
        " amount Nullable(Decimal(18, 4)), text String, tags Array(LowCardinality(String)))"
        " ENGINE = MergeTree ORDER BY id"
    )
    digests = [number.to_bytes(16, "little") for number in range(5)]
    await store.insert(
        "t",
        {
            "id": digests,
            "at": [1_764_000_000_123] * 5,
            "day": [20_000] * 5,
            "amount": [Decimal("1.2345"), None, None, Decimal("-3"), Decimal(0)],
            "text": ["ä", "'", "\\", "\n\t\x00", ""],
            "tags": [["a"], [], ["b", "a"], [], []],
        },
    )
    rows = await store.select_after_write(
        "SELECT id, toUnixTimestamp64Milli(at), toUInt16(day), amount, text, tags FROM t"
        " ORDER BY id"
    )
    assert [bytes(row[0]) for row in rows] == digests
    assert {row[1:3] for row in rows} == {(1_764_000_000_123, 20_000)}
    assert [row[3] for row in rows] == [Decimal("1.2345"), None, None, Decimal(-3), Decimal(0)]
    assert [row[4] for row in rows] == ["ä", "'", "\\", "\n\t\x00", ""]
    ((count,),) = await store.select(
        f"SELECT count() FROM t WHERE id IN {packed([digests[1], digests[4]])}"
    )
    assert count == 2
    await store.insert("t", {"id": [], "at": []})


async def test_parameters_are_data_and_never_sql(store: Store) -> None:
    evil = "'; DROP TABLE x; --\\"
    assert await store.select("SELECT {text:String}", {"text": evil}) == [(evil,)]


async def test_a_batch_of_any_size_fits_into_a_statement(store: Store) -> None:
    digests = [number.to_bytes(16, "little") for number in range(100_000)]
    ((count,),) = await store.select_after_write(
        "SELECT count() FROM numbers(3)"
        f" WHERE toFixedString('xxxxxxxxxxxxxxxx', 16) NOT IN {packed(digests)}"
    )
    assert count == 3


async def test_an_insert_over_hundreds_of_days_is_one_insert(store: Store) -> None:
    await store.command(
        "CREATE TABLE days (at DateTime64(3, 'UTC')) ENGINE = MergeTree"
        " PARTITION BY toYYYYMMDD(at) ORDER BY at"
    )
    days = [day * 86_400_000 for day in range(300)]
    await store.insert("days", {"at": days})
    assert await store.select("SELECT count() FROM days") == [(300,)]


async def test_a_mutation_does_not_sleep_between_the_parts_of_a_table(store: Store) -> None:
    await store.command(
        "CREATE TABLE many (day UInt16, who UInt16) ENGINE = MergeTree PARTITION BY day"
        " ORDER BY who"
    )
    await store.insert("many", {"day": list(range(120)), "who": list(range(120))})
    async with asyncio.timeout(7.0):  # as the engine does it by itself, it takes 18 s
        await store.mutate(
            "many", "ALTER TABLE many DELETE WHERE who = 7 SETTINGS mutations_sync = 2"
        )
    assert await store.select("SELECT count() FROM many") == [(119,)]
    with pytest.raises(Exception, match="nowhere"):
        await store.mutate("many", "ALTER TABLE many DELETE WHERE nowhere = 7")


async def test_a_wrong_statement_is_a_bug_and_not_weather(store: Store) -> None:
    with pytest.raises(Exception, match="UNKNOWN_TABLE") as trouble:
        await store.select("SELECT * FROM nowhere")
    assert not isinstance(trouble.value, Unavailable)


async def test_a_server_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    with started(tmp_path / "server", "--writable") as server:
        url = f"clickhouse://{server.host}:{server.port}/beleg"
        with pytest.raises(Misconfigured, match="no database beleg yet: run `beleg migrate`"):
            await Store.open(url, tmp_path)
        store = await Store.open(url, tmp_path, makes=True)
    with pytest.raises(Unavailable):
        await store.ready()
    with pytest.raises(Unavailable):
        await store.command("SELECT 1")
    await store.close()


def test_migrations_are_numbered_without_gaps_and_cut_into_statements() -> None:
    known = migrations()
    assert list(known) == list(range(1, len(known) + 1))
    for _, text in known.values():
        for part in statements(text):
            assert len(re.findall(r"^(?:CREATE|ALTER TABLE|INSERT INTO|DROP) ", part, re.M)) == 1
