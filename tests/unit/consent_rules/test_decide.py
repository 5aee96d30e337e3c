"""What the default rules let through, event by event, and that in doubt it is less."""

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_rules.decide import Dropped, Kept, decide, drop_click_ids, strip
from consent_rules.rules import Needs, Rule, Rules, keepable_paths, load
from spine.event import Commerce, ConsentClaim, Event, Identifiers, Item, Page

EU = load("eu")
PURPOSES = ("analytics", "ads_measurement", "cross_device", "marketing")
CLICK = "Cj0KCQ-canary-click-9f3a"
ID = "id-canary-5b1e77"
MAIL = "max.canary@shop.example"
IP = "198.51.100.77"
AGENT = "Mozilla/5.0 (canary; Linux x86_64)"


def event(name: str = "purchase", consent: object = None) -> Event:
    """An event that carries a canary in every place that has room for one."""
    address = f"https://shop.example/?gclid={CLICK}&uid={ID}&mail={quote(MAIL)}&ip={IP}&q=1"
    return Event(
        name=name,
        event_id="e-1",
        occurred_at=datetime(2026, 11, 22, 10, tzinfo=UTC),
        anonymous_id=ID,
        user_id=MAIL,
        identifiers=Identifiers("a" * 64, "b" * 64, ID),
        page=Page(address, f"https://r.example/?fbclid={CLICK}&mail={MAIL}", f"{AGENT} {address}"),
        consent=msgspec.Raw(msgspec.json.encode(consent)) if consent is not None else msgspec.Raw(),
        commerce=Commerce(
            transaction_id="T-1",
            currency="EUR",
            value=Decimal("39.98"),
            tax=Decimal("6.38"),
            shipping=Decimal("4.9"),
            discount=Decimal("1"),
            coupon=f"{ID} ?gclid={CLICK}",
            items=(
                Item(
                    item_id="SKU1",
                    item_name=f"{MAIL} {IP}",
                    price=Decimal("19.99"),
                    quantity=2,
                    affiliation=f"https://partner.example/?awc={CLICK}",
                    item_list_name=ID,
                ),
            ),
        ),
        properties={
            "gclid": CLICK,
            f"gclid={CLICK}": 1,
            "landing": f"https://shop.example/?a=1&msclkid={CLICK}",
            "mail": MAIL,
            "encoded": base64.b64encode(MAIL.encode()).decode(),
            "n": 5,
        },
        ip=IP,
        user_agent=AGENT,
    )


def spellings(canary: str) -> Iterator[bytes]:
    raw = canary.encode()
    yield raw
    yield quote(canary, safe="").encode()
    yield raw.hex().encode()
    yield base64.b64encode(raw).rstrip(b"=")
    yield base64.urlsafe_b64encode(raw).rstrip(b"=")


def bytes_of(kept: Kept) -> bytes:
    return msgspec.json.encode([kept.event, kept.stamp]).lower()


def paths(tree: object, at: str = "") -> Iterator[str]:
    """Name every leaf of a decoded JSON document."""
    if isinstance(tree, Mapping):
        for name, inside in tree.items():
            yield from paths(inside, f"{at}.{name}" if at else name)
    elif isinstance(tree, list):
        for inside in tree:
            yield from paths(inside, at)
    else:
        yield at


def leaves(kept: Event) -> set[str]:
    return set(paths(msgspec.json.decode(msgspec.json.encode(kept))))


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


@pytest.mark.parametrize("consent", [*UNDECIDED, *UNREADABLE])
@pytest.mark.parametrize("name", ["page_view", "view_item", "generate_lead", "my own"])
def test_without_a_readable_yes_to_analytics_an_event_is_dropped(name: str, consent: Any) -> None:
    assert decide(EU, event(name, consent)) == Dropped("rest", consent not in UNREADABLE)


@pytest.mark.parametrize("raw", [b"{", b'{"purposes": {"analytics": true}', b"[" * 9999, b"\xff"])
def test_a_consent_object_that_is_no_json_is_a_refusal(raw: bytes) -> None:
    broken = msgspec.structs.replace(event("page_view"), consent=msgspec.Raw(raw))
    assert decide(EU, broken) == Dropped("rest", readable=False)


@pytest.mark.parametrize("consent", [*UNDECIDED, *UNREADABLE])
@pytest.mark.parametrize("name", ["purchase", "refund"])
def test_an_order_without_consent_is_stripped_to_the_allow_list(name: str, consent: Any) -> None:
    kept = decide(EU, event(name, consent))
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
    }
    assert kept.readable is (consent not in UNREADABLE)


@pytest.mark.parametrize("consent", [*UNDECIDED, *UNREADABLE])
def test_no_identifier_is_left_of_an_order_without_consent(consent: Any) -> None:
    kept = decide(EU, event("purchase", consent))
    assert isinstance(kept, Kept)
    for canary in (ID, MAIL, IP, AGENT, CLICK, "a" * 64, "b" * 64):
        for spelling in spellings(canary):
            assert spelling.lower() not in bytes_of(kept)


@pytest.mark.parametrize("name", ["purchase", "page_view", "my own"])
def test_with_analytics_alone_all_is_kept_but_click_ids(name: str) -> None:
    consent = {"purposes": {"analytics": True, "ads_measurement": False}}
    claimed = event(name, consent)
    kept = decide(EU, claimed)
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
    kept = decide(EU, claimed)
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
    kept = decide(rules, event("page_view"))
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
    kept = decide(rules, event("page_view", {"purposes": {"analytics": True}, "ip": IP}))
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
        kept = decide(rules, event("page_view", {"purposes": purposes}))
        assert isinstance(kept, Kept)
        assert kept.stamp.linked is linked


RULE = st.builds(
    Rule,
    id=st.just("r"),
    events=st.sampled_from([("*",), ("purchase",), ("page_view", "purchase")]),
    needs=st.lists(st.sampled_from(PURPOSES), max_size=2, unique=True).map(tuple),
    action=st.sampled_from(["keep", "strip", "drop"]),
    source=st.just("law"),
    keep=st.lists(st.sampled_from(sorted(keepable_paths())), unique=True).map(
        lambda chosen: ("name", *chosen)
    ),
)


def outcome(rules: Rules, name: str, granted: frozenset[str]) -> set[str]:
    decision = decide(rules, event(name, {"purposes": dict.fromkeys(granted, True)}))
    if isinstance(decision, Dropped):
        return set()
    return leaves(decision.event) | set(decision.stamp.purposes)


@given(
    st.sampled_from(["purchase", "refund", "page_view", "my own"]),
    st.frozensets(st.sampled_from(PURPOSES)),
    st.frozensets(st.sampled_from(PURPOSES)),
)
def test_less_consent_never_lets_more_through(
    name: str, granted: frozenset[str], taken_back: frozenset[str]
) -> None:
    assert outcome(EU, name, granted - taken_back) <= outcome(EU, name, granted)


@given(st.lists(RULE, max_size=3), st.frozensets(st.sampled_from(PURPOSES)))
def test_no_rules_let_click_ids_out_without_their_purpose(
    rules: list[Rule], granted: frozenset[str]
) -> None:
    regime = msgspec.structs.replace(EU, rule=tuple(rules))
    purposes = dict.fromkeys(granted - {"ads_measurement"}, True)
    decision = decide(regime, event("purchase", {"purposes": purposes}))
    if isinstance(decision, Kept):
        assert CLICK.lower().encode() not in bytes_of(decision)


@given(st.frozensets(st.sampled_from(sorted(keepable_paths()))))
def test_stripping_keeps_exactly_what_is_named_and_twice_is_once(keep: frozenset[str]) -> None:
    keep |= {"name"}
    once = strip(event(), keep)
    assert strip(once, keep) == once
    left = {path.split(".", 1)[0] if path.startswith("prop") else path for path in leaves(once)}
    assert left <= keep
    assert drop_click_ids(drop_click_ids(once)) == drop_click_ids(once)


@given(st.from_type(ConsentClaim) | st.none())
def test_only_what_is_granted_in_words_counts(claim: ConsentClaim | None) -> None:
    kept = decide(EU, event("page_view", claim))
    granted = bool(claim and claim.purposes and claim.purposes.get("analytics"))
    assert granted or isinstance(kept, Dropped)
