"""What the default rules let through, event by event, and that in doubt it is less."""

from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from consent_rules.decide import Dropped, Kept
from consent_rules.reduce import drop_click_ids
from consent_rules.regime import Needs, Rule, Rules
from consent_rules.rules import load
from tests.unit.consent_rules.canaries import (
    AGENT,
    CLICK,
    ID,
    IP,
    MAIL,
    bytes_of,
    decided,
    event,
    leaves,
    spellings,
)

EU = load("eu")
PURPOSES = ("analytics", "ads_measurement", "cross_device", "marketing")
UNDECIDED: list[Any] = [
    None,
    {},
    {"purposes": None},
    {"purposes": {}},
    {"purposes": {"analytics": False}},
    {"purposes": {"ads_measurement": True}},
    {"purposes": {"Analytics": True}},
    {"decided_at": "2026-11-22T10:00:00Z"},
]
UNREADABLE: list[Any] = [
    5,
    True,
    "granted",
    [],
    {"analytics": True},
    {"purposes": True},
    {"purposes": ["analytics"]},
    {"purposes": {"analytics": 1}},
    {"purposes": {"analytics": "true"}},
    {"purposes": {"analytics": None}},
    {"purposes": {"analytics": True}, "x": 1},
    {"purposes": {"analytics": True}, "decided_at": "yesterday"},
    {"purposes": {"analytics": True, f"gclid={CLICK}": True}},
    {"purposes": {"analytics": True, "": True}},
    {"purposes": {"analytics": True} | {f"p{n}": True for n in range(50)}},
    {"purposes": {"analytics": True}, "tcf": f"https://x.example/?gclid={CLICK}"},
    {"purposes": {"analytics": True}, "tcf": "C" * 4097},
]


@pytest.mark.parametrize("named", ["", " ", "my", "page"])
def test_a_rule_fits_the_events_it_names_and_no_other(named: str) -> None:
    odd = Rule(id="odd", events=(named,), needs=(), action="keep", source="a slip of the pen")
    rules = Rules(schema=1, version="1", needs=EU.needs, rule=(odd, *EU.rule))
    for name in ("page_view", "my own", "*"):
        assert decided(rules, event(name, None)) == Dropped("rest", readable=True)


@pytest.mark.parametrize("consent", [*UNDECIDED, *UNREADABLE])
@pytest.mark.parametrize("name", ["page_view", "view_item", "generate_lead", "my own"])
def test_without_a_readable_yes_to_analytics_an_event_is_dropped(name: str, consent: Any) -> None:
    assert decided(EU, event(name, consent)) == Dropped("rest", consent not in UNREADABLE)


@pytest.mark.parametrize("raw", [b"{", b'{"purposes": {"analytics": true}', b"[" * 9999, b"\xff"])
def test_a_consent_object_that_is_no_json_is_a_refusal(raw: bytes) -> None:
    broken = msgspec.structs.replace(event("page_view"), consent=msgspec.Raw(raw))
    assert decided(EU, broken) == Dropped("rest", readable=False)


@pytest.mark.parametrize("consent", [*UNDECIDED, *UNREADABLE])
@pytest.mark.parametrize("name", ["purchase", "refund"])
def test_an_order_without_consent_is_stripped_to_the_allow_list(name: str, consent: Any) -> None:
    kept = decided(EU, event(name, consent))
    assert isinstance(kept, Kept)
    assert leaves(kept.event) == {
        "name", "event_id", "occurred_at", "commerce.transaction_id", "commerce.currency",
        "commerce.value", "commerce.tax", "commerce.shipping", "commerce.discount",
        "commerce.items.item_id", "commerce.items.price", "commerce.items.quantity",
    }  # fmt: skip
    assert msgspec.to_builtins(kept.stamp) == {
        "rule": "accounting",
        "version": EU.version,
        "kept": "stripped",
        "retention": "accounting",
    }
    assert kept.readable is (consent not in UNREADABLE)


@pytest.mark.parametrize("consent", [*UNDECIDED, *UNREADABLE])
def test_no_identifier_is_left_of_an_order_without_consent(consent: Any) -> None:
    kept = decided(EU, event("purchase", consent))
    assert isinstance(kept, Kept)
    for canary in (ID, MAIL, IP, AGENT, CLICK, "a" * 64, "b" * 64):
        for spelling in spellings(canary):
            assert spelling.lower() not in bytes_of(kept)


@pytest.mark.parametrize("name", ["purchase", "page_view", "my own"])
def test_with_analytics_alone_all_is_kept_but_click_ids(name: str) -> None:
    consent = {"purposes": {"analytics": True, "ads_measurement": False}}
    claimed = event(name, consent)
    kept = decided(EU, claimed)
    assert isinstance(kept, Kept)
    for spelling in spellings(CLICK):
        assert spelling.lower() not in bytes_of(kept)
    assert leaves(claimed) - leaves(kept.event) == {
        "consent.purposes.analytics",
        "consent.purposes.ads_measurement",
        "properties.gclid",
        f"properties.gclid={CLICK}",
    }
    assert kept.event.page is not None
    assert kept.event.page.url == f"https://shop.example/?uid={ID}&mail={quote(MAIL)}&ip={IP}&q=1"
    assert kept.event.anonymous_id == ID
    assert (kept.stamp.rule, kept.stamp.kept, kept.stamp.linked) == ("consented", "whole", True)
    assert kept.stamp.purposes == ("analytics",)
    assert msgspec.json.decode(kept.stamp.signal) == consent


def test_with_both_purposes_an_event_stays_as_it_is() -> None:
    consent = {
        "purposes": {"ads_measurement": True, "analytics": True, "other": False},
        "tcf": "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA.YAAAAAAAAAA",
        "decided_at": "2026-11-22T09:00:00Z",
    }
    claimed = event("page_view", consent)
    kept = decided(EU, claimed)
    assert isinstance(kept, Kept)
    assert kept.event == msgspec.structs.replace(claimed, consent=msgspec.Raw())
    assert kept.stamp.purposes == ("ads_measurement", "analytics")
    assert msgspec.json.decode(kept.stamp.signal) == consent


def test_the_ids_of_an_event_are_never_rewritten() -> None:
    odd = msgspec.structs.replace(
        event("page_view"), anonymous_id="a?gclid=1", user_id="u?gclid=1", event_id="e?gclid=1"
    )
    kept = drop_click_ids(odd)
    assert (kept.anonymous_id, kept.user_id, kept.event_id) == (
        "a?gclid=1",
        "u?gclid=1",
        "e?gclid=1",
    )


def test_a_rule_of_ones_own_may_not_let_click_ids_out_by_stripping() -> None:
    keep = ("name", "event_id", "occurred_at", "properties", "commerce.coupon")
    rules = Rules(
        schema=1,
        version="1",
        needs=Needs(click_ids=("ads_measurement",), identity=("analytics",)),
        rule=(Rule(id="all", events=("*",), needs=(), action="strip", source="law", keep=keep),),
    )
    kept = decided(rules, event("page_view"))
    assert isinstance(kept, Kept)
    assert CLICK.lower().encode() not in bytes_of(kept)
    assert kept.event.properties is not None
    assert kept.event.properties["n"] == 5


def test_what_is_unreadable_is_not_kept_as_proof() -> None:
    rules = Rules(
        schema=1,
        version="1",
        needs=Needs(click_ids=("ads_measurement",), identity=("analytics",)),
        rule=(Rule(id="all", events=("*",), needs=(), action="keep", source="law"),),
    )
    kept = decided(rules, event("page_view", {"purposes": {"analytics": True}, "ip": IP}))
    assert isinstance(kept, Kept)
    assert (kept.stamp.signal, kept.stamp.purposes, kept.stamp.linked) == ("", (), False)


def test_a_site_may_ask_for_more_before_ids_are_linked() -> None:
    needs = Needs(click_ids=("ads_measurement",), identity=("analytics", "cross_device"))
    rules = msgspec.structs.replace(EU, needs=needs)
    for purposes, linked in (
        ({"analytics": True}, False),
        ({"analytics": True, "cross_device": False}, False),
        ({"analytics": True, "cross_device": True}, True),
    ):
        kept = decided(rules, event("page_view", {"purposes": purposes}))
        assert isinstance(kept, Kept)
        assert kept.stamp.linked is linked
