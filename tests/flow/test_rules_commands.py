"""`beleg rules`: what who answers for consent sees, and the exit codes a pipeline reads."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.flow.copies import ROOT
from tests.nursery import run
from tests.unit.collector.test_places import GEO, written

SHOP = """
[collector]
trusted_proxies = ["10.0.0.0/8"]
country_header = "CF-IPCountry"
[sites.shop]
regions = {FR = "fr_exempt"}
"""


def beleg(directory: Path, *arguments: str, told: str = "") -> "subprocess.CompletedProcess[str]":
    if not told:
        return run("beleg", *arguments, cwd=directory)
    return subprocess.run(
        [sys.executable, "-m", "beleg", *arguments],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        input=told,
        capture_output=True,
        text=True,
        check=False,
    )


def explained(directory: Path, *arguments: str, event: dict[str, Any] | None = None) -> Any:
    file = ["-"] if event is not None else []
    told = json.dumps(event) if event is not None else ""
    ended = beleg(directory, "rules", "explain", *file, *arguments, "--json", told=told)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_an_event_is_explained_as_the_collector_would_decide(tmp_path: Path) -> None:
    (tmp_path / "beleg.toml").write_text(SHOP)
    assert explained(tmp_path)["rule"] == "rest"
    assert explained(tmp_path, "--site", "shop", "--country", "fr")["rule"] == "exempt"
    assert explained(tmp_path, "--site", "shop", "--country", "DE")["rule"] == "rest"
    written(tmp_path / "geo.mmdb", GEO)
    with_file = SHOP.replace("[sites", 'country_file = "geo.mmdb"\n[sites')
    (tmp_path / "beleg.toml").write_text(with_file)
    assert explained(tmp_path, "--site", "shop", "--address", "203.0.113.7")["rule"] == "exempt"
    assert explained(tmp_path, "--site", "shop", "--address", "203.0.113.200")["rule"] == "rest"
    control = explained(tmp_path, "--rules", "us", "--gpc")
    assert (control["rule"], control["signals"], control["exports"]) == ("opted_out", ["gpc"], [])
    own = explained(tmp_path, event={"name": "login", "consent": {"purposes": {"analytics": True}}})
    assert (own["outcome"], own["stays"], own["lines"][0]["fits"]) == ("whole", ["name"], True)
    words = beleg(tmp_path, "rules", "explain", "--onetrust", "groups=C0002%3A1").stdout
    assert "onetrust: undecided" in words
    assert "no: needs analytics, which nothing grants" in words


@pytest.mark.parametrize(
    ("arguments", "told", "says"),
    [
        (["--country", "FR"], "", "--country chooses among the rules of --site"),
        (["--address", "1.2.3.4"], "", "--address is for --site"),
        (["--site", "shop", "--address", "1.2.3.4"], "", "collector.country_file: is not set"),
        (["--site", "shop", "--rules", "eu"], "", "two ways to say the same"),
        (["--site", "club"], "", "sites.club: there is no such site"),
        (["--rules", "./none.toml"], "", 'no rules "./none.toml"'),
        (["-"], "{", "unreadable_body: "),
        (["-"], '{"name": 5}', "wrong_type: "),
    ],
)
def test_what_cannot_be_explained_says_why(
    tmp_path: Path, arguments: list[str], told: str, says: str
) -> None:
    (tmp_path / "beleg.toml").write_text(SHOP)
    ended = beleg(tmp_path, "rules", "explain", *arguments, told=told)
    assert ended.returncode == 2
    assert says in ended.stderr


def test_examples_fail_a_pipeline_when_rules_come_out_otherwise(tmp_path: Path) -> None:
    ended = beleg(tmp_path, "rules", "test")
    assert (ended.returncode, ": 0 failures" in ended.stdout) == (0, True)
    text = (ROOT / "consent_rules/eu.toml").read_text("utf-8")
    (tmp_path / "own.toml").write_text(
        text.replace('needs = ["analytics"]', 'needs = ["functional"]')
    )
    cases = (ROOT / "consent_rules/cases.toml").read_text("utf-8")
    (tmp_path / "cases.toml").write_text(cases.replace('rules = "eu"', 'rules = "./own.toml"'))
    ended = beleg(tmp_path, "rules", "test", "cases.toml")
    assert ended.returncode == 1
    assert "TCF 2.3, everything accepted: rule is rest, should be consented" in ended.stdout


def test_rules_are_printed_as_tables(tmp_path: Path) -> None:
    ended = beleg(tmp_path, "rules", "table")
    assert [line for line in ended.stdout.splitlines() if line.startswith("## ")] == [
        "## eu", "## fr_exempt", "## fr_cookieless", "## us",
    ]  # fmt: skip
    assert "| `opted_out` |" in ended.stdout
    assert beleg(tmp_path, "rules", "table", "us").stdout in ended.stdout


def test_a_check_reads_all_rules_of_all_sites_and_countries(tmp_path: Path) -> None:
    (tmp_path / "beleg.toml").write_text(SHOP)
    said = beleg(tmp_path, "check").stdout
    assert "site shop: consent rules eu, version eu@" in said
    assert "site shop: visitors from FR: version fr_exempt@" in said
    (tmp_path / "own.toml").write_text("schema = 2")
    (tmp_path / "beleg.toml").write_text(SHOP.replace('"fr_exempt"', '"./own.toml"'))
    for command in ("check", "run"):
        ended = beleg(tmp_path, command)
        assert (ended.returncode, "consent rules ./own.toml: " in ended.stderr) == (2, True)
