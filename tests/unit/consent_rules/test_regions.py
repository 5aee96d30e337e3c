"""Whose rules decide: those of the visitor's country, and the strictest where nobody knows it."""

from pathlib import Path

import pytest

from consent_rules.regions import load_all
from consent_rules.rules import load
from spine.errors import Misconfigured

EU = Path(__file__).parents[3] / "consent_rules/eu.toml"


def test_a_country_has_its_own_rules_and_every_other_place_the_sites() -> None:
    regimes = load_all("shop", "eu", {"FR": "fr_exempt", "us": "us"})
    for country, name in (
        ("FR", "fr_exempt"),
        ("US", "us"),
        ("DE", "eu"),
        ("", "eu"),
        ("XX", "eu"),
    ):
        assert regimes.of(country).version == load(name).version
    assert set(regimes.versions) == {"", "FR", "US"}


def test_a_stamp_is_judged_again_by_the_file_it_names() -> None:
    regimes = load_all("shop", "eu", {"FR": "fr_exempt"})
    assert regimes.named("fr_exempt@older+00000000") is regimes.by_country["FR"]
    for version in ("eu@2026-11-29+00000000", "us@2026-11-29+00000000", "2026-11-22", ""):
        assert regimes.named(version) is regimes.own


@pytest.mark.parametrize(
    ("own", "regions", "says"),
    [
        ("us", {"FR": "eu"}, 'sites.shop.consent: "us" decides where no country is known'),
        ("fr_exempt", {"DE": "eu"}, "make the strictest the site's own"),
        ("eu", {"France": "fr_exempt"}, 'sites.shop.regions: "FRANCE" is no country'),
        ("eu", {"US-CA": "us"}, "is no country"),
        ("eu", {"FR": "nowhere"}, 'no rules "nowhere"'),
    ],
)
def test_regions_that_make_no_sense_are_refused(
    own: str, regions: dict[str, str], says: str
) -> None:
    with pytest.raises(Misconfigured) as trouble:
        load_all("shop", own, regions)
    assert says in str(trouble.value)


def test_two_files_of_a_site_are_told_apart_in_stamps(tmp_path: Path) -> None:
    (tmp_path / "eu.toml").write_text(EU.read_text("utf-8").replace("2026", "2027"), "utf-8")
    with pytest.raises(Misconfigured, match="same name in stamps"):
        load_all("shop", "eu", {"DE": str(tmp_path / "eu.toml")})
