"""The worked examples of the rules: all are as they must be, and no rule could be otherwise."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from consent_rules.cases import Cases, explained, failures, read, rules_of
from consent_rules.explain import in_words
from consent_rules.faults import fault_of
from consent_rules.regime import ALL_IDS, Rule, Rules
from consent_rules.rules import PRESETS, load
from spine.errors import Misconfigured

CASES = read()
RULES = rules_of(CASES)
REQUIRED = ("name", "event_id", "occurred_at")


@dataclass(frozen=True)
class Mutant:
    """Rules in which one thing is otherwise."""

    what: str
    preset: str
    rules: Rules


def test_every_example_is_as_it_must_be_and_every_line_has_one() -> None:
    assert set(RULES) == set(PRESETS)
    assert failures(CASES, RULES) == []


def test_ten_examples_and_more_are_shown() -> None:
    shown = [case for case in CASES.case if case.shown]
    assert len(shown) >= 10
    for case in CASES.case:
        text = in_words(explained(CASES, case, RULES[case.rules]))
        assert max(map(len, text.splitlines())) <= 100
        assert case.rule in text


def mutants() -> Iterator[Mutant]:
    for preset in PRESETS:
        rules = load(preset)
        for index, rule in enumerate(rules.rule):
            for what, changed in of_rule(rule):
                lines = (*rules.rule[:index], changed, *rules.rule[index + 1 :])
                other = msgspec.structs.replace(rules, rule=lines)
                yield Mutant(f"{preset} {rule.id}: {what}", preset, other)
        for what, other in of_the_rest(rules):
            yield Mutant(f"{preset} {what}", preset, other)


def of_rule(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Every condition, action and limit of a line, otherwise."""

    def changed(**fields: object) -> Rule:
        return msgspec.structs.replace(rule, **fields)

    for action in sorted({"keep", "strip", "drop"} - {rule.action}):
        yield f"action {action}", changed(action=action, keep=rule.keep or REQUIRED)
    for purpose in rule.needs:
        yield f"needs no {purpose}", changed(needs=tuple(p for p in rule.needs if p != purpose))
    for purpose in sorted({"analytics", "ads_measurement"} - {*rule.needs, *rule.unless}):
        yield f"needs {purpose}", changed(needs=(*rule.needs, purpose))
    for purpose in rule.unless:
        yield f"whatever {purpose}", changed(unless=())
    yield "for no event", changed(events=("other",))
    if rule.events != ("*",):
        yield "for every event", changed(events=("*",))
    if rule.action == "drop":
        return
    for path in sorted(set(rule.keep) - set(REQUIRED)):
        yield f"without {path}", changed(keep=tuple(p for p in rule.keep if p != path))
    if rule.action == "strip":
        yield "with the user", changed(keep=(*rule.keep, "user_id"))
        others = {"none", "daily_salt"} - {rule.id_mode}
        yield "id mode", changed(id_mode=others.pop())
        yield "with the coupon", changed(keep=(*rule.keep, "commerce.coupon"))
    else:
        yield "ip", changed(ip="cut" if rule.ip == "drop" else "drop")
        yield "ids", changed(ids=() if rule.ids == ALL_IDS else ALL_IDS)
    for limit in ("url", "referrer"):
        if rule.action == "keep" or f"page.{limit}" in rule.keep:
            for extent in sorted({"whole", "path", "origin"} - {getattr(rule, limit)}):
                yield f"{limit} {extent}", changed(**{limit: extent})
    yield "user agent", changed(user_agent="drop" if rule.user_agent == "family" else "family")
    yield "retention", changed(retention="other")


def of_the_rest(rules: Rules) -> Iterator[tuple[str, Rules]]:
    model = "opt_in" if rules.model == "opt_out" else "opt_out"
    yield f"model {model}", msgspec.structs.replace(rules, model=model)
    anyway = [set(rule.needs) for rule in rules.rule if rule.action == "keep"]
    for what in ("click_ids", "identity"):
        needs = getattr(rules.needs, what)
        # What every line that keeps needs anyway is written down for people.
        for purpose in (p for p in needs if not all(p in those for those in anyway)):
            fewer = msgspec.structs.replace(
                rules.needs, **{what: tuple(p for p in needs if p != purpose)}
            )
            yield f"{what} without {purpose}", msgspec.structs.replace(rules, needs=fewer)
    for to, needs in rules.exports.items():
        others = {name: each for name, each in rules.exports.items() if name != to}
        yield f"nothing to {to}", msgspec.structs.replace(rules, exports=others)
        for purpose in needs:
            fewer_needs = others | {to: tuple(p for p in needs if p != purpose)}
            yield f"{to} without {purpose}", msgspec.structs.replace(rules, exports=fewer_needs)


@pytest.mark.parametrize("mutant", list(mutants()), ids=lambda mutant: mutant.what)
def test_rules_that_are_otherwise_break_an_example(mutant: Mutant) -> None:
    broken = failures(CASES, RULES | {mutant.preset: mutant.rules})
    assert broken or fault_of(mutant.rules) is not None  # which are refused at the start


def test_there_are_mutants_of_every_kind() -> None:
    kinds = {mutant.what.partition(": ")[2].split(" ")[0] for mutant in mutants()}
    assert {"action", "needs", "whatever", "for", "without", "ip", "ids", "url"} <= kinds
    assert all(fault_of(rules) is None for rules in RULES.values())


OWN = """
schema = 1
events.page = {name = "page_view", anonymous_id = "a"}
[[case]]
title = "mine"
rules = "./own.toml"
event = "page"
at = 2026-11-22T10:00:00Z
"""


def own(tmp_path: Path, more: str) -> Cases:
    eu = (Path(__file__).parents[3] / "consent_rules/eu.toml").read_text("utf-8")
    (tmp_path / "own.toml").write_text(eu, "utf-8")
    (tmp_path / "cases.toml").write_text(OWN + more, "utf-8")
    return read(tmp_path / "cases.toml")


def test_examples_of_ones_own_stand_beside_their_rules(tmp_path: Path) -> None:
    cases = own(tmp_path, 'rule = "rest"\noutcome = "dropped"')
    assert failures(cases, rules_of(cases)) == [
        f'{tmp_path}/own.toml: rule "consented" has no example',
        f'{tmp_path}/own.toml: rule "accounting" has no example',
    ]
    cases = own(tmp_path, 'rule = "consented"\noutcome = "whole"\nlinked = true\ngone = ["name"]')
    assert failures(cases, rules_of(cases))[:2] == [
        "mine: rule is rest, should be consented",
        "mine: outcome is dropped, should be whole",
    ]
    cases = own(
        tmp_path,
        'rule = "consented"\noutcome = "whole"\nconsent = {purposes = {analytics = true}}',
    )
    assert "mine: linked is True, should be nothing" in failures(cases, rules_of(cases))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("", "rule"),
        ('rule = "rest"\noutcome = "dropped"\nx = 1', "`x`"),
        ('rule = "rest"\noutcome = "dropped"\ncarried = {cookie = "x"}', "carries no such cookie"),
        ('rule = "rest"\noutcome = "dropped"\ncarried = {gpc = "1"}', "carries no such gpc"),
        ('rule = "rest"\noutcome = "dropped"\nrules = "eu"', "rules"),
        ("= 1", "TOML"),
    ],
)
def test_examples_that_make_no_sense_are_refused(tmp_path: Path, more: str, says: str) -> None:
    with pytest.raises(Misconfigured) as trouble:
        cases = own(tmp_path, more)
        failures(cases, rules_of(cases))
    assert says in str(trouble.value) or "cases.toml" in str(trouble.value)
