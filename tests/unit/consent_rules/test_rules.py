"""Rules that make no sense are refused with a sentence that names the file and the rule."""

from pathlib import Path

import pytest

from consent_rules.rules import keepable_paths, load
from spine.errors import Misconfigured

HEAD = """
schema = 1
version = "1"
[needs]
click_ids = ["ads"]
identity = ["analytics"]
"""
REST = """
[[rule]]
id = "rest"
events = ["*"]
needs = []
action = "drop"
source = "law"
"""


def rule(
    name: str = "some",
    events: str = '["purchase"]',
    needs: str = "[]",
    action: str = "keep",
    more: str = "",
) -> str:
    return f"""
[[rule]]
id = "{name}"
events = {events}
needs = {needs}
action = "{action}"
source = "law"
{more}
"""


STRIP_TO = 'keep = ["name", "event_id", "occurred_at"'


def test_the_default_rules_are_read_by_name_and_by_path() -> None:
    by_name = load("eu")
    path = Path(__file__).parents[3] / "consent_rules" / "eu.toml"
    assert load(str(path)) == by_name
    assert [rule.id for rule in by_name.rule] == ["consented", "accounting", "rest"]


def test_every_rule_of_the_default_names_its_legal_source() -> None:
    assert all(rule.source for rule in load("eu").rule)


def test_rules_that_make_sense_are_read(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    strip = rule("short", '["refund"]', action="strip", more=STRIP_TO + ', "commerce.value"]')
    file.write_text(HEAD + rule(needs='["analytics"]') + strip + REST)
    assert [rule.id for rule in load(str(file)).rule] == ["some", "short", "rest"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("schema = ", "is not TOML"),
        ("", "schema"),
        (HEAD.replace("schema = 1", "schema = 2") + REST, "schema"),
        (HEAD + "x = 1" + REST, "`x`"),
        ("x = 1" + HEAD + REST, "`x`"),
        (HEAD.replace('identity = ["analytics"]', "") + REST, "`identity`"),
        (HEAD, "rule"),
        ("rule = []" + HEAD, "the last rule must fit every event"),
        (HEAD + rule(), "the last rule must fit every event"),
        (HEAD + rule(events='["*"]', needs='["a"]'), "the last rule must fit every event"),
        (HEAD + rule(more="x = 1") + REST, 'rule "some": Object contains unknown field `x`'),
        (HEAD + rule(action="maybe") + REST, 'rule "some": '),
        (HEAD + rule(events="5") + REST, 'rule "some": '),
        (HEAD + rule(events="[]") + REST, 'rule "some": '),
        (HEAD + rule() + rule() + REST, 'rule "some" stands twice'),
        (HEAD + REST + REST, 'rule "rest" stands twice'),
        (HEAD + rule(more=STRIP_TO + "]") + REST, 'rule "some" is contradictory'),
        (HEAD + rule(action="drop", more=STRIP_TO + "]") + REST, 'rule "some" is contradictory'),
        (HEAD + rule(action="strip") + REST, 'rule "some" is contradictory'),
        (
            HEAD + rule(action="strip", more=STRIP_TO + ', "commerce.revenue"]') + REST,
            'rule "some" keeps no known field: commerce.revenue',
        ),
        (
            HEAD + rule(action="strip", more=STRIP_TO + ', "ip"]') + REST,
            'rule "some" keeps no known field: ip',
        ),
        (
            HEAD + rule(action="strip", more='keep = ["name", "occurred_at"]') + REST,
            'rule "some" must keep "event_id"',
        ),
        (
            HEAD + rule("all", '["*"]') + rule("late") + REST,
            'rule "late" never decides: "all" before it',
        ),
        (
            HEAD + rule("wide", needs='["a"]') + rule("narrow", needs='["a", "b"]') + REST,
            'rule "narrow" never decides: "wide" before it',
        ),
    ],
)
def test_rules_that_make_no_sense_are_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(Misconfigured) as trouble:
        load(str(file))
    assert str(file) in str(trouble.value)
    assert says in str(trouble.value)


@pytest.mark.parametrize("name", ["nowhere", "./nowhere.toml", "../eu", "\x00", "a\x00.toml", ""])
def test_rules_that_are_not_there_are_refused_by_name(name: str) -> None:
    with pytest.raises(Misconfigured) as trouble:
        load(name)
    assert trouble.value.key == "sites.*.consent"
    assert f'"{name}"' in str(trouble.value)


def test_unreadable_rules_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "binary.toml", tmp_path):
        with pytest.raises(Misconfigured, match="sites"):
            load(f"{path}")


def test_nothing_that_names_a_device_can_be_kept_of_a_stripped_event() -> None:
    paths = keepable_paths()
    assert {"name", "commerce.value", "commerce.items.item_id"} <= paths
    assert not {"ip", "user_agent", "page", "consent", "identifiers", "commerce"} & paths
