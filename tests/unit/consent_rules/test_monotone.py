"""Rules by which less consent lets more through are found, and no others."""

import time

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_rules.decide import Dropped
from consent_rules.monotone import loosening
from consent_rules.regime import Rule, Rules
from consent_rules.rules import PRESETS, load
from tests.unit.consent_rules.canaries import decided, event, leaves

REQUIRED = ("name", "event_id", "occurred_at")
PURPOSES = ("analytics", "functional", "ads_measurement")
SOME = st.lists(st.sampled_from(PURPOSES), max_size=2, unique=True).map(tuple)
LINES = st.lists(
    st.builds(
        Rule,
        id=st.uuids().map(str),
        events=st.sampled_from([("*",), ("purchase",)]),
        needs=SOME,
        unless=SOME,
        action=st.sampled_from(["keep", "strip", "drop"]),
        source=st.just("law"),
        keep=st.lists(
            st.sampled_from(["user_id", "properties", "commerce.value"]), unique=True
        ).map(lambda more: (*REQUIRED, *more)),
    ),
    max_size=3,
)


def regime(lines: list[Rule], model: str) -> Rules:
    last = Rule(id="rest", events=("*",), needs=(), action="drop", source="law")
    return msgspec.structs.replace(load("eu"), model=model, rule=(*lines, last))


def left(rules: Rules, name: str, decisions: dict[str, bool]) -> set[str]:
    decision = decided(rules, event(name, {"purposes": decisions}))
    return set() if isinstance(decision, Dropped) else leaves(decision.event) - {"page"}


@settings(max_examples=300)
@given(
    LINES,
    st.sampled_from(["opt_in", "opt_out"]),
    st.sampled_from(["purchase", "page_view"]),
    st.dictionaries(st.sampled_from(PURPOSES), st.booleans()),
    st.sampled_from(PURPOSES),
)
def test_rules_that_pass_never_give_away_more_for_less(
    lines: list[Rule], model: str, name: str, decisions: dict[str, bool], purpose: str
) -> None:
    rules = regime(lines, model)
    if loosening(rules) is None:
        more = left(rules, name, decisions | {purpose: True})
        undecided = left(rules, name, {p: d for p, d in decisions.items() if p != purpose})
        assert undecided <= more
        assert left(rules, name, decisions | {purpose: False}) <= undecided


def test_the_presets_pass_and_the_largest_set_of_purposes_is_tried_in_time() -> None:
    assert [loosening(load(preset)) for preset in PRESETS] == [None] * len(PRESETS)
    names = [f"p{number}" for number in range(8)]
    lines = [
        Rule(id=name, events=("*",), needs=(name,), action="keep", source="law") for name in names
    ]
    began_s = time.process_time()
    assert loosening(regime(lines, "opt_in")) is None
    assert time.process_time() - began_s < 5
