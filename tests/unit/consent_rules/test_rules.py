"""Rules that make no sense are refused with a sentence that names the file and the rule."""

import re
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from consent_rules.faults import keepable_paths
from consent_rules.regime import KEEPINGS, name_of
from consent_rules.rules import PRESETS, load
from spine.errors import Misconfigured

HEAD = """
schema = 1
version = "1"
[needs]
click_ids = ["ads_measurement"]
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


def kept(name: str, days: int, orders: str = "") -> str:
    then = f'orders = "{orders}"' if orders else ""
    return f"""
[retention.{name}]
days = {days}
source = "law"
{then}
"""


STRIP_TO = 'keep = ["name", "event_id", "occurred_at"'


def test_the_default_rules_are_read_by_name_and_by_path() -> None:
    by_name = load("eu")
    path = Path(__file__).parents[3] / "consent_rules" / "eu.toml"
    assert msgspec.json.encode(load(str(path))) == msgspec.json.encode(by_name)
    assert [rule.id for rule in by_name.rule] == ["consented", "accounting", "rest"]


def test_rules_that_make_sense_are_read(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    strip = rule("short", '["refund"]', action="strip", more=STRIP_TO + ', "commerce.value"]')
    file.write_text(HEAD + rule(needs='["analytics"]') + strip + REST)
    assert [rule.id for rule in load(str(file)).rule] == ["some", "short", "rest"]


def test_a_file_says_how_long_what_is_of_its_classes_stays(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    own = kept("usage", 90) + kept("trial", 30, "accounting")
    file.write_text(HEAD + own + rule(more='retention = "trial"') + REST)
    keepings = load(str(file)).keepings
    assert {name: (one.days, one.orders) for name, one in keepings.items()} == {
        "usage": (90, None), "audience": (760, None), "accounting": (4018, None),
        "proof": (1826, None), "trial": (30, "accounting"),
    }  # fmt: skip
    books = rule("books", more='retention = "accounting"')
    file.write_text(HEAD + books + REST)
    assert load(str(file)).keepings == KEEPINGS


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
        (HEAD + rule(events='["*"]', needs='["analytics"]'), "the last rule must fit every event"),
        (HEAD + rule(more="x = 1") + REST, 'rule "some": Object contains unknown field `x`'),
        (HEAD + rule(action="maybe") + REST, 'rule "some": '),
        (HEAD + rule(events="5") + REST, 'rule "some": '),
        (HEAD + rule(events="[]") + REST, 'rule "some": '),
        (HEAD + rule() + rule() + REST, 'rule "some" stands twice'),
        (HEAD + REST + REST, 'rule "rest" stands twice'),
        (HEAD + rule(more=STRIP_TO + "]") + REST, 'rule "some" is contradictory'),
        (HEAD + rule(action="drop", more=STRIP_TO + "]") + REST, 'rule "some" is contradictory'),
        (HEAD + rule(action="strip") + REST, 'rule "some" is contradictory'),
        (HEAD + rule(needs='["analytcs"]') + REST, 'nothing grants "analytcs"'),
        (HEAD + rule(more='unless = ["analytcs"]') + REST, 'nothing grants "analytcs"'),
        (HEAD + rule(needs='["?gclid=1"]') + REST, 'line 8, rule "some": '),
        (
            HEAD + rule(needs='["analytics"]', more='unless = ["analytics"]') + REST,
            'line 8, rule "some" is contradictory: "analytics" is needed',
        ),
        (HEAD + rule("all", '["*"]', more='unless = ["analytics"]'), "the last rule must fit"),
        (
            HEAD + rule("wide", more='unless = ["analytics"]') + rule(needs='["analytics"]') + REST,
            'rule "some" never decides: "wide" before it',
        ),
        (HEAD + rule(action="drop", more='ip = "drop"') + REST, 'of action "drop" nothing is left'),
        (HEAD + rule(more='retention = "x"') + REST, '"some" names no class of events: "x"'),
        (HEAD + rule(more='retention = "proof"') + REST, 'names no class of events: "proof"'),
        (HEAD + kept("usage", 7) + REST, "days"),
        (HEAD + kept("usage", 30, "tax") + REST, 'retention.usage names no class of events: "tax"'),
        (HEAD + kept("usage", 9999, "accounting") + REST, "which must keep them for longer"),
        (
            HEAD + kept("audience", 9, "usage") + kept("usage", 99, "accounting") + REST,
            "and to their end",
        ),
        (HEAD + rule(action="drop", more='retention = "x"') + REST, 'of action "drop" nothing is'),
        (
            HEAD + rule(action="strip", more=STRIP_TO + ']\nip = "drop"') + REST,
            "a strip has no address",
        ),
        (
            HEAD + rule(action="strip", more=STRIP_TO + "]\nids = []") + REST,
            "a strip has no address",
        ),
        (
            HEAD + rule(action="strip", more=STRIP_TO + ']\nuser_agent = "whole"') + REST,
            'has the "family", or nothing',
        ),
        (
            HEAD + rule(action="strip", more=STRIP_TO + ', "page.url"]') + REST,
            'must say how much of page.url it keeps: url = "path"',
        ),
        (
            HEAD + rule(action="strip", more=STRIP_TO + ']\nreferrer = "origin"') + REST,
            "must say how much of page.referrer it keeps",
        ),
        (
            HEAD + rule(more='id_mode = "daily_salt"') + REST,
            'rule "some" is contradictory: id_mode is for a strip that keeps no id',
        ),
        (
            HEAD
            + rule(action="strip", more=STRIP_TO + ', "user_id"]\nid_mode = "daily_salt"')
            + REST,
            "id_mode is for a strip that keeps no id",
        ),
        (
            HEAD
            + rule("yes", needs='["analytics"]', action="strip", more=STRIP_TO + "]")
            + rule(action="strip", more=STRIP_TO + ']\nid_mode = "daily_salt"')
            + REST,
            'of purchase "some" keeps what "yes" does not, though analytics is undecided and not',
        ),
        (HEAD + rule(more='ids = ["email"]') + REST, 'rule "some": '),
        (
            HEAD
            + rule("yes", needs='["analytics"]', action="strip", more=STRIP_TO + "]")
            + rule()
            + REST,
            'of purchase "some" keeps what "yes" does not, though analytics is undecided and not',
        ),
        (
            HEAD
            + rule("yes", needs='["analytics"]', more='url = "path"')
            + rule("no", more='url = "whole"\nip = "drop"')
            + REST,
            'of purchase "no" keeps what "yes" does not',
        ),
        (
            HEAD + rule("yes", more='unless = ["analytics"]\nids = []') + rule("no") + REST,
            "though analytics is denied and not undecided",
        ),
        (
            'own_purposes = ["a", "b", "c", "d", "e", "f", "g"]'
            + HEAD
            + "".join(rule(p, needs=f'["{p}"]') for p in ("a", "b", "c", "d", "e", "f", "g"))
            + rule("h", needs='["analytics", "functional"]')
            + REST,
            "more than 8 purposes",
        ),
        (HEAD + rule(more='retention = "Long ago"') + REST, 'rule "some": '),
        (HEAD.replace('version = "1"', 'version = "eu@1"') + REST, "version"),
        ('model = "opt"' + HEAD + REST, "model"),
        (HEAD + "[signals]\nmax_age_days = 0" + REST, "max_age_days"),
        (HEAD + '[exports]\nmeta = ["?"]' + REST, "exports"),
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
            HEAD
            + rule("wide", needs='["analytics"]')
            + rule("narrow", needs='["analytics", "functional"]')
            + REST,
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


def test_a_purpose_of_ones_own_is_named_before_it_is_used(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('own_purposes = ["more"]' + HEAD + rule(needs='["more"]') + REST)
    assert load(str(file)).purposes == {"ads_measurement", "analytics", "more"}


def test_a_file_that_changed_is_another_version_whatever_it_says_itself(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    versions = set()
    for text in (HEAD + REST, HEAD + REST.replace("law", "another law")):
        file.write_text(text)
        digest = sha256(text.encode()).hexdigest()[:8]
        versions.add(load(str(file)).version)
        assert f"own@1+{digest}" in versions
    assert len(versions) == 2
    assert {name_of(version) for version in versions} == {"own"}
    assert name_of("2026-11-22") == ""  # as stamps were before


@pytest.mark.parametrize("preset", PRESETS)
def test_every_line_of_a_preset_that_decides_names_its_legal_source(preset: str) -> None:
    text = (Path(__file__).parents[3] / f"consent_rules/{preset}.toml").read_text("utf-8")
    bare = re.compile(
        r"^(?:max_age|gpc|us_|click|ident|\w+ = \[.ads|ip|ids|url|ref|user|ret|unless|model)"
    )
    for above, line in pairwise(text.splitlines()):
        if bare.match(line):
            assert "#" in line or above.startswith("#"), line
    assert all(rule.source for rule in load(preset).rule)


@pytest.mark.parametrize("name", ["nowhere", "./nowhere.toml", "../eu", "\x00", "a\x00.toml", ""])
def test_rules_that_are_not_there_are_refused_by_name(name: str) -> None:
    with pytest.raises(Misconfigured) as trouble:
        load(name)
    assert trouble.value.key == "sites.*.consent"
    assert f'"{name}"' in str(trouble.value)


def test_who_slips_in_a_name_is_told_which_there_are() -> None:
    with pytest.raises(Misconfigured) as trouble:
        load("fr_exemt")
    assert str(trouble.value).endswith(": there are eu, fr_exempt, fr_cookieless, us, or a path")


def test_unreadable_rules_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "binary.toml", tmp_path):
        with pytest.raises(Misconfigured, match=r"sites|is not TOML"):
            load(f"{path}")


def test_nothing_that_names_a_device_can_be_kept_of_a_stripped_event() -> None:
    paths = keepable_paths()
    assert {"name", "commerce.value", "commerce.items.item_id"} <= paths
    assert not {"ip", "user_agent", "page", "consent", "identifiers", "commerce"} & paths
