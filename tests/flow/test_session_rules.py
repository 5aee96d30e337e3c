"""Sessions by the rules of other tools, and a rule that is changed."""

import random
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from processors.audit import audit
from processors.rebuild import is_due, rebuild
from processors.session_rules import SessionRule, begin_with_rules, put_in_force, waiting
from processors.site import Site
from spine.settings import SiteSettings
from spine.store import Store
from tests.clickhouse_server import Server
from tests.flow.derive_model import outcome
from tests.flow.derived import happenings, land, own_store
from tests.flow.happenings import DAY_MS, HOUR_MS, Happening, records
from tests.flow.passage import enter_site, process, rough_passage
from tests.flow.session_model import GA4, Rule
from tests.flow.test_derive_sessions import CASES, NOON_MS, told_in
from tests.flow.views import found

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")
MINUTE_MS = 60_000


async def set_rule(store: Store, site: str, timezone: str = "Europe/Berlin", **rule: Any) -> None:
    """What a process does when it starts for the first time with such a site."""
    await enter_site(store, site, timezone=timezone)
    await begin_with_rules(store, {site: SiteSettings(timezone=timezone, **rule)})


async def _starts(store: Store, site: str) -> list[int]:
    rows = await store.select(
        "SELECT toUnixTimestamp64Milli(started_at) FROM v_sessions WHERE site = {site:String}"
        " ORDER BY started_at",
        {"site": site},
    )
    return [int(row[0]) for row in rows]


@pytest.mark.parametrize("rule", ["matomo", "universal"])
@pytest.mark.parametrize(
    "case", [case for case in CASES if "matomo" in case], ids=lambda case: case["id"]
)
async def test_other_tools_cut_where_campaigns_change(
    store: Store, site: str, case: dict[str, Any], rule: str
) -> None:
    await set_rule(store, site, session_rule=rule)
    await process(store, f"log-{site}", records(told_in(site, case)))
    assert len(await _starts(store, site)) == case["matomo"]


def views(site: str, *instants_ms: int, **more: Any) -> list[Happening]:
    return [
        Happening(site, "page_view", f"e{at_ms}", at_ms, anonymous_id="a")._replace(**more)
        for at_ms in instants_ms
    ]


def came(site: str, at_ms: int, referrer: str, query: str = "") -> Happening:
    told = Happening(site, "page_view", f"e{at_ms}", at_ms, anonymous_id="a", path=f"/{query}")
    return told._replace(referrer=referrer)


@pytest.mark.parametrize(("rule", "sessions"), [("ga4", 1), ("matomo", 3), ("universal", 6)])
async def test_search_engines_and_click_ids_are_campaigns_for_one_of_them_only(
    store: Store, site: str, rule: str, sessions: int
) -> None:
    """Coming back from paying, or from another page of the site, is none for anybody."""
    await set_rule(store, site, session_rule=rule)
    told = [
        came(site, NOON_MS, "https://www.google.com/"),
        came(site, NOON_MS + 1 * MINUTE_MS, ""),
        came(site, NOON_MS + 2 * MINUTE_MS, "https://www.google.com/"),
        came(site, NOON_MS + 3 * MINUTE_MS, "https://www.bing.com/"),
        came(site, NOON_MS + 4 * MINUTE_MS, "https://www.paypal.com/"),
        came(site, NOON_MS + 5 * MINUTE_MS, f"https://{site}.example/cart"),
        came(site, NOON_MS + 6 * MINUTE_MS, "https://pay.house-bank.example/"),
        came(site, NOON_MS + 7 * MINUTE_MS, "https://a.example/", "?utm_source=n&utm_medium=email"),
        came(site, NOON_MS + 8 * MINUTE_MS, "https://b.example/"),
        came(site, NOON_MS + 9 * MINUTE_MS, "", "?gclid=a"),
        came(site, NOON_MS + 10 * MINUTE_MS, "", "?gclid=b"),
        came(site, NOON_MS + 11 * MINUTE_MS, "", "?gclid=b"),
    ]
    sites = {site: Site(frozenset({"house-bank.example"}))}
    await process(store, f"log-{site}", records(told), sites)
    assert len(await _starts(store, site)) == sessions


@pytest.mark.parametrize("rule", ["ga4", "matomo", "universal"])
@pytest.mark.parametrize(
    ("timezone", "midnight", "next_midnight", "hours"),
    [
        ("Europe/Berlin", "2024-03-31", "2024-04-01", 23),
        ("Europe/Berlin", "2024-10-27", "2024-10-28", 25),
        ("America/New_York", "2024-03-10", "2024-03-11", 23),
        ("America/New_York", "2024-11-03", "2024-11-04", 25),
        ("Australia/Lord_Howe", "2024-04-07", "2024-04-08", 24.5),
        ("Australia/Lord_Howe", "2024-10-06", "2024-10-07", 23.5),
        ("Asia/Kathmandu", "2024-03-31", "2024-04-01", 24),
    ],
)
async def test_a_day_of_any_length_is_cut_at_its_ends_alone_and_counted_once(
    store: Store,
    site: str,
    rule: str,
    timezone: str,
    midnight: str,
    next_midnight: str,
    hours: float,
) -> None:
    """Somebody who never pauses, from the day before to the day after."""
    first, last = (
        int(datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(timezone)).timestamp() * 1000)
        for day in (midnight, next_midnight)
    )
    assert last - first == hours * HOUR_MS
    await set_rule(store, site, timezone, session_rule=rule)
    every = [*range(first - HOUR_MS, last + HOUR_MS, 15 * MINUTE_MS), first - 1, last - 1]
    told = views(site, *every)
    random.Random(len(site)).shuffle(told)
    for at in range(0, len(told), 40):
        await process(store, f"log-{site}", records(told[at : at + 40], at))
    starts = [first - HOUR_MS] if rule == "ga4" else [first - HOUR_MS, first, last]
    assert await _starts(store, site) == starts
    days = await store.select(
        "SELECT toString(date), sessions FROM v_kpi_daily WHERE site = {site:String} ORDER BY date",
        {"site": site},
    )
    before = datetime.fromisoformat(midnight).toordinal() - 1
    wanted = [datetime.fromordinal(before + nth).date().isoformat() for nth in range(len(starts))]
    assert days == [(day, 1) for day in wanted]


def _told(site: str, chance: random.Random, number: int) -> Happening:
    """Chains that go over midnights, with few campaigns; many at one moment."""
    told = Happening(
        site,
        chance.choice(["page_view", "page_view", "purchase", "generate_lead"]),
        f"e{number}",
        NOON_MS + chance.randint(-2 * DAY_MS, 2 * DAY_MS) // 1_200_000 * 1_200_000,
        chance.choice(["browser", "browser", "server"]),
        chance.choice(["a1", "a2"]),
        None,
        "/",
        chance.choice([None, None, ("google", "cpc"), ("newsletter", "email")]),
    )
    return told._replace(path=None, campaign=None) if number % 11 == 0 else told


@pytest.mark.parametrize("seed", range(6))
async def test_any_passage_ends_in_the_models_sessions_by_every_rule(
    store: Store, site: str, seed: int
) -> None:
    chance = random.Random(seed)
    rule = ("matomo", "universal")[seed % 2]
    timezone, timeout_s = ZONES[seed % len(ZONES)], (1_800, 28_500, 60)[seed % 3]
    await set_rule(
        store, site, timezone, session_rule=rule, session_timeout_s=timeout_s, engaged_after_s=60
    )
    told = [_told(site, chance, number) for number in range(60)]
    await rough_passage(store, f"log-{site}", records(told), chance)
    expected = outcome(told, rule=Rule(timeout_s * 1000, 60_000, timezone))
    assert (await found(store, site)).sessions == expected.sessions


async def test_a_late_campaign_cuts_on_a_day_that_it_does_not_touch(
    store: Store, site: str
) -> None:
    """What came after it was of the campaign before; the day of that is rewritten, too."""
    await set_rule(store, site, "America/New_York", session_rule="matomo")
    midnight_ms = 1_711_756_800_000  # of UTC
    told = views(site, *range(midnight_ms - HOUR_MS, midnight_ms + HOUR_MS, 20 * MINUTE_MS))
    told[0] = told[0]._replace(campaign=("google", "cpc"))
    told[4] = told[4]._replace(campaign=("google", "cpc"))
    await process(store, f"log-{site}", records(told))
    assert await _starts(store, site) == [midnight_ms - HOUR_MS]
    late = views(site, midnight_ms - 50 * MINUTE_MS, campaign=("newsletter", "email"))
    await process(store, f"log-{site}", records(late, 100))
    assert await _starts(store, site) == [
        midnight_ms - HOUR_MS, late[0].at_ms, midnight_ms + 20 * MINUTE_MS
    ]  # fmt: skip


@pytest.mark.parametrize("gap_ms", [28_500_000, 28_500_001])
async def test_the_widest_gap_is_judged_alike_across_every_edge(
    store: Store, site: str, gap_ms: int
) -> None:
    await set_rule(store, site, session_timeout_s=28_500)
    edge_ms = NOON_MS // DAY_MS * DAY_MS
    for offset, days in enumerate((-1, 0, 1, 2)):
        edge = edge_ms + days * DAY_MS
        told = views(site, edge - gap_ms, edge, edge + gap_ms, anonymous_id=f"a{days}")
        noon = views(site, edge_ms + DAY_MS // 2, anonymous_id=f"a{days}")
        for nth, batch in enumerate(([told[0]], noon, [told[2], told[1]])):
            await process(store, f"log-{site}-{days}", records(batch, offset * 10 + nth * 2))
    shown = (await found(store, site)).sessions
    every = [
        one
        for days in (-1, 0, 1, 2)
        for at in (-gap_ms, 0, gap_ms)
        for one in views(site, edge_ms + days * DAY_MS + at, anonymous_id=f"a{days}")
    ] + [
        one
        for days in (-1, 0, 1, 2)
        for one in views(site, edge_ms + DAY_MS // 2, anonymous_id=f"a{days}")
    ]
    assert shown == outcome(every, rule=Rule(28_500_000)).sessions


async def test_the_rule_of_another_site_changes_nothing_here(clickhouse_server: Server) -> None:
    """Its statement is another one, for the visitors of all sites."""
    async with own_store(clickhouse_server) as store:
        await land(store, "shop", happenings("shop", seed=3, count=120), size=40)
        await set_rule(store, "other", session_rule="matomo", session_timeout_s=28_500)
        rows = 0
        async for part in audit(store):
            assert part.differences == []
            rows += part.rows
        assert rows > 20


async def test_a_changed_rule_waits_for_a_rebuild(clickhouse_server: Server) -> None:
    """Until then nothing is cut by it; afterwards everything is; and a rebuild that was killed is
    still to be done."""
    async with own_store(clickhouse_server) as store:
        settings: Mapping[str, SiteSettings] = {"shop": SiteSettings(), "new": SiteSettings()}
        await enter_site(store, "shop")
        await begin_with_rules(store, settings)
        told = views("shop", NOON_MS, NOON_MS + 45 * MINUTE_MS, NOON_MS + 100 * MINUTE_MS)
        await process(store, "log", records(told[:2]))
        hourly = SiteSettings(session_timeout_s=3_600)
        settings = {"shop": hourly, "new": hourly}
        await begin_with_rules(store, settings)
        assert await waiting(store, settings) == {"shop": SessionRule(timeout_s=3_600)}
        await process(store, "log", records(told[2:], 2))
        assert (await found(store, "shop")).sessions == outcome(told, rule=GA4).sessions
        assert not await is_due(store)

        await put_in_force(store, settings)
        assert await waiting(store, settings) == {}
        async for _ in rebuild(store, chunk_rows=1):
            break
        assert await is_due(store)
        _ = [step async for step in rebuild(store)]
        assert not await is_due(store)
        by_hour = outcome(told, rule=Rule(3_600_000)).sessions
        assert len(by_hour) == 1
        assert (await found(store, "shop")).sessions == by_hour
        assert [one async for part in audit(store) for one in part.differences] == []
