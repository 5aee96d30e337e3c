"""Daily numbers against small cases worked out by hand."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from processors.loop import land
from spine.log import Record
from spine.metrics import Metrics
from spine.record import TallyRecord, TallyRow, encode
from spine.store import Store
from tests.flow.happenings import Happening, Order, records
from tests.flow.passage import enter_site, judged, process


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


async def kpis(store: Store, site: str, columns: str) -> list[tuple[Any, ...]]:
    return await store.select(
        f"SELECT {columns} FROM v_kpi_daily WHERE site = {{site:String}}"
        " ORDER BY date, source, currency",
        {"site": site},
    )


def view(site: str, when: str, anonymous: str = "a", **more: Any) -> Happening:
    told = Happening(site, "page_view", f"v-{anonymous}-{when}", at(when), anonymous_id=anonymous)
    return told._replace(**more)


def bought(site: str, when: str, number: str, value: str | None = "10", **more: Any) -> Happening:
    told = Happening(site, "purchase", f"p-{number}", at(when), "browser", "a", None, "/done")
    return told._replace(order=Order(number, value), **more)


async def test_a_day_is_a_day_in_the_time_zone_of_the_site(store: Store, site: str) -> None:
    await enter_site(store, site, timezone="Europe/Berlin")
    told = [
        view(site, "2024-01-10T22:59:59.999", "a1"),
        view(site, "2024-01-10T23:30", "a2"),
        view(site, "2024-07-10T21:59:59.999", "a3"),
        view(site, "2024-07-10T22:00", "a4"),
        bought(site, "2024-01-10T23:30", "t1", anonymous_id="a2"),
    ]
    await process(store, f"log-{site}", records(told))
    assert await kpis(store, site, "date, sessions, orders") == [
        (date(2024, 1, 10), 1, 0),
        (date(2024, 1, 11), 1, 1),
        (date(2024, 7, 10), 1, 0),
        (date(2024, 7, 11), 1, 0),
    ]


@pytest.mark.parametrize(
    ("first", "last", "day"),
    [
        ("2024-03-30T23:00", "2024-03-31T21:59:59.999", date(2024, 3, 31)),
        ("2024-10-26T22:00", "2024-10-27T22:59:59.999", date(2024, 10, 27)),
    ],
)
async def test_the_days_of_23_and_25_hours_are_whole(
    store: Store, site: str, first: str, last: str, day: date
) -> None:
    await enter_site(store, site, timezone="Europe/Berlin")
    edges = [at(first) - 1, at(first), at(last), at(last) + 1]
    told = [view(site, first, f"a{number}", at_ms=at_ms) for number, at_ms in enumerate(edges)]
    await process(store, f"log-{site}", records(told))
    rows = dict(await kpis(store, site, "date, sessions"))
    assert rows[day] == 2
    assert sorted(rows.values()) == [1, 1, 2]


@pytest.mark.parametrize(
    ("timezone", "midnight"),
    [
        ("America/Los_Angeles", "2024-01-11T08:00"),
        ("Asia/Kathmandu", "2024-01-10T18:15"),
        ("Pacific/Kiritimati", "2024-01-10T10:00"),
        ("Pacific/Pago_Pago", "2024-01-11T11:00"),
        ("UTC", "2024-01-11T00:00"),
    ],
)
async def test_a_visitor_counts_once_on_each_day_of_the_site(
    store: Store, site: str, timezone: str, midnight: str
) -> None:
    """Also when the day is two days in UTC."""
    await enter_site(store, site, timezone=timezone)
    minute = 60_000
    day = 1440 * minute
    told = [
        view(site, midnight, event_id=f"e{number}", at_ms=at(midnight) + ms)
        for number, ms in enumerate(
            (-day - 1, 31 * minute - day, -1, 31 * minute, day - 1, day + 31 * minute)
        )
    ]
    await process(store, f"log-{site}", records(told))
    assert await kpis(store, site, "date, sessions, visitors") == [
        (date(2024, 1, 9), 1, 1),
        (date(2024, 1, 10), 2, 1),
        (date(2024, 1, 11), 2, 1),
        (date(2024, 1, 12), 1, 1),
    ]


async def test_the_days_follow_the_setting_of_the_time_zone(store: Store, site: str) -> None:
    await enter_site(store, site, timezone="Europe/Berlin")
    await process(store, f"log-{site}", records([view(site, "2024-01-10T23:30")]))
    assert await kpis(store, site, "date, sessions") == [(date(2024, 1, 11), 1)]
    await store.command(
        "INSERT INTO sites (site, currency, timezone, updated_at)"
        f" VALUES ('{site}', 'EUR', 'America/New_York', 1)"
    )
    assert await kpis(store, site, "date, sessions") == [(date(2024, 1, 10), 1)]


async def test_a_campaign_is_shown_as_it_was_sent(store: Store, site: str) -> None:
    await enter_site(store, site)
    campaign = ("it's", "a\\b", "('1', 2)\\'ü\"")
    told = view(site, "2024-05-02T10:00", campaign=campaign)
    await process(store, f"log-{site}", records([told]))
    assert await kpis(store, site, "source, medium, campaign") == [campaign]


async def test_the_numbers_of_a_small_day(store: Store, site: str) -> None:
    await enter_site(store, site)
    day = "2024-05-02T10:"
    cpc = ("google", "cpc")
    told = [
        view(site, day + "00", "a", campaign=cpc),
        view(site, day + "01", "a"),
        bought(site, day + "02", "t1", "100"),
        bought(site, day + "02:05", "t1", "90", channel="server", path=None),
        view(site, day + "00", "b", campaign=cpc),
        view(site, day + "00", "c"),
        view(site, day + "10", "c"),
        bought(site, day + "11", "t2", "30", anonymous_id="c"),
        Happening(site, "refund", "r", at(day + "30"), "server", path=None, order=Order("t2", "5")),
        view(site, day + "12", "c", name="generate_lead"),
        bought(site, day + "40", "t3", "7", channel="server", anonymous_id=None, path=None),
    ]
    await process(store, f"log-{site}", records(told))
    columns = (
        "channel_group, source, medium, currency, sessions, engaged_sessions, visitors, orders,"
        " gross, refunded, net, verified_net, new_customers, leads, cvr, aov, bounce_rate"
    )
    money = [Decimal(n) for n in (0, 5, 7, 25, 30, 90)]
    zero, five, seven, twenty_five, thirty, ninety = money
    assert await kpis(store, site, columns) == [
        ("Direct", "(direct)", "(none)", "EUR", 1, 1, 1, 1, thirty, five, twenty_five, zero, 1, 1,
         1.0, 30.0, 0.0),
        ("(unattributed)", "(unattributed)", "(unattributed)", "EUR", 0, 0, 0, 1, seven, zero,
         seven, seven, 0, 0, None, 7.0, None),
        ("Paid Search", "google", "cpc", "EUR", 2, 1, 2, 1, ninety, zero, ninety, ninety, 1, 0,
         0.5, 90.0, 0.5),
    ]  # fmt: skip


async def test_a_day_without_orders_has_no_order_value(store: Store, site: str) -> None:
    await enter_site(store, site)
    await process(store, f"log-{site}", records([view(site, "2024-05-02T10:00")]))
    assert await kpis(
        store, site, "cvr, aov, cpa, roas, cac, cpl, ctr, cpc, cost, bounce_rate"
    ) == [(0.0, None, None, None, None, None, None, None, None, 1.0)]


async def test_a_second_device_or_a_later_order_is_no_new_customer(store: Store, site: str) -> None:
    await enter_site(store, site)
    told = [
        view(site, "2024-05-01T09:00", "phone", user_id="u"),
        view(site, "2024-05-03T09:00", "desk", user_id="u"),
        bought(site, "2024-05-01T10:00", "t1", anonymous_id="phone"),
        bought(site, "2024-05-02T10:00", "t2", anonymous_id="phone"),
        bought(site, "2024-05-03T10:00", "t3", anonymous_id="desk"),
        bought(site, "2024-05-04T10:00", "t4", anonymous_id="stranger"),
        bought(site, "2024-05-05T10:00", "t5", anonymous_id=None, stripped=True),
    ]
    await process(store, f"log-{site}", records(told[2:]))
    before = await store.select(
        "SELECT sum(new_customers) FROM v_kpi_daily WHERE site = {site:String}", {"site": site}
    )
    assert before == [(3,)]
    await process(store, f"log-{site}", records(told[:2], first_offset=10))
    rows = await store.select(
        "SELECT date, sum(new_customers), sum(orders) FROM v_kpi_daily"
        " WHERE site = {site:String} GROUP BY date HAVING sum(orders) > 0 ORDER BY date",
        {"site": site},
    )
    assert [row[1:] for row in rows] == [(1, 1), (0, 1), (0, 1), (1, 1), (0, 1)]


async def test_amounts_of_two_currencies_are_never_added(store: Store, site: str) -> None:
    await enter_site(store, site, currency="EUR")
    told = [
        view(site, "2024-05-02T10:00"),
        bought(site, "2024-05-02T10:01", "t1", "10"),
        bought(site, "2024-05-02T10:02", "t2")._replace(order=Order("t2", "3", "USD")),
    ]
    await process(store, f"log-{site}", records(told))
    assert await kpis(store, site, "currency, sessions, orders, gross, cvr") == [
        ("EUR", 1, 1, Decimal(10), 1.0),
        ("USD", 0, 1, Decimal(3), None),
    ]
    assert await store.select(
        "SELECT purchases, revenue, currency FROM v_sessions WHERE site = {site:String}",
        {"site": site},
    ) == [(2, Decimal(10), "EUR")]


async def test_a_site_that_the_store_does_not_know_yet_stops_nobodys_numbers(
    store: Store, site: str
) -> None:
    """A processor with older settings lands it; its days are days in UTC."""
    told = [
        view(site, "2024-05-02T23:30"),
        bought(site, "2024-05-02T23:31", "t1"),
        view(site, "2024-05-02T23:32", name="generate_lead"),
    ]
    await process(store, f"log-{site}", records(told))
    rows = await kpis(store, site, "date, sessions, orders, leads")
    assert {row[0] for row in rows} == {date(2024, 5, 2)}


async def test_a_lead_is_a_conversion_under_its_event_id(store: Store, site: str) -> None:
    await enter_site(store, site)
    lead = view(site, "2024-05-02T10:00", name="generate_lead", event_id="lead-1")
    told = [lead, lead._replace(channel="server"), bought(site, "2024-05-02T10:01", "t1")]
    await process(store, f"log-{site}", records(told))
    assert await store.select(
        "SELECT conversion_id, kind, value, verified, visitor_id, session_id IS NOT NULL"
        " FROM v_conversions WHERE site = {site:String} ORDER BY kind",
        {"site": site},
    ) == [
        ("lead-1", "lead", None, 1, lead.visitor, 1),
        ("t1", "order", Decimal(10), 0, lead.visitor, 1),
    ]


async def test_consent_is_counted_from_what_landed_and_what_did_not(
    store: Store, site: str
) -> None:
    whole = view(site, "2024-05-02T10:00", received_on=19_845)
    told = [
        whole,
        whole,
        whole._replace(event_id="e2"),
        bought(site, "2024-05-02T10:00", "t1", stripped=True, received_on=19_845),
        whole._replace(event_id="e3", received_on=19_846),
    ]
    tally = TallyRecord(
        collector="c", boot=site, sequence=0, received_ms=0,
        rows=(
            TallyRow(site, 19_845, "dropped", "no_consent", "page_view", 4),
            TallyRow(site, 19_845, "dropped", "no_consent", "(custom)", 1),
            TallyRow(site, 19_845, "refused", "too_old", "page_view", 2),
            TallyRow(site, 19_847, "refused", "too_old", "page_view", 1),
        ),
    )  # fmt: skip
    batch = [*records(told), Record(0, 50, encode(tally), 0), Record(0, 51, encode(tally), 0)]
    await process(store, f"log-{site}", batch)
    verdict = await judged(store, f"log-{site}", batch)
    await land(store, f"log-{site}", verdict, {}, Metrics("test"))
    assert await store.select(
        "SELECT date, accepted, stripped, dropped, refused, consent_rate FROM v_consent_daily"
        " WHERE site = {site:String} ORDER BY date",
        {"site": site},
    ) == [
        (date(2024, 5, 2), 2, 1, 5, 2, 0.25),
        (date(2024, 5, 3), 1, 0, 0, 0, 1.0),
        (date(2024, 5, 4), 0, 0, 0, 1, None),
    ]
