"""What the other presets let through, and what a refusal in their regimes takes away."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_rules.decide import Dropped, Kept, decide_again
from consent_rules.rules import PRESETS, load
from consent_rules.standing import NOTHING, Carried
from spine.event import ORDER_NAMES
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

EU, US, FR = load("eu"), load("us"), load("fr_exempt")
GPC = Carried(gpc=True)
PURPOSES = (
    "analytics", "ads_measurement", "ads_personalization", "cross_device", "crm_matching",
)  # fmt: skip
DECISIONS = st.dictionaries(st.sampled_from(PURPOSES), st.booleans())


def kept(preset: Any, name: str, purposes: dict[str, bool] | None, carried: Carried) -> Kept:
    decision = decided(preset, event(name, {"purposes": purposes}), carried)
    assert isinstance(decision, Kept)
    return decision


def test_where_silence_is_no_refusal_an_event_is_kept_whole() -> None:
    silent = kept(US, "page_view", None, NOTHING)
    assert (silent.stamp.rule, silent.stamp.kept, silent.stamp.linked) == (
        "measured",
        "whole",
        True,
    )
    assert silent.stamp.exports == ("google", "meta", "microsoft")
    # What nobody granted is not among the purposes: the stamp is no proof of consent.
    assert (silent.stamp.purposes, silent.stamp.denied) == ((), ())
    assert CLICK.lower().encode() in bytes_of(silent)


def test_a_global_privacy_control_takes_away_what_serves_others() -> None:
    control = kept(US, "page_view", {"ads_measurement": True}, GPC)
    assert (control.stamp.rule, control.stamp.linked) == ("opted_out", False)
    assert (control.stamp.exports, control.stamp.retention) == ((), "usage")
    assert set(PURPOSES) - {"analytics"} == set(control.stamp.denied)
    assert control.event.identifiers is None
    assert control.event.page is not None
    assert control.event.page.url == "https://shop.example/"
    assert control.event.page.referrer == "https://r.example/"
    assert control.event.anonymous_id == ID
    assert control.observed("203.0.113.0", AGENT) == ("", "Other (Linux)")
    for canary in (CLICK, "a" * 64, "b" * 64):
        for spelling in spellings(canary):
            assert spelling.lower() not in bytes_of(control)
    assert decided(US, event("page_view", {"purposes": {"analytics": False}})) == Dropped(
        "rest", readable=True
    )


def test_the_exemption_counts_pages_of_who_has_not_objected_and_names_nobody() -> None:
    undecided = kept(FR, "page_view", None, NOTHING)
    stamp = undecided.stamp
    assert (stamp.rule, stamp.kept, stamp.linked) == ("exempt", "stripped", False)
    assert (stamp.retention, stamp.exports, stamp.signal) == ("audience", (), "")
    fields = {path for path in leaves(undecided.event) if not path.startswith("commerce.")}
    assert fields == {
        "name", "event_id", "occurred_at", "anonymous_id", "page.url", "page.referrer",
        "user_agent",
    }  # fmt: skip
    assert undecided.event.page is not None
    assert undecided.event.page.url == "https://shop.example/"
    assert undecided.observed("203.0.113.0", AGENT) == ("", "Other (Linux)")
    for canary in (CLICK, AGENT, "a" * 64, "b" * 64):
        for spelling in spellings(canary):
            assert spelling.lower() not in bytes_of(undecided)
    objecting = {"purposes": {"analytics": False}}
    assert decided(FR, event("page_view", objecting)) == Dropped("rest", readable=True)
    order = kept(FR, "purchase", {"analytics": False}, NOTHING)
    assert (order.stamp.rule, order.event.anonymous_id, order.event.page) == (
        "accounting",
        None,
        None,
    )
    for canary in (ID, MAIL, IP, AGENT, CLICK):
        for spelling in spellings(canary):
            assert spelling.lower() not in bytes_of(order)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("consent", [[], {"purposes": {"analytics": False}, "x": 1}, "no"])
def test_an_unreadable_object_may_be_a_refusal_also_where_silence_is_none(
    preset: str, consent: Any
) -> None:
    rules = load(preset)
    assert decided(rules, event("page_view", consent)) == Dropped("rest", readable=False)
    order = decided(rules, event("purchase", consent))
    assert isinstance(order, Kept)
    assert (order.stamp.rule, order.readable) == ("accounting", False)
    again = decide_again(rules, order.event, order.stamp)
    assert isinstance(again, Kept)
    assert (again.event, again.stamp, again.limits) == (order.event, order.stamp, order.limits)
    # What another signal grants is not taken back by it.
    told = decided(rules, event("page_view", consent), Carried(gcs="G111", gcd="13v3v3v3v5"))
    assert isinstance(told, Kept)
    assert told.stamp.rule == ("measured" if preset == "us" else "consented")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", sorted(ORDER_NAMES))
def test_whoever_refuses_everything_is_an_order_in_every_report_about_it(
    preset: str, name: str
) -> None:
    order = kept(load(preset), name, dict.fromkeys(PURPOSES, False), GPC)
    assert (order.stamp.rule, order.stamp.kept) == ("accounting", "stripped")
    assert order.event.commerce is not None and order.event.commerce.transaction_id


def outcome(preset: Any, name: str, decisions: dict[str, bool], carried: Carried) -> set[str]:
    """Everything that somebody gets to know, or may do, after a decision."""
    decision = decided(preset, event(name, {"purposes": decisions}), carried)
    if isinstance(decision, Dropped):
        return set()
    claimed = event(name)
    page = decision.event.page
    also = {f"export {name}" for name in decision.stamp.exports}
    also |= {"linked"} if decision.stamp.linked else set()
    also |= {"the address"} if decision.observed("203.0.113.0", "")[0] else set()
    also |= {"the agent"} if decision.observed("", AGENT)[1] == AGENT else set()
    also |= {"click ids"} if CLICK.lower().encode() in bytes_of(decision) else set()
    also |= {"the whole url"} if page and claimed.page and "?" in (page.url or "") else set()
    return leaves(decision.event) | also


@settings(max_examples=300)
@given(
    st.sampled_from(PRESETS),
    st.sampled_from(["purchase", "page_view", "my own"]),
    DECISIONS,
    st.frozensets(st.sampled_from(PURPOSES)),
    st.booleans(),
)
def test_to_refuse_more_or_to_grant_less_never_lets_more_through(
    preset: str, name: str, decisions: dict[str, bool], refused: frozenset[str], gpc: bool
) -> None:
    rules = load(preset)
    before = outcome(rules, name, decisions, NOTHING)
    more_refused = decisions | dict.fromkeys(refused, False)
    assert outcome(rules, name, more_refused, Carried(gpc=gpc)) <= before
    no_more_granted = {each: given for each, given in decisions.items() if each not in refused}
    if rules.model == "opt_in" and all(decisions.get(each, True) for each in refused):
        assert outcome(rules, name, no_more_granted, NOTHING) <= before


@given(
    st.sampled_from(PRESETS), st.sampled_from(["purchase", "page_view"]), DECISIONS, st.booleans()
)
def test_a_record_is_judged_again_by_its_stamp_and_comes_out_the_same(
    preset: str, name: str, decisions: dict[str, bool], gpc: bool
) -> None:
    rules = load(preset)
    first = decided(rules, event(name, {"purposes": decisions}), Carried(gpc=gpc))
    if isinstance(first, Kept):
        again = decide_again(rules, first.event, first.stamp)
        assert isinstance(again, Kept)
        assert (again.event, again.stamp) == (first.event, first.stamp)
        assert again.limits == first.limits


@given(
    st.sampled_from(PRESETS),
    st.sampled_from(PRESETS),
    st.sampled_from(["purchase", "page_view"]),
    DECISIONS,
    st.booleans(),
)
def test_under_another_regime_a_record_never_gets_more_than_it_had(
    then: str, now: str, name: str, decisions: dict[str, bool], gpc: bool
) -> None:
    first = decided(load(then), event(name, {"purposes": decisions}), Carried(gpc=gpc))
    if not isinstance(first, Kept):
        return
    again = decide_again(load(now), first.event, first.stamp)
    if isinstance(again, Kept):
        assert leaves(again.event) <= leaves(first.event)
        assert set(again.stamp.exports) <= set(first.stamp.exports)
        assert set(again.stamp.purposes) <= set(first.stamp.purposes)
        assert first.stamp.linked or not again.stamp.linked
        assert first.stamp.kept == "whole" or again.stamp.kept == "stripped"
        assert msgspec.json.encode(again.stamp).startswith(b'{"rule":')


@pytest.mark.parametrize("name", ["purchase", "page_view"])
def test_without_any_rule_everything_is_dropped(name: str) -> None:
    nothing = msgspec.structs.replace(US, rule=())
    assert decided(nothing, event(name, None)) == Dropped("none", readable=True)
