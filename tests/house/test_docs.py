"""The documentation says what the code does: a page that went stale fails here."""

import json
import re
import tomllib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import msgspec
import pytest

from beleg.__main__ import cli
from collector.decode import Claims, decode
from collector.naming import Told
from spine.codes import CODES
from spine.column_dictionary import columns
from spine.event import Commerce, ConsentClaim, Event, Identifiers, Item, Page
from spine.migrations import migrations
from spine.settings import Settings
from spine.settings_file import load
from spine.store import Store
from tests.clickhouse_server import Server
from tests.house.generate import ROOT, metric_names, pages, settings

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DECISIONS = sorted(ROOT.glob("docs/decisions/*.md"))
DEPLOYED = sorted(path for path in ROOT.glob("deploy/*") if path.is_file())
HTTP, TABLES = ROOT / "docs/http.md", ROOT / "docs/tables.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MEANT_ONLY = {"ledger", "sites"}  # words before a dot that are no section of the settings


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(("path", "text"), pages().items(), ids=map(_name, pages()))
def test_what_is_made_from_the_code_is_as_it_would_be_made_now(path: Path, text: str) -> None:
    assert path.read_text("utf-8") == text, "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        if anchor:
            assert anchor in _anchors(found), target


def _anchors(page: Path) -> list[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", [*PAGES, *DEPLOYED], ids=_name)
def test_only_settings_metrics_commands_and_targets_that_exist_are_named(page: Path) -> None:
    text = page.read_text("utf-8")
    keys = {f"{one.section}.{one.name}".lstrip(".") for one in settings()}
    sections = set(Settings.__struct_fields__) - _MEANT_ONLY
    for section, key in re.findall(r"`([a-z]+)\.([a-z_]+)`", text):
        if section in sections:
            assert f"{section}.{key}" in keys
    for variable in re.findall(r"BELEG__[A-Z_]*[A-Z]", text):
        named = variable.removeprefix("BELEG__").lower().replace("__", ".")
        assert named in keys or named == "section.key"
    assert set(re.findall(r"\bbeleg_[a-z_]+", text)) <= metric_names()
    commands = set(re.findall(r"^beleg ([a-z]+)|`beleg ([a-z]+)", text, re.MULTILINE))
    assert {first or second for first, second in commands} <= set(cli.commands)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= targets


def _blocks(page: Path, language: str) -> Iterator[str]:
    for kind, text in _BLOCK.findall(page.read_text("utf-8")):
        if kind == language:
            yield text


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_settings_example_is_taken(page: Path, tmp_path: Path) -> None:
    for text in _blocks(page, "toml"):
        file = tmp_path / "beleg.toml"
        file.write_text(text)
        load(file, {})


def test_the_example_settings_are_the_defaults_and_a_site() -> None:
    example = load(ROOT / "settings.example.toml", {})
    assert msgspec.structs.replace(example, sites={}) == Settings()
    assert set(tomllib.loads((ROOT / "settings.example.toml").read_text())["sites"]) == {"shop"}
    assert load(ROOT / "deploy/beleg.toml", {}).sites


def test_every_request_that_is_shown_is_taken() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    (sent,) = re.findall(r"-d '\n(\{.*?\})'\n", readme, re.DOTALL)
    shown = [sent, *_blocks(HTTP, "json")]
    requests = [text for text in shown if "results" not in json.loads(text)]
    assert len(requests) == 2
    for request in requests:
        claims = decode(request.encode(), 500)
        assert isinstance(claims, Claims)
        assert all(isinstance(event, Event) for event in claims.events)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_curl_that_is_shown_says_what_it_posts(page: Path) -> None:
    """Without a type curl posts a form, which the public listener does not take."""
    for command in re.findall(r"^curl .*?/v1/.*?^```$", page.read_text("utf-8"), re.M | re.S):
        assert "-d" not in command or "Content-Type: application/json" in command, command


def test_every_answer_that_is_shown_is_one_that_is_given() -> None:
    shown = [*_blocks(HTTP, "json"), *_blocks(ROOT / "README.md", "json")]
    answers = [answer for text in shown if "results" in (answer := json.loads(text))]
    assert len(answers) == 2
    for answer in answers:
        accepted = [r for r in answer["results"] if r["status"] == "accepted"]
        assert answer["accepted"] == len(accepted)
        for result in answer["results"]:
            assert set(result) == {"event_id", "status", "code", "detail"}
            assert result["code"] is None or CODES[result["code"]].kind == result["status"]


def test_every_field_of_an_event_is_described_with_its_limits() -> None:
    section = HTTP.read_text("utf-8").partition("## The event\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| `([\w.]+)` \| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)
    assert len(dict(rows)) == len(rows)
    assert dict(rows) == dict(_fields("", Event))


_NESTED = {
    Page: "page.",
    Identifiers: "identifiers.",
    Commerce: "commerce.",
    Item: "commerce.items.",
}


_SENT: dict[type, type[msgspec.Struct]] = {Identifiers: Told}
"""What may be sent in place of what is kept."""


def _fields(prefix: str, struct: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    for field in msgspec.inspect.type_info(struct).fields:  # type: ignore[attr-defined]
        path, kind = prefix + field.name, _needed(field.type)
        if isinstance(kind, msgspec.inspect.StructType):
            if kind.cls in _NESTED:
                yield from _fields(_NESTED[kind.cls], _SENT.get(kind.cls, kind.cls))
            else:  # somebody else's object, of which we read a part
                yield path, "object"
            continue
        yield path, _said(kind)
        if kind.__class__ is msgspec.inspect.VarTupleType:
            yield from _fields(f"{path}.", Item)
        if kind.__class__ is msgspec.inspect.RawType:
            yield from _fields(f"{path}.", ConsentClaim)


def _needed(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    if isinstance(kind, msgspec.inspect.UnionType):
        (kind,) = [one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType)]
    return kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind


def _said(kind: msgspec.inspect.Type) -> str:
    match kind:
        case msgspec.inspect.StrType(pattern=str(form)) if "0-9a-f]{64}" in form:
            return "64 hex digits"
        case msgspec.inspect.StrType(pattern=str(form)) if r"[^\x00-\x1f\x7f]" in form:
            return "text 1–64, printable" if "{1,64}" in form or kind.max_length == 64 else form
        case msgspec.inspect.StrType(min_length=None, max_length=most):
            return f"text ≤ {most}"
        case msgspec.inspect.StrType(min_length=least, max_length=most):
            return f"text {least}–{most}"
        case msgspec.inspect.IntType(ge=None):
            return "whole number"
        case msgspec.inspect.IntType(ge=least, le=most):
            return f"whole number {least}–{most}"
        case msgspec.inspect.VarTupleType(max_length=most):
            return f"list ≤ {most}"
        case msgspec.inspect.DictType(max_length=most):
            return f"map ≤ {most}"
        case msgspec.inspect.DecimalType():
            return "amount"
        case msgspec.inspect.DateTimeType():
            return "instant"
        case msgspec.inspect.RawType():
            return "object"
        case _:
            raise AssertionError(f"docs/http.md has no words for {kind}")


async def test_every_view_and_table_is_described_column_by_column(
    clickhouse_server: Server, tmp_path: Path
) -> None:
    host, port = clickhouse_server
    store = await Store.open(f"clickhouse://{host}:{port}/documented", tmp_path, makes=True)
    try:
        await store.migrate(lambda _: None)
        relations = {
            str(name): str(engine) == "View"
            for name, engine in await store.select(
                "SELECT name, engine FROM system.tables WHERE database = currentDatabase()"
            )
        }
        views = {
            name: [row[:2] for row in await store.select(f"DESCRIBE TABLE {name}")]
            for name in relations
            if name.startswith("v_")
        }
        in_store = await store.select("SELECT * FROM column_dictionary")
    finally:
        await store.close()
    page = TABLES.read_text("utf-8")
    assert {
        view: [(column.name, column.type) for column in of_view]
        for view, of_view in groupby(columns(), lambda column: column.view)
    } == views
    assert sorted(in_store) == sorted(columns())
    assert re.findall(r"^### (v_\w+)$", page, re.MULTILINE) == [
        *dict.fromkeys(c.view for c in columns())
    ]
    steps = {name for name, is_view in relations.items() if is_view and name not in views}
    assert set(re.findall(r"`(\w+)`", page.partition("\nThe views ")[2])) == steps
    told = re.findall(r"^\| `(\w+)` \|", page.partition("## Tables\n")[2], re.MULTILINE)
    assert sorted(told) == sorted(name for name, is_view in relations.items() if not is_view)


def test_every_decision_is_one_page_with_the_same_three_parts() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for path in DECISIONS:
        text = path.read_text("utf-8")
        assert text.startswith(f"# {path.name[:4]} ")
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
        ]
        assert len(text.splitlines()) <= 60


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    text = (ROOT / "docs/decisions/0010-dependencies.md").read_text("utf-8")
    for name in (re.split(r"[<>=~!\[ ]", each)[0] for each in named):
        assert re.search(rf"\b{re.escape(name)}\b", text), name


def test_every_migration_has_its_own_number_in_a_row() -> None:
    assert list(migrations()) == list(range(1, len(migrations()) + 1))


def test_the_changelog_knows_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_attack_that_is_listed_is_tested() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/attacks.md").read_text("utf-8")))
    written = {
        name
        for path in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert named
    assert named <= written
