"""Less consent never lets more through, whatever the rules and the claims."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from consent_rules.decide import Dropped, Kept
from consent_rules.faults import keepable_paths
from consent_rules.reduce import drop_click_ids, strip
from consent_rules.regime import Rule, Rules
from consent_rules.rules import load
from spine.click_ids import is_click_id, without_click_ids
from spine.event import Commerce, ConsentClaim, Event, Page
from tests.unit.consent_rules.canaries import CLICK, bytes_of, decided, event, leaves

EU = load("eu")
PURPOSES = ("analytics", "ads_measurement", "cross_device", "marketing")


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
    decision = decided(rules, event(name, {"purposes": dict.fromkeys(granted, True)}))
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
    decision = decided(regime, event("purchase", {"purposes": purposes}))
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
    kept = decided(EU, event("page_view", claim))
    granted = bool(claim and claim.purposes and claim.purposes.get("analytics"))
    assert granted or isinstance(kept, Dropped)


WRITTEN = st.text(st.sampled_from("gclidfbwrauepk_-%2567=:?&\"'\\\n\t aZ;"), max_size=40)


@given(WRITTEN, WRITTEN, st.dictionaries(WRITTEN, WRITTEN, max_size=2))
def test_looking_at_an_event_as_a_whole_misses_nothing(
    url: str, coupon: str, properties: dict[str, str | int | float | None]
) -> None:
    for one, two in (("", ""), ("?gclid=", "_fbc: ")):
        page, commerce = Page(url=one + url), Commerce(coupon=two + coupon)
        kept = drop_click_ids(Event(name="x", page=page, commerce=commerce, properties=properties))
        assert kept.page == Page(url=without_click_ids(one + url))
        assert kept.commerce == Commerce(coupon=without_click_ids(two + coupon))
        assert (kept.properties or {}) == {
            name: without_click_ids(str(value))
            for name, value in properties.items()
            if not is_click_id(name)
        }
