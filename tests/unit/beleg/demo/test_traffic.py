"""The demo shop: the same traffic every time, like a real shop's, and with known answers."""

import itertools
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from beleg.demo.shop import shop, trickle
from beleg.demo.site import DEMO_SITE
from beleg.demo.traffic import DemoReport, drive
from beleg.demo.truth import truth
from beleg.demo.visit import Hit
from spine.errors import Misconfigured
from tests.unit.beleg.front_door import front_door

UNTIL = datetime(2026, 11, 22, 13, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def hits() -> list[Hit]:
    return list(shop(7, 2_000, UNTIL))


def event_of(hit: Hit) -> dict[str, Any]:
    return dict(hit.event)


def named(hits: list[Hit], name: str) -> list[Hit]:
    return [hit for hit in hits if hit.event["name"] == name]


def eu(event: dict[str, Any]) -> tuple[str, str | None]:
    """What a collector says under the rule `eu`, in short."""
    if "colour" in event:
        return "refused", "unknown_field"
    if event.get("commerce", {}).get("currency", "EUR") != "EUR":
        return "refused", "bad_currency"
    kept = event["consent"]["purposes"]["analytics"] or event["name"] in {"purchase", "refund"}
    return ("accepted", None) if kept else ("dropped", "no_consent")


def test_the_same_seed_gives_the_same_traffic_and_another_gives_other(hits: list[Hit]) -> None:
    assert list(shop(7, 2_000, UNTIL)) == hits
    assert list(shop(8, 50, UNTIL)) != list(shop(7, 50, UNTIL))


def test_a_demo_of_another_day_brings_no_event_id_again() -> None:
    today = {hit.event["event_id"] for hit in shop(7, 50, UNTIL)}
    tomorrow = {hit.event["event_id"] for hit in shop(7, 50, UNTIL + timedelta(days=1))}
    assert not today & tomorrow


def test_two_thousand_visitors_cause_fifteen_to_twenty_thousand_events(hits: list[Hit]) -> None:
    assert 15_000 < sum(hit.times_sent for hit in hits) < 20_000


def test_nothing_is_older_than_a_browser_key_may_report_or_in_the_future(hits: list[Hit]) -> None:
    times = [datetime.fromisoformat(event_of(hit)["occurred_at"]) for hit in hits]
    assert UNTIL - timedelta(days=6, hours=1) < min(times)
    assert max(hit.posted_at for hit in hits) <= UNTIL
    for hit, occurred_at in zip(hits, times, strict=True):
        assert hit.posted_at - occurred_at >= timedelta(0)


def test_events_come_late_twice_and_out_of_order(hits: list[Hit]) -> None:
    delays = [h.posted_at - datetime.fromisoformat(event_of(h)["occurred_at"]) for h in hits]
    assert hits == sorted(hits, key=lambda hit: hit.posted_at)
    assert sum(delay > timedelta(minutes=9) for delay in delays) > 100
    assert sum(delay > timedelta(seconds=1) for delay in delays) > 1_000
    assert sum(hit.times_sent > 1 for hit in hits) > 300


def test_an_event_has_one_body_per_channel(hits: list[Hit]) -> None:
    keys = Counter((hit.event["name"], hit.event["event_id"], hit.channel) for hit in hits)
    assert set(keys.values()) == {1}


def test_money_has_two_decimals_and_adds_up(hits: list[Hit]) -> None:
    for hit in named(hits, "purchase"):
        money = event_of(hit)["commerce"]
        value, tax, shipping = (Decimal(str(money[name])) for name in ("value", "tax", "shipping"))
        items = [(Decimal(str(item["price"])), item["quantity"]) for item in money["items"]]
        assert value == sum(price * quantity for price, quantity in items)
        assert tax == (value * Decimal("0.19")).quantize(Decimal("0.01"))
        assert shipping in {Decimal(0), Decimal("4.9")}
    written = {type(event_of(hit)["commerce"]["value"]) for hit in named(hits, "purchase")}
    assert written == {float, str}


def test_consent_is_given_by_most_and_refused_by_a_fifth(hits: list[Hit]) -> None:
    consent = {event_of(h)["anonymous_id"]: event_of(h)["consent"]["purposes"] for h in hits}
    kinds = Counter(tuple(purposes.values()) for purposes in consent.values())
    shares = {kind: count / len(consent) for kind, count in kinds.items()}
    assert shares[True, True] == pytest.approx(0.7, abs=0.04)
    assert shares[True, False] == pytest.approx(0.1, abs=0.03)
    assert shares[False, False] == pytest.approx(0.2, abs=0.04)


def test_orders_are_told_by_both_channels_by_one_and_under_two_ids(hits: list[Hit]) -> None:
    told: dict[str, dict[str, str]] = defaultdict(dict)
    for hit in named(hits, "purchase"):
        event = event_of(hit)
        told[event["commerce"]["transaction_id"]][hit.channel] = event["event_id"]
    ways = Counter(tuple(sorted(channels)) for channels in told.values())
    assert set(ways) == {("browser", "server"), ("browser",), ("server",)}
    both = [set(channels.values()) for channels in told.values() if len(channels) == 2]
    alike = sum(len(ids) == 1 for ids in both)
    assert 0.7 * len(both) < alike < len(both)


def test_some_orders_come_back_whole_and_some_in_part(hits: list[Hit]) -> None:
    with_value = Counter("value" in event_of(hit)["commerce"] for hit in named(hits, "refund"))
    assert with_value[True] > 2
    assert with_value[False] > 2
    assert {hit.channel for hit in named(hits, "refund")} == {"server"}


def test_some_visitors_log_in_on_a_phone_and_on_a_laptop(hits: list[Hit]) -> None:
    devices: dict[str, set[str]] = defaultdict(set)
    for hit in named(hits, "login"):
        devices[event_of(hit)["user_id"]].add(event_of(hit)["anonymous_id"])
    assert sum(len(found) == 2 for found in devices.values()) > 100


def test_the_ways_in_are_those_of_a_shop(hits: list[Hit]) -> None:
    landings = Counter(
        (page.get("referrer"), page["url"].partition("utm_medium=")[2].partition("&")[0])
        for page in (event_of(hit)["page"] for hit in named(hits, "page_view"))
        if "title" in page
    )
    assert len(landings) == 7
    assert min(landings.values()) > 50
    urls = " ".join(event_of(hit)["page"]["url"] for hit in named(hits, "page_view"))
    assert all(f"{click_id}=" in urls for click_id in ("gclid", "fbclid", "awc"))


def test_the_truth_does_not_depend_on_the_order(hits: list[Hit]) -> None:
    assert truth(reversed(hits)) == truth(hits)


def test_the_truth_of_a_small_shop_is_what_a_person_would_count() -> None:
    def hit(name: str, minute: int, visitor: str, analytics: bool, **more: Any) -> Hit:
        channel = more.pop("channel", "browser")
        at = UNTIL + timedelta(minutes=minute)
        event = {
            "event_id": more.pop("event_id", f"{name}{minute}{visitor}"),
            "name": name,
            "occurred_at": at.isoformat(),
            "anonymous_id": visitor,
            "consent": {"purposes": {"analytics": analytics}},
        }
        return Hit(at, channel, event | more, more.pop("times_sent", 1), "x")

    def order(number: str, value: object) -> dict[str, object]:
        money = {"transaction_id": number, "currency": "EUR", "value": value}
        return {name: part for name, part in money.items() if part is not None}

    said = truth(
        [
            hit("page_view", 0, "a", True),
            hit("page_view", 30, "a", True, user_id="u"),
            hit("page_view", 61, "a", True),
            hit("page_view", 0, "b", True, user_id="u"),
            hit("page_view", 0, "c", True, colour="red"),
            hit("page_view", 0, "d", False, user_id="v"),
            hit("purchase", 1, "d", False, commerce=order("1", 10.01)),
            hit("purchase", 62, "a", True, event_id="same", commerce=order("2", 20.02)),
            hit("purchase", 63, "a", True, event_id="same", channel="server",
                commerce=order("2", "20.02")),
            hit("purchase", 64, "a", True, channel="server", commerce=order("2", "20.02")),
            hit("refund", 90, "a", True, channel="server", commerce=order("2", "5.00")),
            hit("refund", 91, "d", False, channel="server", commerce=order("1", None)),
        ]
    )  # fmt: skip
    assert said.answers == {"accepted": 10, "refused": 1, "dropped": 1}
    assert (said.events, said.orders) == (9, 2)
    assert said.gross == {"EUR": Decimal("30.03")}
    assert said.refunded == {"EUR": Decimal("15.01")}
    assert (said.visitors, said.sessions, said.persons) == (2, 3, 1)


async def test_every_copy_is_posted_and_answered_as_the_truth_says() -> None:
    hits = list(shop(7, 300, UNTIL))
    reports: list[DemoReport] = []
    async with front_door(eu) as door:
        report = await drive(door.url, hits, rate_per_s=50_000, progress=reports.append)
    expected = truth(hits)
    assert report.sent == sum(hit.times_sent for hit in hits)
    assert report.by_status == expected.answers
    assert report.by_code["no_consent"] == expected.answers["dropped"]
    assert report.requests == len(door.requests)
    assert [at.sent for at in reports] == sorted(at.sent for at in reports)
    arrived = Counter((e["event_id"], e["name"]) for r in door.requests for e in r.events)
    sent: Counter[tuple[str, str]] = Counter()
    for hit in hits:
        sent[event_of(hit)["event_id"], event_of(hit)["name"]] += hit.times_sent
    assert arrived == sent


async def test_pages_and_backend_post_in_their_own_ways() -> None:
    hits = list(shop(7, 60, UNTIL))
    async with front_door() as door:
        await drive(door.url, hits, rate_per_s=50_000, progress=lambda _: None)
    agents = {hit.event["event_id"]: hit.user_agent for hit in hits if hit.channel == "browser"}
    for request in door.requests:
        if "key" in request.query:
            assert request.query["key"] == DEMO_SITE.browser_key
            assert request.headers["Origin"] == DEMO_SITE.origin
            assert request.headers["Content-Type"].startswith("text/plain")
            assert "Authorization" not in request.headers
            assert {agents[e["event_id"]] for e in request.events} == {
                request.headers["User-Agent"]
            }
        else:
            assert request.headers["Authorization"] == f"Bearer {DEMO_SITE.server_key}"
        ids = [(event["name"], event["event_id"]) for event in request.events]
        assert len(ids) == len(set(ids))
    assert any(len(request.events) == 1 for request in door.requests)


async def test_a_busy_collector_costs_no_event() -> None:
    async def busy_now_and_then(number: int) -> web.Response | None:
        return web.Response(status=503) if number % 5 == 1 else None

    hits = list(shop(7, 30, UNTIL))
    async with front_door(eu, busy_now_and_then) as door:
        report = await drive(door.url, hits, rate_per_s=50_000, progress=lambda _: None)
    assert report.by_status == truth(hits).answers


async def test_a_collector_that_does_not_know_the_demo_ends_it_with_a_sentence() -> None:
    async def stranger(number: int) -> web.Response | None:
        return web.Response(status=401)

    async with front_door(misbehave=stranger) as door:
        with pytest.raises(Misconfigured) as told:
            await drive(door.url, shop(7, 30, UNTIL), rate_per_s=50_000, progress=lambda _: None)
    assert DEMO_SITE.browser_key not in str(told.value)


async def test_the_pace_is_kept() -> None:
    hits = list(itertools.islice(shop(7, 300, UNTIL), 1_200))
    async with front_door() as door:
        began_at_s = time.monotonic()
        report = await drive(door.url, hits, rate_per_s=2_000, progress=lambda _: None)
    assert time.monotonic() - began_at_s >= 0.9 * report.sent / 2_000


async def test_what_is_still_to_come_is_waited_for() -> None:
    past = list(itertools.islice(shop(7, 50, UNTIL), 20))
    later = past.pop()._replace(posted_at=datetime.now(UTC) + timedelta(seconds=0.5))
    async with front_door() as door:
        await drive(door.url, [*past, later], rate_per_s=50_000, progress=lambda _: None)
    assert datetime.now(UTC) >= later.posted_at
    assert later.event["event_id"] in {event["event_id"] for event in door.requests[-1].events}


def test_a_live_shop_goes_on_in_order_and_without_end() -> None:
    hits = list(itertools.islice(trickle(7, UNTIL, visitors_per_minute=6), 3_000))
    assert hits == sorted(hits, key=lambda hit: hit.posted_at)
    assert all(hit.posted_at >= UNTIL for hit in hits)
    assert len({event_of(hit)["anonymous_id"] for hit in hits}) > 300
    assert {hit.event["event_id"] for hit in hits}.isdisjoint(
        hit.event["event_id"] for hit in shop(7, 50, UNTIL)
    )
