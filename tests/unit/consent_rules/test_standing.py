"""Everything that was said about consent, weighed up: in doubt it is less."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_rules.reading import Reading
from consent_rules.standing import NOTHING, TEXTS, Carried, Standing, carrying, hear, standing
from tests.unit.consent_rules.signals.tc_encoder import encoded

READING = Reading()
NOW_MS = 1_795_341_600_000  # 2026-11-22T10:00:00Z
DAY_MS = 86_400_000


def moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


def stands(
    consent: Any = None,
    carried: Carried = NOTHING,
    reading: Reading = READING,
    at_ms: int = NOW_MS,
) -> Standing:
    text = b"" if consent is None else msgspec.json.encode(consent)
    return standing(text, carried, reading, at_ms)


def test_who_says_nothing_is_undecided() -> None:
    assert stands() == Standing(frozenset(), frozenset(), True, (), "")


def test_the_purposes_of_an_event_count_as_they_are_named() -> None:
    found = stands({"purposes": {"analytics": True, "mine": True, "ads_measurement": False}})
    assert found.granted == {"analytics", "mine"}
    assert found.denied == {"ads_measurement"}
    assert (found.readable, found.signals) == (True, ("event",))
    assert msgspec.json.decode(found.text)["purposes"]["mine"] is True


def test_a_claim_that_cannot_be_read_says_nothing_and_leaves_nothing() -> None:
    found = standing(b'{"purposes": {"analytics": 1}}', NOTHING, READING, NOW_MS)
    assert found == Standing(frozenset(), frozenset(), False, (), "")


@pytest.mark.parametrize(
    ("decided_ms", "counts"),
    [
        (NOW_MS + 300_001, False),  # given after the event happened: it lifts nothing
        (NOW_MS + 300_000, True),
        (NOW_MS - 365 * DAY_MS, True),
        (NOW_MS - 365 * DAY_MS - 1, False),
    ],
)
def test_a_grant_counts_from_when_it_was_given_until_it_is_too_old(
    decided_ms: int, counts: bool
) -> None:
    purposes = {"analytics": True, "ads_measurement": False}
    found = stands({"purposes": purposes, "decided_at": moment(decided_ms)})
    assert ("analytics" in found.granted) is counts
    assert found.denied == {"ads_measurement"}


def test_the_same_claim_is_weighed_anew_for_every_moment() -> None:
    consent = {"purposes": {"analytics": True}, "decided_at": moment(NOW_MS)}
    moments_ms = (NOW_MS - DAY_MS, NOW_MS, NOW_MS + 366 * DAY_MS, NOW_MS + DAY_MS)
    granted = [bool(stands(consent, at_ms=at_ms).granted) for at_ms in moments_ms]
    assert granted == [False, True, False, True]


def test_gpc_takes_away_and_gives_nothing() -> None:
    consent = {
        "purposes": {"analytics": True, "ads_measurement": True},
        "decided_at": moment(NOW_MS),
    }
    found = stands(consent, Carried(gpc=True))
    assert found.granted == {"analytics"}
    assert found.denied == set(READING.gpc)
    assert found.signals == ("event", "gpc")
    assert msgspec.json.decode(found.text) == {
        "event": msgspec.json.encode(consent).decode(),
        "gpc": "1",
    }


COOKIE = (
    "{{stamp:'x',necessary:true,preferences:{0},statistics:{0},marketing:{0},"
    "method:'explicit',ver:1,utc:{1},region:'de'}}"
)
GPP = "DBACNYA~CPSG_8APSG_8ANwAAAENAwCgAAAAAAAAAAAAAAAAAAAA.IAAA~1YNN"
ALL_OF_IT = {"functional": True, "marketing": True}
NONE_P: frozenset[int] = frozenset()
YES_P = frozenset({1, 7, 8, 9})


def cookie(choice: str, at_ms: int) -> str:
    return COOKIE.format(choice, at_ms)


def tc(at_ms: int, consents: frozenset[int] = YES_P) -> str:
    return encoded(created_ms=at_ms, updated_ms=at_ms, consents=consents)


EARLY_MS, LATE_MS = NOW_MS - 20 * DAY_MS, NOW_MS - 10 * DAY_MS


@pytest.mark.parametrize(
    ("consent", "carried", "stands_as"),
    [
        # A newer decision replaces an older one, whichever is which.
        (None, Carried(tcf=tc(LATE_MS), cookiebot=cookie("false", EARLY_MS)), "granted"),
        (None, Carried(tcf=tc(EARLY_MS), cookiebot=cookie("false", LATE_MS)), "denied"),
        (None, Carried(tcf=tc(LATE_MS, frozenset()), cookiebot=cookie("true", EARLY_MS)), "denied"),
        (None, Carried(tcf=tc(EARLY_MS, NONE_P), cookiebot=cookie("true", LATE_MS)), "granted"),
        (None, Carried(tcf=tc(LATE_MS), tcf_cookie=tc(EARLY_MS, frozenset())), "granted"),
        (None, Carried(tcf=tc(EARLY_MS), tcf_cookie=tc(LATE_MS, frozenset())), "denied"),
        # Of the day on which a string was made nothing is certainly newer.
        (None, Carried(tcf=tc(DAY_MS * 20_600, frozenset()),
                       cookiebot=cookie("true", DAY_MS * 20_600 + 1)), "denied"),
        (None, Carried(tcf=tc(DAY_MS * 20_600, frozenset()),
                       cookiebot=cookie("true", DAY_MS * 20_601)), "granted"),
        # What contradicts itself without a date denies.
        ({"purposes": {"analytics": True}}, Carried(gcs="G100"), "denied"),
        ({"purposes": {"analytics": True}}, Carried(cookiebot=cookie("false", EARLY_MS)), "denied"),
        ({"purposes": {"analytics": True}, "gcs": "G110"}, NOTHING, "denied"),
        ({"purposes": {"analytics": True}, "tcf": tc(EARLY_MS, frozenset())}, NOTHING, "denied"),
        ({"purposes": {"analytics": False}}, Carried(cookiebot=cookie("true", LATE_MS)), "denied"),
        # A dated word of the page is newer than what an old cookie says.
        ({"purposes": {"analytics": True}, "decided_at": moment(LATE_MS)},
         Carried(cookiebot=cookie("false", EARLY_MS)), "granted"),
        # What says nothing takes nothing away.
        ({"purposes": {"analytics": True}}, Carried(tcf="?", gpp="x", gcs="x", gcd="x"), "granted"),
        ({"purposes": {"analytics": True}}, Carried(cookiebot="x", onetrust="x"), "granted"),
        ({"purposes": {"analytics": True}}, Carried(gdpr="0"), "granted"),
        # A refusal never grows old, a grant does.
        (None, Carried(cookiebot=cookie("true", NOW_MS - 366 * DAY_MS)), "undecided"),
        (None, Carried(cookiebot=cookie("false", NOW_MS - 366 * DAY_MS)), "denied"),
        (None, Carried(cookiebot=cookie("true", NOW_MS + DAY_MS)), "undecided"),
        (None, Carried(cookiebot=cookie("false", NOW_MS + DAY_MS)), "denied"),
        # Each source by itself.
        (None, Carried(tcf=tc(LATE_MS)), "granted"),
        (None, Carried(tcf=tc(LATE_MS), gdpr="0"), "undecided"),
        (None, Carried(gcs="G111"), "granted"),
        (None, Carried(gcd="13r3r3r3r5"), "granted"),
        (None, Carried(gpp=GPP), "denied"),
        (None, Carried(onetrust="groups=C0002:1", onetrust_closed=moment(LATE_MS)), "undecided"),
        (None, Carried(onetrust="groups=C0002:1",
                       onetrust_closed="2026-11-01T10:00:00Z"), "granted"),
        ({"segment": {"categoryPreferences": {"Analytics": True}}}, NOTHING, "granted"),
        ({"segment": {"categoryPreferences": {}}}, NOTHING, "undecided"),
        ({"usercentrics": {"type": "explicit", "ucCategory": ALL_OF_IT}},
         NOTHING, "granted"),
        ({"usercentrics": {"type": "implicit", "ucCategory": ALL_OF_IT}},
         NOTHING, "undecided"),
        ({"usercentrics": {"consent": {"type": "EXPLICIT", "updatedAt": LATE_MS},
                           "categories": {"functional": {"state": "ALL_ACCEPTED"},
                                          "marketing": {"state": "SOME_ACCEPTED"}}}},
         NOTHING, "denied"),
    ],
)  # fmt: skip
def test_everything_is_weighed_up(consent: Any, carried: Carried, stands_as: str) -> None:
    found = stands(consent, carried)
    is_granted, is_denied = "analytics" in found.granted, "analytics" in found.denied
    assert (is_granted, is_denied) == (stands_as == "granted", stands_as == "denied")


def test_what_says_nothing_is_named() -> None:
    carried = Carried(tcf="???", gpp="x", gcs="x", gcd="x", cookiebot="x", onetrust="x")
    assert [(one.kind, one.why) for one in hear(b"{", carried, READING).unheard] == [
        ("event", "unreadable"),
        ("tcf", "malformed"),
        ("gpp", "malformed"),
        ("gcs", "malformed"),
        ("gcd", "malformed"),
        ("cookiebot", "malformed"),
        ("onetrust", "malformed"),
    ]


def test_what_is_too_long_is_kept_as_its_digest() -> None:
    purposes = {f"p{n}{'x' * 60}": True for n in range(50)}
    long = {"purposes": purposes, "tcf": "C" * 1000}
    found = stands(long, Carried(gpc=True))
    kept = msgspec.json.decode(found.text)
    assert kept["gpc"] == "1"
    assert kept["event"].startswith("sha256:")
    assert stands(long).text.startswith("sha256:")


def test_of_a_consent_tool_only_what_was_understood_is_kept() -> None:
    canary = "id-canary-5b1e77"
    usercentrics = {"type": "explicit", "ucCategory": {"marketing": False}, canary: canary}
    segment = {"categoryPreferences": {"Analytics": True}, "destinationPreferences": {"x": canary}}
    found = stands({"usercentrics": usercentrics, "segment": segment})
    assert canary not in found.text
    assert msgspec.json.decode(found.text)["segment"] == {
        "categoryPreferences": {"Analytics": True}
    }


PURPOSES = ("analytics", "ads_measurement", "mine")
AT_MS = st.sampled_from([EARLY_MS, LATE_MS, NOW_MS - 400 * DAY_MS, NOW_MS + DAY_MS])
CHOICE = st.dictionaries(st.sampled_from(PURPOSES), st.booleans())
CLAIM = st.builds(
    lambda purposes, at_ms, gcs: (
        {"purposes": purposes}
        | ({"decided_at": moment(at_ms)} if at_ms else {})
        | ({"gcs": gcs} if gcs else {})
    ),
    CHOICE,
    st.none() | AT_MS,
    st.sampled_from(["", "G100", "G111"]),
)
CARRIED = st.builds(
    Carried,
    gpc=st.booleans(),
    tcf=st.just("") | st.builds(tc, AT_MS, st.frozensets(st.integers(1, 10))),
    gdpr=st.sampled_from(["", "0", "1"]),
    gcs=st.sampled_from(["", "G100", "G111"]),
    gcd=st.sampled_from(["", "13r3r3r3r5", "13q3q3q3q5", "13l3l3l3l1"]),
    cookiebot=st.just("") | st.builds(cookie, st.sampled_from(["true", "false"]), AT_MS),
    tcf_cookie=st.just("") | st.builds(tc, AT_MS, st.frozensets(st.integers(1, 10))),
)


@settings(max_examples=300)
@given(CLAIM, CARRIED, st.sampled_from(PURPOSES))
def test_taking_a_granted_purpose_back_never_lets_more_through(
    claim: dict[str, Any], carried: Carried, purpose: str
) -> None:
    before = stands(claim, carried)
    without = {name: given for name, given in claim["purposes"].items() if name != purpose}
    if claim["purposes"].get(purpose):
        taken_back = stands(claim | {"purposes": without}, carried)
        assert taken_back.granted <= before.granted
        assert taken_back.denied >= before.denied
    refused = stands(claim | {"purposes": {**without, purpose: False}}, carried)
    assert purpose not in refused.granted or claim.get("decided_at")
    if claim["purposes"].get(purpose):
        assert refused.granted <= before.granted
        assert refused.denied >= before.denied


@settings(max_examples=300)
@given(CARRIED, st.integers(1, 10))
def test_a_purpose_of_a_string_that_is_taken_back_lets_no_more_through(
    carried: Carried, number: int
) -> None:
    consents = frozenset(range(1, 11))
    more = stands(None, carried._replace(tcf=tc(LATE_MS, consents)))
    less = stands(None, carried._replace(tcf=tc(LATE_MS, consents - {number})))
    assert less.granted <= more.granted
    assert less.denied >= more.denied


@settings(max_examples=300)
@given(CLAIM, CARRIED)
def test_gpc_only_restricts(claim: dict[str, Any], carried: Carried) -> None:
    without = stands(claim, carried._replace(gpc=False))
    with_it = stands(claim, carried._replace(gpc=True))
    assert with_it.granted == without.granted - set(READING.gpc)
    assert with_it.denied == without.denied | set(READING.gpc)


# With halves of characters, as headers have them whose bytes are not UTF-8.
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)


@settings(max_examples=300)
@given(
    st.binary(max_size=60) | st.just(b"[" * 9999),
    st.dictionaries(st.sampled_from(TEXTS), st.lists(ANY_TEXT, max_size=3)),
)
def test_whatever_is_sent_there_is_an_answer(consent: bytes, told: dict[str, list[str]]) -> None:
    found = standing(consent, carrying(True, told), READING, NOW_MS)
    assert not found.granted & found.denied
    assert found == standing(consent, carrying(True, told), READING, NOW_MS)
