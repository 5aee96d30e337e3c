"""Chains longer than the window that is read first, and facts that come while it is read."""

import asyncio
import random
from itertools import pairwise

import pytest

from processors.ledger import next_token
from spine.store import Row, Store
from tests.flow.derive_model import outcome
from tests.flow.happenings import DAY_MS, Happening, records
from tests.flow.passage import enter_site, process, rough_passage
from tests.flow.views import found

MIDNIGHT_MS = 1_711_756_800_000
MINUTE_MS = 60_000


def views(site: str, *instants_ms: int) -> list[Happening]:
    return [
        Happening(site, "page_view", f"e{at_ms}", at_ms, anonymous_id="a") for at_ms in instants_ms
    ]


async def derived(store: Store, site: str, batches: list[list[Happening]]) -> None:
    """Feed these batches one after the other; the views must equal the model after each."""
    await enter_site(store, site)
    told: list[Happening] = []
    for batch in batches:
        await process(store, f"log-{site}", records(batch, first_offset=len(told)))
        told += batch
        assert await found(store, site) == outcome(told)


@pytest.mark.parametrize("seed", range(2))
async def test_a_chain_over_days_is_one_session_in_any_order(
    store: Store, site: str, seed: int
) -> None:
    told = views(site, *range(MIDNIGHT_MS, MIDNIGHT_MS + 4 * DAY_MS, 29 * MINUTE_MS))
    chance = random.Random(seed)
    chance.shuffle(told)
    await enter_site(store, site)
    await rough_passage(store, f"log-{site}", records(told), chance)
    shown = await found(store, site)
    assert shown == outcome(told)
    assert len(shown.sessions) == 1
    assert shown.sessions[0].events == len(told)


async def test_one_late_event_joins_two_chains_of_several_days(store: Store, site: str) -> None:
    before = range(MIDNIGHT_MS - 2 * DAY_MS, MIDNIGHT_MS, 30 * MINUTE_MS)
    after = range(MIDNIGHT_MS + 30 * MINUTE_MS, MIDNIGHT_MS + 2 * DAY_MS, 30 * MINUTE_MS)
    await derived(
        store,
        site,
        [views(site, *before), views(site, *after), views(site, MIDNIGHT_MS)],
    )


@pytest.mark.parametrize("gap_ms", [1_799_999, 1_800_000, 1_800_001])
@pytest.mark.parametrize("edge_days", [-1, 0, 1, 2])
async def test_a_gap_is_judged_alike_across_every_edge_of_the_window(
    store: Store, site: str, gap_ms: int, edge_days: int
) -> None:
    edge_ms = MIDNIGHT_MS + edge_days * DAY_MS
    chain = [edge_ms - gap_ms, edge_ms, edge_ms + gap_ms]
    noon = views(site, MIDNIGHT_MS + DAY_MS // 2)
    await derived(store, site, [views(site, chain[0]), noon, views(site, *chain[:0:-1])])


async def test_a_bridge_over_midnight_empties_the_day_it_leaves(store: Store, site: str) -> None:
    quarter_ms = 15 * MINUTE_MS
    await derived(
        store,
        site,
        [
            views(site, MIDNIGHT_MS + quarter_ms, MIDNIGHT_MS + 5 * quarter_ms),
            views(site, MIDNIGHT_MS - quarter_ms),
            views(site, MIDNIGHT_MS + 3 * quarter_ms),
            views(site, MIDNIGHT_MS - 2 * quarter_ms, MIDNIGHT_MS + 12 * quarter_ms),
        ],
    )


async def test_the_first_and_the_last_day_of_all_have_sessions_too(store: Store, site: str) -> None:
    year_2100_ms = 4_102_444_800_000
    await asyncio.wait_for(
        derived(
            store,
            site,
            [
                views(site, 0, 1, 10 * MINUTE_MS),
                views(site, year_2100_ms, year_2100_ms - MINUTE_MS),
                views(site, 40 * MINUTE_MS + 1, 1_800_000 - 1),
            ],
        ),
        30,
    )
    days = await store.select(
        "SELECT date, sessions FROM v_kpi_daily WHERE site = {site:String} ORDER BY date",
        {"site": site},
    )
    assert [row[1] for row in days] == [1, 1]


async def test_ten_thousand_visitors_fit_into_one_batch(store: Store, site: str) -> None:
    """Their digests make a statement longer than an engine reads by default."""
    told = [
        Happening(site, "page_view", f"e{n}", MIDNIGHT_MS, anonymous_id=f"a{n}")
        for n in range(10_000)
    ]
    await process(store, f"log-{site}", records(told))
    ((sessions,),) = await store.select(
        "SELECT count() FROM v_sessions WHERE site = {site:String}", {"site": site}
    )
    assert sessions == 10_000


class InterruptedStore(Store):
    """The real store, for a deriver that is overtaken just after it has looked at the edges."""

    def __init__(self, store: Store, log_id: str, meanwhile: list[Happening]) -> None:
        super().__init__(store._writer, store._reader, store.path)
        self._store, self._log_id, self._meanwhile = store, log_id, meanwhile

    async def select_after_write(self, sql: str) -> list[Row]:
        rows = await super().select_after_write(sql)
        if "might cut a chain" in sql and self._meanwhile:
            overtaking, self._meanwhile = self._meanwhile, []
            await process(self._store, self._log_id, records(overtaking, first_offset=1000))
        return rows


async def test_what_lands_beyond_the_window_while_it_is_read_wins(store: Store, site: str) -> None:
    """Both batches touch one chain; the overtaken one read less, so its version must be lower."""
    day, late = MIDNIGHT_MS + DAY_MS, MIDNIGHT_MS - DAY_MS
    slow = views(site, day - 10 * MINUTE_MS, day + 10 * MINUTE_MS)
    fast = views(site, MIDNIGHT_MS - 5 * MINUTE_MS, MIDNIGHT_MS + 5 * MINUTE_MS, late - 1, late + 1)
    await enter_site(store, site)
    await process(InterruptedStore(store, f"log-{site}", fast), f"log-{site}", records(slow))
    assert await found(store, site) == outcome([*slow, *fast])


async def test_versions_rise_even_when_the_clock_is_put_back(store: Store) -> None:
    ahead = await next_token(store) + 5_000_000
    await store.command(f"INSERT INTO tokens VALUES (0, {ahead})")
    taken = [ahead, *[await next_token(store) for _ in range(5)]]
    assert all(earlier < later for earlier, later in pairwise(taken))


async def test_windows_of_very_many_days_are_judged_alike(store: Store, site: str) -> None:
    """More days than stand in a statement one by one; each chain crosses its window's edge."""
    long, late = [], []
    for number in range(40):
        at_ms = MIDNIGHT_MS + 4 * number * DAY_MS
        hour_ms = 60 * MINUTE_MS
        chain = range(at_ms - DAY_MS - hour_ms, at_ms + hour_ms, 29 * MINUTE_MS)
        seen = [one._replace(anonymous_id=f"a{number}") for one in views(site, *chain)]
        long += seen
        late.append(seen[-1]._replace(event_id=f"late{number}", at_ms=chain[-1] + MINUTE_MS))
    await derived(store, site, [long, late])
