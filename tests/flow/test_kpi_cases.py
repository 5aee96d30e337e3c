"""The worked case of the KPI formulas, as the events of a day that come through the product.

3,600 sessions of 3,000 visitors, 2,160 of them engaged; a funnel from 2,400 sessions that looked at
something to 80 that bought; 120 leads, 9,600 € of orders, 600 € back, 50 of 80 who are new.
"""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from spine.store import Store
from tests.flow.funnel_model import FUNNEL
from tests.flow.happenings import DAY_MS, HOUR_MS, Happening, Order, records
from tests.flow.passage import enter_site, process

MIDNIGHT_MS = int(datetime(2024, 5, 2, tzinfo=UTC).timestamp() * 1000)
SESSIONS, VISITORS, ENGAGED, LEADS, RETURNING = 3_600, 3_000, 2_160, 120, 30
REACHED = dict(zip(FUNNEL, (2_400, 480, 240, 160, 80), strict=True))


def _day(site: str) -> list[Happening]:
    """The first 600 visitors come twice; who reaches a step of the funnel is who comes first."""
    told = []
    for number in range(SESSIONS):
        visitor, second = number % VISITORS, number // VISITORS
        at_ms = MIDNIGHT_MS + HOUR_MS + number + second * 10 * HOUR_MS
        seen = Happening(site, "page_view", f"v{number}", at_ms, anonymous_id=f"a{visitor}")
        told.append(seen)
        if number < ENGAGED:
            told.append(seen._replace(event_id=f"w{number}", at_ms=at_ms + 9_000))
        told += [
            seen._replace(name=step, event_id=f"{step}{number}", at_ms=at_ms + 1_000 * nth)
            for nth, step in enumerate(FUNNEL[:-1], 1)
            if number < REACHED[step]
        ]
        if number < LEADS:
            told.append(seen._replace(name="generate_lead", event_id=f"l{number}"))
        if number < REACHED["purchase"]:
            order = Order(f"t{number}", "120")
            told.append(seen._replace(name="purchase", event_id=f"p{number}", at_ms=at_ms + 8_000,
                                      order=order))  # fmt: skip
    return told


def _before_and_after(site: str) -> list[Happening]:
    """Thirty of them have bought before, and what five bought goes back later."""
    bought = Happening(site, "purchase", "", MIDNIGHT_MS - 40 * DAY_MS, "server", path=None)
    told = [
        bought._replace(event_id=f"o{n}", anonymous_id=f"a{n}", order=Order(f"o{n}", "1"))
        for n in range(RETURNING)
    ]
    back = bought._replace(name="refund", at_ms=MIDNIGHT_MS + 3 * DAY_MS)
    told += [back._replace(event_id=f"r{n}", order=Order(f"t{n}", "120")) for n in range(5)]
    return told


@pytest.fixture
async def shop(store: Store, site: str) -> str:
    await enter_site(store, site, timezone="UTC")
    told = [*_before_and_after(site), *_day(site)]
    await process(store, f"log-{site}", records(told))
    return site


async def test_the_worked_case_is_right_to_the_cent(store: Store, shop: str) -> None:
    names = (
        "sessions", "engaged_sessions", "visitors", "persons", "leads", "orders", "new_customers",
        "gross", "refunded", "net", "cvr", "cvr_visitor", "cvr_person", "aov", "aov_net",
        "bounce_rate", "engagement_rate", "lead_to_order", "cost", "clicks", "impressions", "cpa",
        "roas", "cac", "cpl", "ctr", "cpc", "refunded_on_date", "verified_net", "unverified_net",
    )  # fmt: skip
    (row,) = await store.select(
        f"SELECT {', '.join(names)} FROM v_kpi_daily"
        " WHERE site = {site:String} AND date = '2024-05-02'",
        {"site": shop},
    )
    shown = dict(zip(names, row, strict=True))
    counts = (SESSIONS, ENGAGED, VISITORS, VISITORS, LEADS, 80, 50)
    assert tuple(shown[name] for name in names[:7]) == counts
    money = {"gross": 9_600, "refunded": 600, "net": 9_000, "unverified_net": 9_000,
             "verified_net": 0, "refunded_on_date": 0}  # fmt: skip
    assert {name: shown[name] for name in money} == {n: Decimal(a) for n, a in money.items()}
    ratios = {
        "cvr": 0.02222222, "cvr_visitor": 0.02666667, "cvr_person": 0.02666667, "aov": 120.0,
        "aov_net": 112.5, "bounce_rate": 0.4, "engagement_rate": 0.6, "lead_to_order": 0.66666667,
    }  # fmt: skip
    assert {name: round(shown[name], 8) for name in ratios} == ratios
    unknown = ("cost", "clicks", "impressions", "cpa", "roas", "cac", "cpl", "ctr", "cpc")
    assert {shown[name] for name in unknown} == {None}


async def test_the_funnel_of_the_worked_case(store: Store, shop: str) -> None:
    rows = await store.select(
        "SELECT step, sessions, round(abandonment, 8), round(abandonment_to_last, 8)"
        " FROM v_funnel_daily WHERE site = {site:String} AND date = '2024-05-02'"
        " ORDER BY step_order",
        {"site": shop},
    )
    assert rows == [
        ("view_item", 2_400, 0.8, 0.96666667),
        ("add_to_cart", 480, 0.5, 0.83333333),
        ("begin_checkout", 240, 0.33333333, 0.66666667),
        ("add_payment_info", 160, 0.5, 0.5),
        ("purchase", 80, None, None),
    ]


async def test_what_went_back_is_told_by_the_day_of_the_order_and_of_the_refund(
    store: Store, shop: str
) -> None:
    rows = await store.select(
        "SELECT toString(date), sum(refunded), sum(refunded_on_date), sum(orders) FROM v_kpi_daily"
        " WHERE site = {site:String} GROUP BY date ORDER BY date",
        {"site": shop},
    )
    assert rows == [
        ("2024-03-23", Decimal(0), Decimal(0), 30),
        ("2024-05-02", Decimal(600), Decimal(0), 80),
        ("2024-05-05", Decimal(0), Decimal(600), 0),
    ]
