"""The cookies of Cookiebot and OneTrust: every case of the vectors, and what nobody has chosen."""

import time
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_rules.reading import Reading
from consent_rules.signals import cookiebot, onetrust
from consent_rules.signals.said import NoSignal, Said
from tests.unit.consent_rules.signals.given import vectors

COOKIEBOT = vectors("cookiebot_cookieconsent")["cases"]
ONETRUST = vectors("onetrust_optanonconsent")["cases"]
COOKIES = {
    case["id"]: case.get("cookie") or case["optanon_consent"] for case in (*COOKIEBOT, *ONETRUST)
}
READING = Reading()
CLOSED = "2026-01-22T14:26:49.236Z"
ALL = {"functional", "analytics", "ads_measurement", "ads_personalization"}


@pytest.mark.parametrize("case", COOKIEBOT, ids=lambda case: case["id"])
def test_every_case_of_cookiebot_gives_the_expected_answer(case: dict[str, Any]) -> None:
    found = cookiebot.decode(case["cookie"])
    told: dict[str, Any] = {"state": "unreadable", "preferences": False}
    told |= {"statistics": False, "marketing": False}
    if found is not None:
        told = {
            "state": found.state,
            "preferences": found.preferences,
            "statistics": found.statistics,
            "marketing": found.marketing,
            "utc_ms": found.decided_ms,
            "region": found.region or None,
            "ver": found.version,
        }
    told["necessary"] = True
    assert {name: value for name, value in told.items() if value is not None} == case["expect"]


@pytest.mark.parametrize("case", ONETRUST, ids=lambda case: case["id"])
def test_every_case_of_onetrust_gives_the_expected_answer(case: dict[str, Any]) -> None:
    found = onetrust.decode(case["optanon_consent"], case["alert_box_closed"] or "")
    assert found is not None
    told = {
        "decided": found.decided_ms is not None,
        "groups": found.groups,
        "gpc": found.gpc,
        "country": found.country,
        "region": found.region,
        "awaiting_reconsent": found.awaiting_reconsent,
        "interaction": found.clicked,
    }
    expected = case["expect"]
    assert {name: told[name] for name in expected} == expected
    unexpected = {name for name, value in told.items() if value and name not in expected}
    assert unexpected <= {"interaction"}  # undocumented, so not every case tells it


def heard(said: Any) -> tuple[Said | None, list[str]]:
    everything = list(said)
    saids = [one for one in everything if isinstance(one, Said)]
    return (saids[0] if saids else None), [
        one.why for one in everything if isinstance(one, NoSignal)
    ]


@pytest.mark.parametrize(
    ("case", "granted", "denied", "whys"),
    [
        ("accept-all-explicit-eu", ALL, set(), []),
        ("partial-statistics-only", {"analytics"}, ALL - {"analytics"}, []),
        ("outside-consent-region-implied", set(), set(), ["implied_outside_region"]),
        ("legacy-minus-one", set(), set(), ["implied_outside_region"]),
        ("legacy-zero", set(), ALL, ["declined"]),
    ],
)
def test_cookiebot_grants_by_a_choice_only(
    case: str, granted: set[str], denied: set[str], whys: list[str]
) -> None:
    said, found = heard(cookiebot.says(COOKIES[case], READING))
    assert said is not None
    assert said.granted == granted
    assert said.denied == denied
    assert found == whys


@pytest.mark.parametrize(
    ("cookie", "why"),
    [
        ("{stamp:'x',preferences:true,statistics:true,marketing:true,ver:1,utc:1}", "implied"),
        ("{preferences:true,statistics:true,marketing:true,method:'explicit'}", "undated"),
        ("{stamp:'x',statistics:true,statistics:true,method:'explicit',utc:1}", "malformed"),
        ("{preferences:true,statistics:true,marketing:true,method:'explicit',utc:1", "malformed"),
        ("{statistics:true,marketing:true,method:'explicit',utc:1}", "malformed"),
    ],
)
def test_what_cookiebot_does_not_tell_grants_nothing(cookie: str, why: str) -> None:
    said, whys = heard(cookiebot.says(cookie, READING))
    assert said is None or said.granted == set()
    assert whys == [why]


@pytest.mark.parametrize("case", ["accept-all-2026", "reject-all-2025", "old-numeric-groups"])
def test_onetrust_says_nothing_before_there_is_a_choice(case: str) -> None:
    assert heard(onetrust.says(COOKIES[case], "", READING)) == (None, ["undecided"])


def test_onetrust_grants_the_groups_that_the_regime_knows() -> None:
    said, whys = heard(onetrust.says(COOKIES["accept-all-2026"], CLOSED, READING))
    assert said is not None
    assert said.granted == ALL
    assert whys == []
    said, _ = heard(onetrust.says(COOKIES["old-numeric-groups"], CLOSED, READING))
    assert said is not None
    assert said.granted == said.denied == frozenset()  # unknown groups are no consent
    numeric = Reading(onetrust={"analytics": ("2",), "ads_measurement": ("4",)})
    said, _ = heard(onetrust.says(COOKIES["old-numeric-groups"], CLOSED, numeric))
    assert said is not None
    assert said.granted == {"analytics"}
    assert said.denied == {"ads_measurement"}


def test_onetrust_that_waits_to_ask_again_grants_only_if_the_regime_says_so() -> None:
    cookie = COOKIES["awaiting-reconsent"]
    said, whys = heard(onetrust.says(cookie, CLOSED, READING))
    assert said is not None
    assert said.granted == set()
    assert whys == ["awaiting_reconsent"]
    said, _ = heard(onetrust.says(cookie, CLOSED, Reading(awaiting_reconsent="decided")))
    assert said is not None
    assert said.granted == ALL


def test_onetrust_passes_gpc_on_before_any_choice() -> None:
    cookie = COOKIES["accept-all-2026"].replace("browserGpcFlag=0", "browserGpcFlag=1")
    said, whys = heard(onetrust.says(cookie, "", READING))
    assert said is not None
    assert said.denied == set(READING.gpc)
    assert whys == ["undecided"]


@pytest.mark.parametrize(
    ("cookie", "closed", "why"),
    [
        ("groups=C0002:1,C0002:0", CLOSED, "malformed"),
        ("groups=C0002:1&groups=C0002:0", CLOSED, "malformed"),
        ("groups=C0002:yes", CLOSED, "malformed"),
        ("groups=C0002:1", "2026-13-41T25:00:00Z", "undecided"),
        ("groups=C0002:1", "yesterday", "undecided"),
        ("interactionCount=1", CLOSED, "malformed"),
    ],
)
def test_what_onetrust_does_not_tell_grants_nothing(cookie: str, closed: str, why: str) -> None:
    assert heard(onetrust.says(cookie, closed, READING)) == (None, [why])


def test_a_cookie_may_be_encoded_once_more() -> None:
    cookie = COOKIES["accept-all-2026"]
    assert onetrust.decode(quote(cookie), CLOSED) == onetrust.decode(cookie, CLOSED)
    cookie = COOKIES["accept-all-explicit-eu"]
    assert cookiebot.decode(quote(cookie)) == cookiebot.decode(cookie)
    assert cookiebot.decode(quote(quote(cookie))) is None


def test_no_proof_has_the_id_of_a_visitor() -> None:
    for said, visitor in (
        (cookiebot.says(COOKIES["accept-all-explicit-eu"], READING), "AAAA"),
        (onetrust.says(COOKIES["accept-all-2026"], CLOSED, READING), "00000000-0000"),
    ):
        found, _ = heard(said)
        assert found is not None
        assert visitor not in found.proof
        assert found.proof


ODD = "{}:',%27=&;C0002:1groupstampxutc-9\x00é+"


@settings(max_examples=300)
@given(
    st.text(ODD, max_size=300) | st.text(st.characters(exclude_categories=()), max_size=5000),
    st.text(ODD + "TZ-", max_size=30),
)
def test_whatever_is_sent_is_read_or_named(text: str, closed: str) -> None:
    for said in (cookiebot.says(text, READING), onetrust.says(text, closed, READING)):
        assert all(isinstance(one, Said | NoSignal) for one in said)


@pytest.mark.parametrize(
    "text",
    [
        "a=" + "%25" * 1365,
        "groups=" + "C0001:1," * 510,
        "&" * 4096,
        "{" + "a:'" * 1365,
        "%" * 10**6,
    ],
)
def test_no_cookie_takes_long(text: str) -> None:
    began_s = time.process_time()
    for _ in range(5):
        heard(cookiebot.says(text, READING))
        heard(onetrust.says(text, CLOSED, READING))
    assert (time.process_time() - began_s) / 5 < 0.02
