"""What is said several times, by cookies of one name or names that stand twice, all counts."""

import msgspec
import pytest

from consent_rules.standing import NOTHING, Carried, carrying, hear, standing
from tests.unit.consent_rules.test_standing import (
    EARLY_MS,
    LATE_MS,
    NONE_P,
    NOW_MS,
    READING,
    cookie,
    stands,
    tc,
)


@pytest.mark.parametrize(
    ("told", "stands_as"),
    [
        ({"tcf_cookie": [tc(EARLY_MS), tc(EARLY_MS, NONE_P)]}, "denied"),
        ({"tcf_cookie": [tc(EARLY_MS, NONE_P), tc(EARLY_MS)]}, "denied"),
        ({"tcf_cookie": [tc(EARLY_MS, NONE_P), tc(LATE_MS)]}, "granted"),
        ({"tcf": [tc(LATE_MS), tc(EARLY_MS)]}, "granted"),
        ({"gcs": ["G111", "G100"]}, "denied"),
        ({"gcd": ["13r3r3r3r5", "13q3q3q3q5"]}, "denied"),
        ({"gcd": ["13r3r3r3r5", "?"]}, "granted"),
        ({"cookiebot": [cookie("true", LATE_MS), cookie("false", EARLY_MS)]}, "granted"),
        ({"cookiebot": [cookie("true", EARLY_MS), cookie("false", LATE_MS)]}, "denied"),
        ({"tcf": [tc(LATE_MS)], "gdpr": ["1", "0"]}, "undecided"),
        ({"gcs": ["G111", "a", "b", "c", "d"]}, "undecided"),
        ({"gcs": ["G111", "a", "b", "c", "d"], "tcf": [tc(LATE_MS)]}, "undecided"),
    ],
)
def test_every_copy_counts(told: dict[str, list[str]], stands_as: str) -> None:
    found = stands(None, carrying(False, told))
    is_granted, is_denied = "analytics" in found.granted, "analytics" in found.denied
    assert (is_granted, is_denied) == (stands_as == "granted", stands_as == "denied")


def test_of_two_cookies_of_onetrust_the_refusal_counts_whenever_a_banner_was_closed() -> None:
    yes, no = (f"groups=C0001%3A1%2CC0002%3A{given}&landingPath=NotLandingPage" for given in "10")
    for both in ([yes, no], [no, yes]):
        told = {"onetrust": both, "onetrust_closed": ["2026-11-20T10:00:00Z"]}
        assert "analytics" in stands(None, carrying(False, told)).denied


def test_the_proof_has_every_copy() -> None:
    found = stands(None, carrying(False, {"gcs": ["G111", "G101"], "gcd": ["13r3r3r3r5"]}))
    assert msgspec.json.decode(found.text) == {"gcs": ["G111", "G101"], "gcd": "13r3r3r3r5"}


@pytest.mark.parametrize(
    "consent",
    [
        b'{"purposes":{"analytics":false,"analytics":true}}',
        b'{"purposes":{"analytics":false},"purposes":{"analytics":true}}',
        b'{"purposes":{"analytics":true},"segment":{"x":{"y":1,"y":1}}}',
        rb'{"purposes":{"analytics":false},"purp\u006fses":{"analytics":true}}',
    ],
)
def test_an_object_in_which_a_name_stands_twice_lets_nothing_be_granted(consent: bytes) -> None:
    found = standing(consent, Carried(gcs="G111"), READING, NOW_MS)
    assert (found.granted, found.readable, found.text) == (frozenset(), False, "")
    assert ("event", "said_twice") in hear(consent, NOTHING, READING).unheard
