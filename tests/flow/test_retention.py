"""What is over goes, and nothing else changes: not by a late event, a kill, or two at once."""

import asyncio
import random
from collections.abc import Sequence

import msgspec

from consent_rules.regime import Keeping
from processors.audit import audit
from processors.rebuild import rebuild
from processors.retention.over import believed_today, over_on
from processors.retention.retain import retain
from processors.site_days import site_days
from spine.digest import identifier_id
from spine.errors import Unavailable
from spine.log import Record
from spine.record import encode
from spine.store import Row, Store
from tests.clickhouse_server import Server
from tests.flow.aging import FIRST_DAY, KEPT, TODAY, receive_on, retained
from tests.flow.derived import START_MS, happenings, land, own_store, shown
from tests.flow.happenings import DAY_MS, HOUR_MS, Happening, Order, record, records
from tests.flow.passage import DyingStore, process
from tests.flow.test_consent_log import changes, on_a_log, sayings
from tests.flow.test_consent_log import shown as proofs_shown

_MONEY = "transaction_id, ordered_at, currency, gross, refunded, tax, status, verified"
_BEGUN = "(SELECT * FROM v_kpi_daily WHERE sessions + orders + leads > 0)"  # not only gone back
_DAYS = "date, channel_group, source, sessions, engaged_sessions, visitors, orders, gross, refunded"


async def whole_days(store: Store) -> list[list[Row]]:
    """What the views say of days that are not over."""
    since = f">= toDate({FIRST_DAY})"
    return [
        await store.select(f"SELECT {columns} FROM {view} WHERE toDate({at}) {since} ORDER BY ALL")
        for view, at, columns in (
            ("v_events", "occurred_at", "* EXCEPT (person_id)"),  # its device may be shared
            ("v_sessions", "started_at", "* EXCEPT (person_id)"),
            ("v_conversions", "occurred_at", "conversion_id, kind, visitor_id, session_id, value"),
            (_BEGUN, "addDays(date, -1)", _DAYS),  # days in Berlin
        )
    ]


async def proven(store: Store) -> None:
    """Every derived row is what its facts say, and every record has its fate."""
    assert [one async for part in audit(store) for one in part.differences] == []
    assert {(day.missing, day.unfated) for day in await site_days(store)} == {(0, 0)}


async def test_what_is_over_goes_and_days_that_are_not_say_what_they_said(
    clickhouse_server: Server, site: str
) -> None:
    async with own_store(clickhouse_server) as store:
        await land(store, site, happenings(site, seed=1, count=120), size=60)
        days = await whole_days(store)
        money = await store.select(f"SELECT {_MONEY} FROM v_orders ORDER BY ALL")
        proofs = await store.select("SELECT * FROM v_consent_log ORDER BY ALL")
        gone = {one.table: one.rows for one in await retained(store, site, TODAY)}
        assert all(gone.values()) and len(gone) == 5
        assert await whole_days(store) == days
        assert await store.select(f"SELECT {_MONEY} FROM v_orders ORDER BY ALL") == money
        assert await store.select("SELECT * FROM v_consent_log ORDER BY ALL") == proofs
        before = f"occurred_at < toDateTime64(toDate({FIRST_DAY - 1}), 3, 'UTC')"
        left = await store.select(
            "SELECT DISTINCT retention, isNull(anonymous_id) AND isNull(user_id), page_url,"
            f" visitor_id = user_key FROM events WHERE {before}"
        )
        assert left == [("accounting", 1, "", 1)]
        for table in ("visitor_facts", "lead_facts", "identity_evidence"):
            assert await store.select(f"SELECT count() FROM {table} WHERE {before}") == [(0,)]
        nobody = await store.select(
            f"SELECT DISTINCT retention, hex(visitor_id) FROM order_facts WHERE {before}"
        )
        assert nobody == [("accounting", "0" * 32)]
        assert await store.select(
            f"SELECT count() FROM visitor_days WHERE day < toDate({FIRST_DAY})"
        ) == [(0,)]
        await proven(store)
        assert await retained(store, site, TODAY) == []


async def test_a_rebuild_and_a_later_run_change_nothing(
    clickhouse_server: Server, site: str
) -> None:
    async with own_store(clickhouse_server) as store:
        await land(store, site, happenings(site, seed=2, count=120), size=60)
        await retained(store, site, TODAY)
        views = await shown(store, site)
        assert views["v_sessions"] and views["v_orders"] and views["v_persons"]
        async for _ in rebuild(store, chunk_rows=20):
            pass
        assert await shown(store, site) == views
        assert await retained(store, site, TODAY) == []
        assert await shown(store, site) == views


async def test_late_events_that_are_not_over_count_before_and_after_alike(
    clickhouse_server: Server, site: str
) -> None:
    told = happenings(site, seed=3, count=120)
    midnight_ms = FIRST_DAY * DAY_MS
    for number, minutes in enumerate((-20, -1, 5, 25, 54, 90)):  # a session over the horizon
        at_ms = midnight_ms + minutes * 60_000
        told.append(Happening(site, "page_view", f"m{number}", at_ms, anonymous_id="night"))
    late = [one for one in told if one.at_ms >= midnight_ms]
    random.Random(3).shuffle(late)
    late = [*late[:15], *(one for one in late[15:] if one.event_id in ("m2", "m3"))]
    early = [one for one in told if one not in late]
    found = []
    for last in (False, True):
        async with own_store(clickhouse_server) as store:
            await land(store, site, early, size=60)
            if last:
                await retained(store, site, TODAY)
            batch = records(late, first_offset=1000)
            await process(store, f"late-{site}", batch)
            if not last:
                await retained(store, site, TODAY)
            await proven(store)
            views = await shown(store, site)
            # Whether an order is a first one is told by the orders that are known when it gets old.
            views["v_kpi_daily"] = await store.select(
                "SELECT * EXCEPT (new_customers) FROM v_kpi_daily ORDER BY ALL"
            )
            found.append(views)
    assert found[0] == found[1]


async def _until_done(store: Store, site: str) -> int:
    """Run again and again, killed a statement later each time."""
    for calls in range(1, 200):
        dying = DyingStore(store, calls)
        try:
            everything = await over_on(dying, {site: KEPT}, TODAY)
            _ = [gone async for gone in retain(dying, everything)]
        except Unavailable:
            continue
        return calls
    raise AssertionError("it never comes to an end")


async def test_killed_at_any_statement_and_run_twice_at_once_it_ends_in_the_same_rows(
    clickhouse_server: Server, site: str
) -> None:
    told = happenings(site, seed=4, count=60)
    found = []
    for how in ("whole", "killed", "at once"):
        async with own_store(clickhouse_server) as store:
            await land(store, site, told, size=30)
            if how == "killed":
                assert await _until_done(store, site) > 20
            elif how == "at once":
                await asyncio.gather(*(retained(store, site, TODAY) for _ in range(2)))
            else:
                await retained(store, site, TODAY)
            await proven(store)
            found.append(await shown(store, site))
    assert found[0] == found[1] == found[2]


def _seen(site: str, device: str, hours: Sequence[int], stripped: bool) -> list[Happening]:
    return [
        Happening(
            site, "page_view", f"{device}{hour}{stripped}", FIRST_DAY * DAY_MS + hour * HOUR_MS,
            anonymous_id=device, stripped=stripped,
        )
        for hour in hours
    ]  # fmt: skip


async def test_classes_end_on_days_of_their_own(clickhouse_server: Server, site: str) -> None:
    async with own_store(clickhouse_server) as store:
        told = _seen(site, "a", (-30, -3, 3, 40), stripped=False)
        told += _seen(site, "a", (-31, -90), stripped=True)  # two days longer
        told += _seen(site, "b", (-80, -33), stripped=True)
        await land(store, site, told)
        await retained(store, site, TODAY)
        sessions = "SELECT started_at FROM v_sessions ORDER BY ALL"
        starts = [round(at.timestamp() - FIRST_DAY * 86_400) // 3600 for (at,) in
                  await store.select(sessions)]  # fmt: skip
        assert starts == [-33, -31, 3, 40]
        await proven(store)
        shown_before = await shown(store, site)
        async for _ in rebuild(store, chunk_rows=3):
            pass
        assert await shown(store, site) == shown_before


async def test_a_horizon_never_goes_back(clickhouse_server: Server, site: str) -> None:
    async with own_store(clickhouse_server) as store:
        await land(store, site, happenings(site, seed=5, count=40), size=40)
        await retained(store, site, TODAY)
        views = await shown(store, site)
        assert await retained(store, site, TODAY - 5) == []
        assert await shown(store, site) == views


async def test_nothing_names_a_device_or_an_order_that_is_over_a_day_later(
    clickhouse_server: Server, site: str
) -> None:
    keepings = {"usage": Keeping(days=10, source="law")}
    told = [
        Happening(site, "purchase", f"p{day}", (FIRST_DAY + day) * DAY_MS, anonymous_id=f"d{day}",
                  user_id="u", order=Order(f"t{day}", "10"))
        for day in (-5, 2)
    ]  # fmt: skip
    async with own_store(clickhouse_server) as store:
        await land(store, site, told)
        await retained(store, site, TODAY, keepings)
        for view, left in (("v_orders", 1), ("v_conversions", 1), ("v_events", 1)):
            assert await store.select(f"SELECT count() FROM {view}") == [(left,)]
        await store.command("INSERT INTO tokens SELECT 0, max(token) + 100000000000 FROM tokens")
        await retained(store, site, TODAY + 1, keepings)
        there = {identifier_id(site, *one) for one in (("anonymous_id", "d2"), ("user_id", "u"))}
        rows = await store.select("SELECT visitor_id FROM persons")
        assert {bytes(key) for (key,) in rows} == there
        assert await store.select("SELECT transaction_id FROM orders") == [("t2",)]
        await proven(store)


async def test_who_ordered_before_is_no_new_customer(clickhouse_server: Server, site: str) -> None:
    async with own_store(clickhouse_server) as store:
        told = [
            Happening(site, "purchase", f"p{day}", (FIRST_DAY + day) * DAY_MS, anonymous_id="a",
                      order=Order(f"t{day}", "10"))
            for day in (-5, 2, 4)
        ]  # fmt: skip
        await land(store, site, told)
        new = "SELECT date, new_customers FROM v_kpi_daily WHERE new_customers > 0"
        ((_, count),) = await store.select(new)
        assert count == 1
        await retained(store, site, TODAY)
        assert await store.select(new) == []
        orders = await store.select("SELECT transaction_id, gross, visitor_id IS NULL FROM v_orders"
                                    " ORDER BY ALL")  # fmt: skip
        assert [(one, int(gross), gone) for one, gross, gone in orders] == [
            ("t-5", 10, 1), ("t2", 10, 0), ("t4", 10, 0),
        ]  # fmt: skip


async def test_a_clock_that_is_ahead_makes_nothing_old(
    clickhouse_server: Server, site: str
) -> None:
    async with own_store(clickhouse_server) as store:
        await receive_on(store, site, TODAY, TODAY + 1)
        assert await believed_today(store, TODAY + 1) is None
        await receive_on(store, site, TODAY + 2)
        assert await believed_today(store, TODAY + 2) == TODAY
        assert await believed_today(store, TODAY + 3000) == TODAY  # ours, all others are right
        await receive_on(store, site, TODAY + 3000, TODAY + 3001)  # a collector's, for two days
        assert await believed_today(store, TODAY + 3001) == TODAY + 2
        assert await believed_today(store, TODAY - 40) == TODAY - 40  # it only waits


async def test_what_may_be_read_again_stays_until_it_cannot(
    clickhouse_server: Server, site: str
) -> None:
    old = Happening(site, "page_view", "old", (FIRST_DAY - 5) * DAY_MS, anonymous_id="a")
    told = record(old)
    imported = msgspec.structs.replace(told, received_ms=(TODAY - 1) * DAY_MS)
    async with own_store(clickhouse_server) as store:
        batch = [Record(0, 0, encode(imported), 0)]
        await process(store, f"log-{site}", batch)
        await retained(store, site, TODAY)
        assert await store.select("SELECT count() FROM v_sessions") == [(0,)]
        await process(store, f"log-{site}", batch)  # read again after a crash
        await proven(store)
        gone = await retained(store, site, TODAY + 9)
        assert [(one.table, one.rows) for one in gone if one.rows] == [("events", 1)]
        await process(store, f"log-{site}", [Record(0, 1, batch[0].value, 0)])  # and sent again
        fates = await store.select("SELECT fate, code FROM fates FINAL ORDER BY log_offset")
        assert fates == [("erased", "retention_over"), ("duplicate", "duplicate_copy")]
        await proven(store)


async def test_what_proves_consent_is_shown_as_before_and_for_its_own_days(
    clickhouse_server: Server,
) -> None:
    spread = [
        said._replace(at_ms=START_MS + (said.at_ms - START_MS) * HOUR_MS // 6)
        for said in sayings(random.Random(7), 40)
    ]  # over nearly three days
    async with own_store(clickhouse_server) as store:
        await process(store, "log", on_a_log(spread))
        for today in (TODAY - 1, TODAY, TODAY + 1):  # the days go one by one
            assert await retained(store, "shop", today)
            assert await proofs_shown(store) == changes(spread)
        assert await store.select("SELECT count() FROM events") == [(0,)]
        await retained(store, "shop", TODAY, {"proof": Keeping(days=10, source="law")})
        since_ms = (FIRST_DAY - 1) * DAY_MS
        assert await proofs_shown(store)
        assert await store.select(
            "SELECT count() FROM consent_rows"
            f" WHERE received_at < fromUnixTimestamp64Milli({since_ms})"
        ) == [(0,)]
