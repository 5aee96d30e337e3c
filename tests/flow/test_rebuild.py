"""A rebuild gives what live deriving gave, whatever happened to the derived rows."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from processors.ledger import next_token
from processors.rebuild import is_due, rebuild
from spine.errors import Misconfigured, Unavailable
from spine.store import DERIVE_VERSION, Store
from tests.clickhouse_server import Server
from tests.flow.derive_model import outcome
from tests.flow.derived import happenings, land, own_store, shown, spoil
from tests.flow.houses import SERVER_KEY, embedded_house, kafka_house
from tests.flow.passage import DyingStore
from tests.flow.views import found
from tests.kafka_broker import Broker


@pytest.fixture(params=["embedded", pytest.param("http", marks=pytest.mark.long)])
async def either(
    request: pytest.FixtureRequest, store: Store, clickhouse_server: Server
) -> AsyncIterator[Store]:
    if request.param == "embedded":
        await _forget(store)  # a rebuild is of everything, also of what other tests have landed
        yield store
        return
    async with own_store(clickhouse_server) as opened:
        yield opened


async def _forget(store: Store) -> None:
    for table in (
        "visitor_facts", "order_facts", "identity_evidence", "visitor_days", "orders", "persons",
    ):  # fmt: skip
        await store.command(f"TRUNCATE TABLE {table}")


async def rebuilt(store: Store, chunk_rows: int = 15) -> list[str]:
    return [step.table async for step in rebuild(store, chunk_rows)]


async def test_a_rebuild_changes_no_view(either: Store, site: str) -> None:
    told = happenings(site, seed=1, count=80)
    await land(either, site, told)
    before = await shown(either, site)
    assert before["v_sessions"] and before["v_orders"] and before["v_persons"]
    tables = await rebuilt(either)
    assert tables.count("visitor_days") > 1 and tables.count("orders") > 1
    assert await shown(either, site) == before
    assert await found(either, site) == outcome(told)


async def test_spoiled_rows_are_put_right(either: Store, site: str) -> None:
    await land(either, site, happenings(site, seed=2, count=80))
    before = await shown(either, site)
    await spoil(either, site)
    spoiled = await shown(either, site)
    assert all(spoiled[view] != before[view] for view in ("v_sessions", "v_orders", "v_persons"))
    await rebuilt(either)
    assert await shown(either, site) == before


async def test_what_lands_after_a_rebuild_of_spoiled_rows_is_derived(
    either: Store, site: str
) -> None:
    told = happenings(site, seed=3, count=80)
    await land(either, site, told[:40], size=40)
    await spoil(either, site)
    await rebuilt(either)
    await land(either, site, told, size=80)
    assert await found(either, site) == outcome(told)


async def test_an_interrupted_rebuild_leaves_right_rows_and_can_be_repeated(
    clickhouse_server: Server, site: str
) -> None:
    async with own_store(clickhouse_server) as store:
        await land(store, site, happenings(site, seed=4, count=60), size=20)
        before = await shown(store, site)
        for calls in (1, 4, 9, 14):
            with pytest.raises(Unavailable):
                await rebuilt(DyingStore(store, calls))
            assert await shown(store, site) == before
        await rebuilt(store)
        assert await shown(store, site) == before


@pytest.mark.long
async def test_processors_may_go_on_meanwhile(clickhouse_server: Server, site: str) -> None:
    told = happenings(site, seed=5, count=72)
    async with own_store(clickhouse_server) as store:
        landing = asyncio.create_task(land(store, site, told, size=4))
        rounds = 0
        while not landing.done():
            await rebuilt(store)
            rounds += 1
        await landing
        assert rounds > 1
        assert await found(store, site) == outcome(told)
        before = await shown(store, site)
        await rebuilt(store)
        assert await shown(store, site) == before


async def test_a_version_that_none_can_pass_is_told(clickhouse_server: Server, site: str) -> None:
    async with own_store(clickhouse_server) as store:
        await land(store, site, happenings(site, seed=6, count=9))
        await store.command(
            "INSERT INTO orders SELECT * REPLACE (18446744073709551615 AS version)"
            " FROM orders FINAL LIMIT 1"
        )
        with pytest.raises(Misconfigured, match="18446744073709551615"):
            await rebuilt(store)


async def test_rows_of_an_older_program_are_due_until_a_rebuild_has_ended(
    clickhouse_server: Server,
) -> None:
    async with own_store(clickhouse_server) as store:
        assert not await is_due(store)
        await store.command("INSERT INTO derive_versions SELECT 0, now64(3, 'UTC')")
        assert await is_due(store)
        with pytest.raises(Unavailable):
            await rebuilt(DyingStore(store, 5))
        assert await is_due(store)
        await rebuilt(store)
        assert not await is_due(store)


async def test_a_running_processor_stops_when_a_newer_program_derives(
    clickhouse_server: Server,
) -> None:
    async with own_store(clickhouse_server) as store:
        await next_token(store)
        newer = DERIVE_VERSION + 1
        await store.command(f"INSERT INTO derive_versions SELECT {newer}, now64(3, 'UTC')")
        with pytest.raises(Misconfigured, match="newer program"):
            await next_token(store)


def _in_the_store(data_dir: Path, sql: str) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from spine.store import Store\n"
        "async def main():\n"
        "    store = await Store.open('embedded', Path(sys.argv[1]))\n"
        "    await store.command(sys.argv[2])\n"
        "    await store.close()\n"
        "asyncio.run(main())"
    )
    subprocess.run([sys.executable, "-c", program, str(data_dir), sql], check=True, timeout=60)


def _events(directory: Path) -> str:
    event = (
        '{"name": "purchase", "event_id": "e%d", "occurred_at": "2026-01-0%dT10:00:00Z",'
        ' "anonymous_id": "a%d", "page": {"url": "https://shop.example/"},'
        ' "commerce": {"transaction_id": "t%d", "currency": "EUR", "value": 10},'
        ' "consent": {"purposes": {"analytics": true}}}\n'
    )
    file = directory / "events.ndjson"
    file.write_text("".join(event % (n, n, n, n) for n in range(1, 9)))
    return str(file)


def test_run_rebuilds_by_itself_and_the_command_when_nothing_runs(tmp_path: Path) -> None:
    with embedded_house(tmp_path) as house:
        house.run("send", _events(tmp_path), "--url", house.url, "--key", SERVER_KEY)
        house.wait_until("SELECT count() FROM v_orders", 8)
        sessions = house.ask("SELECT * FROM v_sessions ORDER BY ALL")
        refused = house.run("rebuild", check=False)
        assert refused.returncode == 2
        assert "beleg run" in refused.stderr
        assert house.running["run"].end() == 0

        _in_the_store(tmp_path / "data", "DELETE FROM orders WHERE transaction_id != 't1'")
        house.run("rebuild")
        _in_the_store(tmp_path / "data", "INSERT INTO derive_versions SELECT 0, now64(3)")
        _in_the_store(tmp_path / "data", "TRUNCATE TABLE rebuilds")
        _in_the_store(tmp_path / "data", "TRUNCATE TABLE visitor_days")
        house.start("run")
        house.wait_until("SELECT count() FROM rebuilds", 1)
        house.wait_until("SELECT count() FROM v_sessions", len(sessions))
        assert house.ask("SELECT count(), sum(gross) FROM v_orders") == [(8, 80)]
        assert house.ask("SELECT * FROM v_sessions ORDER BY ALL") == sessions
        assert house.running["run"].end() == 0
        assert any('"event":"rebuild"' in line for line in house.running["run"].lines)


def test_migrate_rebuilds_and_an_older_processor_stops(
    tmp_path: Path, kafka_broker: Broker
) -> None:
    with kafka_house(tmp_path, kafka_broker) as house:
        house.run("send", _events(tmp_path), "--url", house.url, "--key", SERVER_KEY)
        house.wait_until("SELECT count() FROM v_orders", 8)
        before = house.ask("SELECT * FROM v_sessions ORDER BY ALL")
        with house.client() as client:
            client.command("TRUNCATE TABLE visitor_days")
            client.command("INSERT INTO derive_versions SELECT 0, now64(3, 'UTC')")
        assert "older version" in house.run("migrate").stdout
        assert house.ask("SELECT * FROM v_sessions ORDER BY ALL") == before
        assert "older version" not in house.run("migrate").stdout
        house.run("rebuild")
        assert "16 derived rows, 0 differences" in house.run("audit").stdout

        with house.client() as client:
            newer = DERIVE_VERSION + 1
            client.command(f"INSERT INTO derive_versions SELECT {newer}, now64(3, 'UTC')")
        house.run("send", _events(tmp_path), "--url", house.url, "--key", SERVER_KEY)
        house.running["process"].popen.wait(30)
        assert house.running["process"].end() == 2
        assert "run the newer program" in house.running["process"].lines[-1]
