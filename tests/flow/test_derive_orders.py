"""Orders, case by case, in every order of arrival."""

from decimal import Decimal
from itertools import islice, permutations
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from spine.store import Store
from tests.flow.happenings import HOUR_MS, Happening, Order, records
from tests.flow.passage import enter_site, process

NOON_MS = 1_711_800_000_000
BOUGHT = Happening("", "purchase", "p1", NOON_MS, "browser", "a", None, "/done", None,
                   Order("t", "40", "EUR", tax="6.38", shipping="4.9"))  # fmt: skip
CHARGED = BOUGHT._replace(
    channel="server", at_ms=NOON_MS + 5000, path=None, order=Order("t", "39.98", "EUR", tax="6.39")
)
BACK = Happening("", "refund", "r1", NOON_MS + HOUR_MS, "server", None, None, None, None,
                 Order("t", None))  # fmt: skip


def _corrected(value: str, hours: int = 0, tax: str | None = None, **more: Any) -> Happening:
    told = BACK._replace(
        name="update_order", event_id=f"c{hours}", order=Order("t", value, tax=tax)
    )
    return told._replace(at_ms=NOON_MS + hours * HOUR_MS, **more)


class Case(NamedTuple):
    told: list[Happening]
    gross: str | None
    refunded: str | None
    status: str
    verified: bool = False
    visitor: bool = True
    currency: str = "EUR"
    tax: str | None = "6.38"


CASES = {
    "purchased": Case([BOUGHT], "40", "0", "purchased"),
    "browser-and-server-with-one-id": Case([BOUGHT, CHARGED], "39.98", "0", "purchased", True,
                                           tax="6.39"),
    "browser-and-server-with-two-ids": Case(
        [BOUGHT, CHARGED._replace(event_id="p2")], "39.98", "0", "purchased", True, tax="6.39"),
    "server-money-and-browser-visitor": Case(
        [BOUGHT, CHARGED._replace(anonymous_id=None, user_id="shop")], "39.98", "0", "purchased",
        True, tax="6.39"),
    "twice-by-the-browser-the-earliest-counts": Case(
        [BOUGHT, BOUGHT._replace(event_id="p2", at_ms=NOON_MS + 1, order=Order("t", "1"))],
        "40", "0", "purchased"),
    "refund-without-purchase": Case([BACK], None, None, "awaiting_purchase", visitor=False,
                                    tax=None),
    "part-refund-without-purchase": Case(
        [BACK._replace(order=Order("t", "5"))], None, "5", "awaiting_purchase", visitor=False,
        tax=None),
    "full-refund": Case([BOUGHT, BACK], "40", "40", "refunded"),
    "part-refund": Case([BOUGHT, BACK._replace(order=Order("t", "5"))], "40", "5",
                        "partially_refunded"),
    "refund-by-items": Case([BOUGHT, BACK._replace(order=Order("t", prices=("1.5", "2")))],
                            "40", "3.5", "partially_refunded"),
    "refund-of-items-without-prices": Case(
        [BOUGHT, BACK._replace(order=Order("t", prices=(None,)))], "40", "0",
        "partially_refunded"),
    "two-part-refunds-that-are-all-of-it": Case(
        [BOUGHT, BACK._replace(order=Order("t", "15")),
         BACK._replace(event_id="r2", order=Order("t", "25"))], "40", "40", "refunded"),
    "refund-of-more-than-all": Case([BOUGHT, BACK._replace(order=Order("t", "41"))], "40", "41",
                                    "refunded"),
    "one-refund-told-by-both": Case(
        [BOUGHT, BACK._replace(order=Order("t", "5")),
         BACK._replace(channel="browser", order=Order("t", "7"))], "40", "5",
        "partially_refunded"),
    "stripped-purchase": Case([BOUGHT._replace(anonymous_id=None, stripped=True)], "40", "0",
                              "purchased", visitor=False),
    "priced-items-without-value": Case(
        [BOUGHT._replace(order=Order("t", prices=("0.33333", "0.33333", "0.33333")))], "1",
        "0", "purchased", tax=None),
    "neither-value-nor-prices": Case([BOUGHT._replace(order=Order("t"))], None, "0",
                                     "purchased", tax=None),
    "another-currency": Case([BOUGHT._replace(order=Order("t", "40", "USD", tax="6.38"))], "40",
                             "0", "purchased", currency="USD"),
    "corrected-by-the-server": Case(
        [BOUGHT, CHARGED, _corrected("35", tax="5.6"), _corrected("36", hours=1)],
        "36", "0", "purchased", True, tax="5.6"),
    "corrected-by-a-browser-only": Case(
        [BOUGHT, CHARGED, _corrected("1", channel="browser")], "39.98", "0", "purchased", True,
        tax="6.39"),
    "corrected-and-not-yet-bought": Case([_corrected("35", tax="5.6")], None, "0",
                                         "awaiting_purchase", visitor=False, tax=None),
    "cancelled": Case([BOUGHT, BACK._replace(name="cancel_order")], "40", "40", "cancelled"),
    "cancelled-after-a-part-came-back": Case(
        [BOUGHT, BACK._replace(order=Order("t", "5")),
         BACK._replace(name="cancel_order", order=Order("t", "40"))], "40", "40", "cancelled"),
    "cancelled-before-the-purchase-is-known": Case(
        [BACK._replace(name="cancel_order")], None, None, "awaiting_purchase", visitor=False,
        tax=None),
    "refunded-in-another-currency": Case(
        [BOUGHT, BACK._replace(order=Order("t", "5", "USD"))], "40", "0", "partially_refunded"),
    "more-came-back-than-a-decimal-of-18-digits-holds": Case(
        [BOUGHT._replace(order=Order("t", "-99999999999999", tax="6.38")),
         *(BACK._replace(event_id=f"r{n}", order=Order("t", "99999999999999")) for n in range(10))],
        "-99999999999999", "999999999999990", "refunded"),
    "a-server-that-names-no-amount": Case(
        [BOUGHT, CHARGED._replace(order=Order("t", tax="6.39"))], "40", "0", "purchased",
        tax="6.39"),
}  # fmt: skip


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


async def _orders(store: Store, site: str) -> list[tuple[Any, ...]]:
    return await store.select(
        "SELECT gross, refunded, net, status, verified, visitor_id, currency, tax,"
        " ordered_at IS NULL, seen_browser, seen_server FROM v_orders WHERE site = {site:String}",
        {"site": site},
    )


@pytest.mark.parametrize("name", CASES)
async def test_an_order_is_the_same_in_every_order_of_arrival(store: Store, name: str) -> None:
    case = CASES[name]
    orders = list(islice(permutations(case.told), 1000))
    for order in {orders[0], orders[len(orders) // 2], orders[-1]}:
        site = f"s{uuid4().hex[:12]}"
        told = [happening._replace(site=site) for happening in order]
        for offset, happening in enumerate(told):
            await process(store, f"log-{site}", records([happening], first_offset=offset))
        gross, refunded = _amount(case.gross), _amount(case.refunded)
        assert await _orders(store, site) == [
            (
                gross,
                refunded,
                None if gross is None or refunded is None else gross - refunded,
                case.status,
                case.verified,
                BOUGHT._replace(site=site).visitor if case.visitor else None,
                case.currency,
                _amount(case.tax),
                case.status == "awaiting_purchase",
                any(happening.channel == "browser" for happening in told),
                any(happening.channel == "server" for happening in told),
            )
        ]


async def test_a_purchase_told_by_both_is_one_event_one_order_and_one_purchase(
    store: Store, site: str
) -> None:
    await enter_site(store, site)
    told = [BOUGHT._replace(site=site), CHARGED._replace(site=site)]
    await process(store, f"log-{site}", records(told))
    events = await store.select(
        "SELECT event_id, seen_browser, seen_server, visitor_id FROM v_events"
        " WHERE site = {site:String}",
        {"site": site},
    )
    assert events == [("p1", 1, 1, told[0].visitor)]
    sessions = await store.select(
        "SELECT events, purchases, revenue FROM v_sessions WHERE site = {site:String}",
        {"site": site},
    )
    assert sessions == [(1, 1, Decimal("39.98"))]


async def test_the_mark_of_a_filled_currency_stays_on_the_event(store: Store, site: str) -> None:
    told = BOUGHT._replace(site=site, flags=("currency_filled",))
    await process(store, f"log-{site}", records([told]))
    assert await store.select(
        "SELECT currency, flags FROM events WHERE site = {site:String}", {"site": site}
    ) == [("EUR", ["currency_filled"])]
