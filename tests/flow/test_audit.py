"""An audit finds what differs from the facts, names it, and finds nothing else."""

from collections.abc import Sequence
from pathlib import Path

from processors.audit import Difference, audit
from processors.keys import DAYS
from spine.store import Store
from tests.clickhouse_server import Server
from tests.flow.derived import START_MS, happenings, land, make_up, own_store, spoil
from tests.flow.happenings import DAY_MS
from tests.flow.houses import SERVER_KEY, embedded_house

FIRST_DAY = START_MS // DAY_MS


async def differences(store: Store, days: tuple[int, int] = DAYS) -> list[Difference]:
    return [one async for part in audit(store, days) for one in part.differences]


def told(found: Sequence[Difference], table: str) -> set[str]:
    return {one.field for one in found if one.table == table}


async def test_what_live_deriving_wrote_is_right_and_what_was_spoiled_is_named(
    clickhouse_server: Server, site: str
) -> None:
    async with own_store(clickhouse_server) as store:
        await land(store, site, happenings(site, seed=1, count=80), size=20)
        rows = [part.rows async for part in audit(store)]
        assert len(rows) == 3 and all(rows)
        for first in range(FIRST_DAY, FIRST_DAY + 7, 2):
            assert await differences(store, (first, first + 1)) == []
        assert await differences(store) == []

        await make_up(store, site)
        ghosts = await differences(store)
        assert {one.table for one in ghosts} == {"visitor_days", "orders", "persons"}
        assert {(one.field, one.derived) for one in ghosts} == {("row", "-")}
        await spoil(store, site)
        found = await differences(store)
        assert "row" in told(found, "visitor_days")
        assert told(found, "orders") >= {"gross", "row"}
        assert told(found, "persons") == {"row"}
        gross = [one for one in found if one.field == "gross"]
        assert gross and all(one.stored == "1234.0000" for one in gross)


async def test_each_field_of_a_session_is_compared(clickhouse_server: Server, site: str) -> None:
    async with own_store(clickhouse_server) as store:
        await land(store, site, happenings(site, seed=2, count=20), size=20)
        await store.command(
            "INSERT INTO visitor_days SELECT 'other', visitor_id, day, arrayMap("
            "x -> tuple(x.1, x.2 + 1, x.3 + 1, x.4 + 1, 1 - x.5, '?', '?', '?', '?', '?', '?',"
            " '?', 1 + x.13, '?', '?'), sessions_of_day), version + 1"
            " FROM visitor_days FINAL WHERE notEmpty(sessions_of_day)"
        )
        found = await differences(store)
        assert told(found, "visitor_days") == {
            "ended_at", "events", "page_views", "engaged", "source", "medium", "campaign",
            "channel_group", "click_id_name", "click_id", "landing_page", "furthest_step",
            "device", "place", "site",
        }  # fmt: skip
        assert {one.stored for one in found if one.field == "source"} == {"?"}


async def test_only_the_period_is_looked_at(clickhouse_server: Server, site: str) -> None:
    async with own_store(clickhouse_server) as store:
        await land(store, site, happenings(site, seed=3, count=60), size=20)
        await store.command(
            "INSERT INTO visitor_days SELECT site, visitor_id, day, [], version + 1"
            f" FROM visitor_days FINAL WHERE day = toDate({FIRST_DAY + 2})"
        )
        assert await differences(store, (FIRST_DAY + 3, FIRST_DAY + 6)) == []
        assert await differences(store, (FIRST_DAY, FIRST_DAY + 1)) == []
        found = await differences(store, (FIRST_DAY + 2, FIRST_DAY + 2))
        assert found and told(found, "visitor_days") == {"row"}


def test_the_command_asks_the_running_process_and_the_directory(tmp_path: Path) -> None:
    event = (
        '{"name": "purchase", "event_id": "e%d", "occurred_at": "2026-01-0%dT10:00:00Z",'
        ' "anonymous_id": "a%d", "user_id": "u", "page": {"url": "https://shop.example/"},'
        ' "commerce": {"transaction_id": "t%d", "currency": "EUR", "value": 10},'
        ' "consent": {"purposes": {"analytics": true}}}\n'
    )
    file = tmp_path / "events.ndjson"
    file.write_text("".join(event % (n, n, n, n) for n in range(1, 5)))
    with embedded_house(tmp_path) as house:
        house.run("send", str(file), "--url", house.url, "--key", SERVER_KEY)
        house.wait_until("SELECT sum(next_offset) FROM ledger", 4)
        assert "12 derived rows, 0 differences" in house.run("audit").stdout
        assert house.running["run"].end() == 0
        assert "12 derived rows, 0 differences" in house.run("audit").stdout
        part = house.run("audit", "--from", "2026-01-02", "--to", "2026-01-03").stdout
        assert "6 derived rows, 0 differences" in part
        empty = house.run("audit", "--from", "2026-01-03", "--to", "2026-01-02", check=False)
        assert empty.returncode == 2
        assert "--from" in empty.stderr
