"""First and last touch of a conversion, against small cases worked out by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from processors.site import Site
from spine.store import Store
from tests.flow.happenings import Happening, Order, records
from tests.flow.passage import enter_site, process

BOUGHT_AT = datetime(2024, 5, 2, 10, tzinfo=UTC)
ADS, MAIL, NOTHING = ("google", "cpc"), ("m", "email"), None
Campaign = tuple[str, str] | None
PAID, SENT, DIRECT = "Paid Search", "Email", "Direct"
DAY, MS = timedelta(days=1), timedelta(milliseconds=1)


def came(site: str, before: timedelta, campaign: Campaign, **more: str | None) -> Happening:
    at_ms = int((BOUGHT_AT - before).timestamp() * 1000)
    told = Happening(site, "page_view", f"{before}{more}", at_ms, anonymous_id="a")
    return told._replace(campaign=campaign, **more)  # type: ignore[arg-type]


def bought(site: str, **more: str | None) -> Happening:
    """A purchase as a server tells it: it belongs to a visitor, and opens no session."""
    told = came(site, 0 * DAY, NOTHING, name="purchase", event_id="p", channel="server", **more)
    return told._replace(path=None, order=Order("t1", "10"))


async def touches(store: Store, site: str, told: list[Happening]) -> tuple[object, ...]:
    await enter_site(store, site)
    await process(store, f"log-{site}", records(told))
    (row,) = await store.select(
        "SELECT first_channel_group, last_channel_group FROM v_conversions"
        " WHERE site = {site:String} AND conversion_id = 't1'",
        {"site": site},
    )
    return tuple(row)


@pytest.mark.parametrize(
    ("visits", "first", "last"),
    [
        ([], None, None),
        ([(DAY, NOTHING)], DIRECT, DIRECT),
        ([(DAY, ADS)], PAID, PAID),
        ([(3 * DAY, ADS), (DAY, MAIL)], PAID, SENT),
        # Direct counts last only when nothing else is there; first, it counts as it is.
        ([(3 * DAY, NOTHING), (2 * DAY, ADS), (DAY, NOTHING)], DIRECT, PAID),
        # Ninety days before is in, a moment more is out, also for what is not direct.
        ([(90 * DAY, ADS)], PAID, PAID),
        ([(90 * DAY + MS, ADS)], None, None),
        ([(90 * DAY + MS, ADS), (DAY, NOTHING)], DIRECT, DIRECT),
        # A session that begins with the conversion is before it, one that begins later is not.
        ([(0 * DAY, ADS)], PAID, PAID),
        ([(DAY, MAIL), (-MS, ADS)], SENT, SENT),
        ([(-MS, ADS)], None, None),
    ],
)
async def test_the_touches_of_the_ninety_days_before(
    store: Store,
    site: str,
    visits: list[tuple[timedelta, Campaign]],
    first: str | None,
    last: str | None,
) -> None:
    told = [came(site, before, campaign) for before, campaign in visits]
    assert await touches(store, site, [*told, bought(site)]) == (first, last)


async def test_all_devices_of_a_person_count_and_nobody_elses(store: Store, site: str) -> None:
    told = [
        came(site, 5 * DAY, ADS, anonymous_id="phone"),
        came(site, 4 * DAY, NOTHING, anonymous_id="phone", user_id="u"),
        came(site, 3 * DAY, MAIL, anonymous_id="laptop", user_id="u"),
        came(site, 6 * DAY, MAIL, anonymous_id="stranger"),
        bought(site, anonymous_id="laptop"),
    ]
    assert await touches(store, site, told) == (PAID, SENT)


async def test_of_two_devices_at_one_moment_always_the_same_counts(store: Store, site: str) -> None:
    both = [
        came(site, DAY, ADS, anonymous_id="phone", user_id="u"),
        came(site, DAY, MAIL, anonymous_id="laptop", user_id="u"),
    ]
    visitors = {told.visitor or "": PAID if told.campaign == ADS else SENT for told in both}
    expected = visitors[min(visitors)]
    found = await touches(store, site, [*both[::-1], bought(site, anonymous_id="phone")])
    assert found == (expected, expected)


async def test_a_visit_that_lands_late_changes_the_answer(store: Store, site: str) -> None:
    assert await touches(store, site, [came(site, DAY, MAIL), bought(site)]) == (SENT, SENT)
    late = records([came(site, 2 * DAY, ADS)], first_offset=50)
    await process(store, f"log-{site}", late)
    assert await store.select(
        "SELECT first_channel_group, last_channel_group FROM v_conversions"
        " WHERE site = {site:String}",
        {"site": site},
    ) == [(PAID, SENT)]


async def test_a_conversion_of_the_sites_own_is_one_under_its_own_name(
    store: Store, site: str
) -> None:
    await enter_site(store, site)
    sites = {site: Site(conversions={"trial": "trial", "generate_lead": "lead"})}
    trial = came(site, 0 * DAY, NOTHING, name="trial", event_id="t")._replace(
        order=Order(None, "12.5")
    )
    told = [
        came(site, DAY, ADS),
        trial,
        trial._replace(channel="server", path=None, order=Order(None, "13")),
        came(site, 0 * DAY, NOTHING, name="generate_lead", event_id="l"),
        came(site, 0 * DAY, NOTHING, name="other", event_id="o"),
    ]
    await process(store, f"log-{site}", records(told), sites)
    assert await store.select(
        "SELECT kind, conversion_id, toString(value), verified, last_channel_group"
        " FROM v_conversions WHERE site = {site:String} ORDER BY kind",
        {"site": site},
    ) == [("lead", "l", None, 0, PAID), ("trial", "t", "13", 1, PAID)]
    assert await store.select(
        "SELECT sum(leads), sum(orders) FROM v_kpi_daily WHERE site = {site:String}", {"site": site}
    ) == [(1, 0)]
