"""Google's consent mode: every case of the vectors, and that no other form grants anything."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_rules.reading import Reading
from consent_rules.signals.google import gcd, gcs, says_gcd, says_gcs
from consent_rules.signals.said import NoSignal, Said
from tests.unit.consent_rules.signals.given import vectors

VECTORS = vectors("google_consent_mode_gcs_gcd")
READING = Reading()
WORDS = {True: "granted", False: "denied"}


@pytest.mark.parametrize("case", VECTORS["gcs_cases"], ids=lambda case: case["gcs"])
def test_every_case_of_gcs_gives_the_expected_answer(case: dict[str, str]) -> None:
    found = gcs(case["gcs"])
    if case.get("expect") == "reject_or_unknown":
        assert found is None
    else:
        assert found is not None
        assert {"gcs": case["gcs"]} | {name: WORDS[given] for name, given in found.items()} == case


@pytest.mark.parametrize("case", VECTORS["gcd_cases"], ids=lambda case: case["gcd"])
def test_every_case_of_gcd_gives_the_expected_answer(case: dict[str, Any]) -> None:
    found = gcd(case["gcd"])
    assert found is not None
    places = VECTORS["rule"]["positions_0_based"]
    assert case["decoded"] == {
        name: {
            "char": case["gcd"][places[name]],
            "default": state.default,
            "update": state.update,
            "effective": state.effective,
        }
        for name, state in found.items()
    }


@pytest.mark.parametrize(("letter", "state"), VECTORS["letter_table"].items())
def test_every_letter_tells_what_the_table_says(letter: str, state: dict[str, str]) -> None:
    found = gcd(f"13{letter}3l3l3l1")
    assert found is not None
    assert found["ad_storage"]._asdict() == state


def only(said: Any) -> Said:
    (one,) = said
    assert isinstance(one, Said)
    return one


def test_what_was_granted_last_is_granted_and_what_is_not_set_says_nothing() -> None:
    said = only(says_gcd("gcd", "13r3v3m3l5", READING))
    assert said.granted == {"device_storage", "analytics"}
    assert said.denied == {"ads_measurement", "crm_matching"}
    assert only(says_gcd("gcd", "13l3l3l3l1", READING))[1:3] == (frozenset(), frozenset())


def test_gcs_alone_does_not_tell_whether_data_may_go_to_google() -> None:
    said = only(says_gcs("gcs", "G111", READING))
    assert said.granted == {"device_storage", "analytics"}
    assert said.denied == frozenset()
    assert only(says_gcs("gcs", "G101", READING)).denied == {"device_storage", "ads_measurement"}


@pytest.mark.parametrize("letter", "kK?0Azj")
def test_a_letter_that_is_not_known_to_grant_denies(letter: str) -> None:
    assert "analytics" in only(says_gcd("gcd", f"13l3{letter}3l3l1", READING)).denied


@given(
    st.text(st.characters(exclude_categories=()), max_size=5000) | st.text("13lrvtG0_", max_size=40)
)
def test_whatever_is_sent_is_read_or_named(text: str) -> None:
    for says in (says_gcs, says_gcd):
        (said,) = says("g", text, READING)
        known = gcs(text) if says is says_gcs else gcd(text)
        assert isinstance(said, NoSignal) is (known is None)
