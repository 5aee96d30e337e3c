"""Bots are flagged and make orders; nothing else is made of them, unless the site wants it."""

from typing import Any

from processors.audit import audit
from processors.site import Site
from spine.bots import BOT_LIST
from spine.store import Row, Store
from tests.clickhouse_server import Server
from tests.flow.derived import own_store
from tests.flow.happenings import Happening, Order, records
from tests.flow.passage import enter_site, process

NOON_MS = 1_711_800_000_000
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
PHONE = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
    " Mobile Safari/537.36"
)
LAPTOP = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def seen(site: str, name: str, number: int, agent: str, **more: Any) -> Happening:
    told = Happening(site, name, f"e{number}", NOON_MS + number * 1000, anonymous_id="a")
    return told._replace(user_agent=agent, **more)


async def _one(store: Store, sql: str, site: str) -> Row:
    (row,) = await store.select(sql, {"site": site})
    return row


async def _counts(store: Store, site: str) -> Row:
    return await _one(
        store,
        "SELECT (SELECT count() FROM v_sessions WHERE site = {site:String}),"
        " (SELECT countIf(kind = 'lead') FROM v_conversions WHERE site = {site:String}),"
        " (SELECT count() FROM identity_edges WHERE site = {site:String}),"
        " (SELECT sum(gross) FROM v_orders WHERE site = {site:String}),"
        " (SELECT sum(bots) FROM v_data_quality_daily WHERE site = {site:String})",
        site,
    )


def _crawled(site: str) -> list[Happening]:
    return [
        seen(site, "page_view", 0, GOOGLEBOT, user_id="u"),
        seen(site, "generate_lead", 1, GOOGLEBOT),
        seen(site, "purchase", 2, GOOGLEBOT, order=Order("t", "10")),
    ]


async def test_a_bot_makes_an_order_and_nothing_else(store: Store, site: str) -> None:
    await enter_site(store, site)
    await process(store, f"log-{site}", records(_crawled(site)))
    assert await _counts(store, site) == (0, 0, 0, 10, 3)
    assert await store.select(
        "SELECT DISTINCT device, bot, bot_list FROM events WHERE site = {site:String}",
        {"site": site},
    ) == [("bot", "Googlebot", BOT_LIST)]


async def test_a_site_may_let_them_count(store: Store, site: str) -> None:
    await enter_site(store, site)
    sites = {site: Site(counts_bots=True)}
    await process(store, f"log-{site}", records(_crawled(site)), sites)
    assert await _counts(store, site) == (1, 1, 1, 10, 3)


async def test_what_a_server_tells_of_a_visitor_is_judged_by_the_visitors_agent(
    store: Store, site: str
) -> None:
    """A collector never writes down the agent of the server itself."""
    await enter_site(store, site)
    told = [
        seen(site, "page_view", 0, "", channel="server"),
        seen(site, "page_view", 1, LAPTOP, channel="server"),
        seen(site, "page_view", 2, GOOGLEBOT, channel="server"),
    ]
    await process(store, f"log-{site}", records(told))
    assert await _one(
        store, "SELECT events, device FROM v_sessions WHERE site = {site:String}", site
    ) == (2, "unknown")


async def test_a_session_has_the_device_of_its_first_event(clickhouse_server: Server) -> None:
    """Also when that comes last; and an audit of the stored rows finds nothing."""
    async with own_store(clickhouse_server) as store:
        site = "shop"
        await enter_site(store, site)
        told = [seen(site, "page_view", number, PHONE) for number in (5, 7)]
        await process(store, "log", records(told))
        await process(store, "log", records([seen(site, "page_view", 1, LAPTOP)], 2))
        assert await _one(
            store, "SELECT events, device FROM v_sessions WHERE site = {site:String}", site
        ) == (3, "desktop")
        assert await store.select(
            "SELECT device, browser, browser_version, os, bot FROM v_events ORDER BY occurred_at"
        ) == [
            ("desktop", "Firefox", "140", "Linux", ""),
            *[("mobile", "Chrome", "142", "Android", "")] * 2,
        ]
        assert [one async for part in audit(store) for one in part.differences] == []
