"""What a collector took before it knew of a withdrawal: it never lands, and the ledger balances."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

import msgspec
import pytest
from msgspec.structs import replace

from collector.admit import admit
from collector.known import Known
from processors import logs
from processors.audit import audit
from processors.balance import balance
from processors.loop import Processor
from processors.site import Site
from processors.sites import sites_of
from spine.control.followed import Control, followed
from spine.control.withdrawal import ALL, EVERYTHING, NOTHING, Withdrawn
from spine.digest import identifier_id
from spine.embedded.control import EmbeddedControl
from spine.embedded.log import EmbeddedLog
from spine.errors import Unavailable
from spine.log import Entry, Range
from spine.metrics import Metrics
from spine.record import EventRecord
from spine.settings import SiteSettings
from spine.store import Store
from tests.clickhouse_server import Server
from tests.flow.derived import own_store, shown
from tests.flow.happenings import Happening, record
from tests.flow.passage import DyingStore
from tests.flow.small_log import append, small_log
from tests.unit.collector.given import ANALYTICS, NOW_MS, RECEIPT, claims, purchase, source

T_MS = 1_711_756_800_000


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EmbeddedLog]:
    async with small_log(tmp_path / "log.sqlite") as opened:
        yield opened


def taken(
    event_id: str, at_ms: int, device: str | None, user: str | None = None, **stamp: object
) -> EventRecord:
    told = record(Happening("shop", "page_view", event_id, at_ms, "browser", device, user))
    granted = {"purposes": ("analytics",), **stamp}
    return msgspec.structs.replace(told, stamp=msgspec.structs.replace(told.stamp, **granted))


async def work(
    store: Store,
    log: EmbeddedLog,
    log_id: str,
    control: Control,
    sites: Mapping[str, Site] = MappingProxyType({}),
) -> dict[str, int]:
    """Let a processor work until it has nothing left to do; give the fates."""
    processor = Processor(log, log_id, store, sites, control, Metrics("test"))
    running = asyncio.create_task(processor.run())
    async with asyncio.timeout(60):
        while True:
            (one,) = await balance(store, log_id, await log.bounds())
            if one.pending == 0:
                break
            await asyncio.sleep(0.05)
            if running.done():
                running.result()
    await processor.finish(running)
    assert one.unbalanced is None
    return {fate: count for fate, count in one.fates.items() if count}


async def test_it_is_erased_and_everything_before_and_after_is_not(
    log: EmbeddedLog, clickhouse_server: Server
) -> None:
    async with (
        own_store(clickhouse_server) as store,
        followed(EmbeddedControl(log._path)) as control,
    ):
        log_id = await logs.register(store, log, uuid4().hex[:16])
        device = identifier_id("shop", "anonymous_id", "d1")
        await control.enter(device, (), (EVERYTHING,), T_MS + 10)
        await control.enter(device, ("analytics",), (), T_MS + 20)
        user = identifier_id("shop", "user_id", "u1")
        await control.enter(user, (), ("analytics",), T_MS + 10)
        await append(
            log,
            [
                taken("before", T_MS + 9, "d1"),
                taken("tie", T_MS + 10, "d1"),
                taken("between", T_MS + 15, "d1"),
                taken("tie of the grant", T_MS + 20, "d1"),
                taken("after", T_MS + 21, "d1"),
                taken("other device", T_MS + 15, "d2"),
                taken("other purpose", T_MS + 15, "d3", "u1", purposes=("crm_matching",)),
                taken("user", T_MS + 15, "d3", "u1"),
                taken("user alone", T_MS + 15, None, "u1"),
                taken("stripped", T_MS + 15, None, purposes=(), kept="stripped"),
                # Under rules of opt-out nobody is asked.
                taken("not asked", T_MS + 15, "d1", purposes=()),
                taken("other, not asked", T_MS + 15, "d2", purposes=()),
            ],
        )
        # A copy that was received before does not fall with the one that comes first on the log.
        await append(log, [taken("copy", T_MS + 15, "d1"), taken("copy", T_MS + 8, "d1")])
        fates = await work(store, log, log_id, control)
        assert fates == {"stored": 8, "erased": 6}
        events = await store.select("SELECT event_id FROM events FINAL ORDER BY event_id")
        assert [row[0] for row in events] == [
            "after", "before", "copy", "other device", "other purpose", "other, not asked",
            "stripped", "tie of the grant",
        ]  # fmt: skip
        for table in ("events", "visitor_facts", "seen", "identity_evidence"):
            rows = await store.select(
                f"SELECT count() FROM {table} WHERE hex(identity) IN ("
                f"'{taken('between', 0, 'd1').identity.upper()}',"
                f"'{taken('user', 0, 'd3').identity.upper()}')"
            )
            assert rows == [(0,)], table
        codes = await store.select(
            "SELECT code, count(), countIf(identity = toFixedString('', 16)) FROM fates FINAL"
            " WHERE fate = 'erased' GROUP BY code"
        )
        assert codes == [("withdrawn_before", 6, 6)]


def sale(number: int, received_ms: int, withdrawn: Withdrawn = NOTHING, **more: object) -> Entry:
    """What a collector takes of a purchase, knowing this of what was withdrawn."""
    event = purchase(event_id=f"e{number}", anonymous_id="d1", user_id="u1", **more)
    event |= {"consent": ANALYTICS, "commerce": purchase()["commerce"] | {"transaction_id": "T1"}}
    receipt = replace(RECEIPT, received_ms=received_ms)
    admission = admit(claims(event), receipt, source(), known=Known(lambda *_: withdrawn))
    (entry,) = admission.admitted
    return entry


async def test_an_order_lands_as_if_its_collector_had_known(
    log: EmbeddedLog, clickhouse_server: Server, tmp_path: Path
) -> None:
    """Its copies, too; and a processor that dies behind the rows reads it again to the same end."""
    sites = sites_of({"shop": SiteSettings(consent="eu")})
    async with (
        small_log(tmp_path / "known.sqlite") as known,
        own_store(clickhouse_server) as store,
        own_store(clickhouse_server) as other,
        followed(EmbeddedControl(log._path)) as control,
    ):
        device = identifier_id("shop", "anonymous_id", "d1")
        await control.enter(device, (), (EVERYTHING,), NOW_MS)
        late = [(0, NOW_MS - 1), (1, NOW_MS), (1, NOW_MS + 5), (2, NOW_MS + 9), (0, NOW_MS + 9)]
        await log.append([sale(number, at_ms) for number, at_ms in late])
        # The last two are retries that came when it was known.
        await log.append([sale(number, NOW_MS + 5_000, ALL) for number in (1, 2)])
        for number, at_ms in late:
            await known.append([sale(number, at_ms, ALL if at_ms >= NOW_MS else NOTHING)])
        await known.append([sale(number, NOW_MS + 5_000, ALL) for number in (1, 2)])
        log_id = await logs.register(store, log, uuid4().hex[:16])
        fates = await work(store, log, log_id, control, sites)
        assert fates == {"stored": 3, "duplicate": 4}
        await logs.register(other, known, log_id)
        assert await work(other, known, log_id, control, sites) == fates
        assert await shown(store, "shop") == await shown(other, "shop")
        codes = "SELECT log_offset, fate, code FROM fates FINAL ORDER BY log_offset"
        assert await store.select(codes) == await other.select(codes)
        rows = await store.select(
            "SELECT event_id, consent_rule, anonymous_id, value, hex(visitor_id) = repeat('0', 32)"
            " FROM events FINAL ORDER BY event_id"
        )
        assert [(*row[:3], row[4]) for row in rows] == [
            ("e0", "consented", "d1", 0),
            ("e1", "accounting", None, 1),
            ("e2", "accounting", None, 1),
        ]
        before = await shown(store, "shop")
        processor = Processor(log, log_id, store, sites, control, Metrics("test"))
        await processor.take_range(Range(0, 1, 8), 3)  # as after a crash before the ledger line
        assert await shown(store, "shop") == before


@pytest.mark.parametrize("calls", range(1, 12))
async def test_what_had_half_landed_when_it_was_withdrawn_is_taken_out(
    log: EmbeddedLog, clickhouse_server: Server, calls: int
) -> None:
    """A processor dies at each of its calls; then somebody withdraws, by a time before receipt."""
    sites = sites_of({"shop": SiteSettings(consent="eu")})
    async with (
        own_store(clickhouse_server) as store,
        followed(EmbeddedControl(log._path)) as control,
    ):
        log_id = await logs.register(store, log, uuid4().hex[:16])
        seen = taken("seen", NOW_MS + 5, "d1", "u1")
        lead = msgspec.structs.replace(
            record(Happening("shop", "generate_lead", "lead", NOW_MS + 5, "browser", "d1", "u1")),
            stamp=seen.stamp,
        )
        await append(log, [seen, lead])
        await log.append([sale(1, NOW_MS + 5)])
        dying = Processor(log, log_id, DyingStore(store, calls), sites, control, Metrics("test"))
        with contextlib.suppress(Unavailable):
            await dying.take_range(Range(0, 0, 3), 3)
        landed_whole = await store.select("SELECT count() FROM seen") != [(0,)]
        await control.enter(identifier_id("shop", "anonymous_id", "d1"), (), (EVERYTHING,), NOW_MS)
        for _ in range(2):  # as after one more crash
            again = Processor(log, log_id, store, sites, control, Metrics("test"))
            await again.take_range(Range(0, 0, 3), 3)
        rows = await store.select("SELECT event_id, consent_kept FROM events FINAL ORDER BY 1")
        if landed_whole:  # then it had landed, before anybody had withdrawn anything
            assert len(rows) == 3
            return
        assert rows == [("e1", "stripped")]
        for table in ("visitor_facts", "lead_facts", "identity_evidence"):
            assert await store.select(f"SELECT count() FROM {table}") == [(0,)], table
        reports = "SELECT DISTINCT visitor_id = toFixedString('', 16) FROM order_facts"
        assert await store.select(reports) == [(1,)]
        for view in ("v_sessions", "v_persons"):
            assert await store.select(f"SELECT count() FROM {view}") == [(0,)], view
        assert [one async for part in audit(store) for one in part.differences] == []


async def test_what_has_no_rules_here_is_erased(
    log: EmbeddedLog, clickhouse_server: Server, tmp_path: Path
) -> None:
    rules = tmp_path / "gone.toml"
    sites = sites_of({"shop": SiteSettings(consent=str(rules))})
    async with (
        own_store(clickhouse_server) as store,
        followed(EmbeddedControl(log._path)) as control,
    ):
        log_id = await logs.register(store, log, uuid4().hex[:16])
        await control.enter(identifier_id("shop", "user_id", "u1"), (), ("analytics",), NOW_MS)
        await log.append([sale(1, NOW_MS)])
        assert await work(store, log, log_id, control, sites) == {"erased": 1}


async def test_a_processor_knows_what_was_durable_before_its_batch(
    log: EmbeddedLog, clickhouse_server: Server
) -> None:
    """Whoever wrote the withdrawal: here another one on the same file, a moment before."""
    async with (
        own_store(clickhouse_server) as store,
        followed(EmbeddedControl(log._path)) as control,
        followed(EmbeddedControl(log._path)) as other,
    ):
        log_id = await logs.register(store, log, uuid4().hex[:16])
        for number in range(8):
            name = f"d{number}"
            await other.enter(identifier_id("shop", "anonymous_id", name), (), ("*",), T_MS)
            await append(log, [taken(f"e{number}", T_MS + 1, name)])
            await work(store, log, log_id, control)
        assert await store.select("SELECT count() FROM events") == [(0,)]
