"""TC strings: every case of the vectors, the rules a reader must apply, and strings that hurt."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_rules.reading import Reading
from consent_rules.signals.said import NoSignal, Said
from consent_rules.signals.tcf import TcString, decode, says
from tests.unit.consent_rules.signals.given import in_order, told, vectors
from tests.unit.consent_rules.signals.tc_encoder import encoded

CASES = vectors("tcf_v2_strings")["cases"]
BY_ID = {case["id"]: case["tc_string"] for case in CASES}
UNUSED = Reading(empty_publisher_tc="unused")
DAY_MS = 86_400_000
NEW_MS = 1_780_272_000_000  # 2026-06-01
STRANGE = "AaBbCcQqVv019-_.~ =%\x00é"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_every_case_gives_the_expected_answer(case: dict[str, Any]) -> None:
    found = decode(case["tc_string"])
    if case["expect"] == "decode":
        assert isinstance(found, TcString)
        assert in_order(told(found)) == in_order(case["decoded"])
    else:
        words = {"reject_v1": "version", "oracle_rejects_cmp_id_0": "no_cmp", "reject": "version"}
        assert found == words[case["expect"]]


def heard(text: str, reading: Reading = UNUSED, *, applies: bool = True) -> tuple[Said | None, str]:
    everything = list(says("tcf", text, reading, applies=applies))
    said = [one for one in everything if isinstance(one, Said)]
    whys = [one.why for one in everything if isinstance(one, NoSignal)]
    assert len(said) <= 1
    assert len(whys) <= 1
    return (said[0] if said else None), (whys[0] if whys else "")


ALL = {"device_storage", "analytics", "ads_measurement", "ads_personalization"}


@pytest.mark.parametrize(
    ("case", "granted"),
    [
        ("gen-accept-all-few-vendors", ALL),
        ("gen-reject-all", set()),
        ("gen-li-only", set()),
        ("gen-ads-without-storage-p1", set()),
        ("gen-purpose-one-treatment", set()),
        ("gen-policy4-no-disclosed-2022style", ALL),
        ("iabtcf-es-core-5", set()),  # its publisher granted purpose 6 only
        ("iabtcf-es-core-4", ALL),
    ],
)
def test_a_purpose_of_ours_needs_all_of_its_own(case: str, granted: set[str]) -> None:
    said, _ = heard(BY_ID[case])
    assert said is not None
    assert said.granted == granted
    assert said.denied == ALL - granted


def test_an_empty_publisher_segment_refuses_unless_the_regime_says_it_is_unused() -> None:
    said, _ = heard(BY_ID["gen-accept-all-few-vendors"], Reading())
    assert said is not None
    assert said.granted == set()
    said, _ = heard(encoded(publisher={1, 8, 9}), Reading())
    assert said is not None
    assert said.granted == {"device_storage", "analytics"}


def test_a_vendor_needs_its_own_bit_and_nothing_that_the_publisher_forbids() -> None:
    google = Reading(tcf_vendor=755)
    said, _ = heard(BY_ID["gen-pub-restrictions"], google)
    assert said is not None
    assert said.granted == {"device_storage", "analytics", "ads_personalization"}  # 7 is forbidden
    for text in (BY_ID["gen-li-only"], encoded(vendors={754}), encoded(disclosed={754})):
        said, _ = heard(text, google)
        assert said is not None
        assert said.granted == set()


@pytest.mark.parametrize(
    ("text", "why", "refuses"),
    [
        (encoded(created_ms=1_772_323_200_000, disclosed=None), "no_disclosed_vendors", True),
        (encoded(created_ms=1_772_323_199_900, disclosed=None), "", True),
        (encoded(created_ms=1_696_032_000_000, policy=3), "old_policy", False),
        (encoded(created_ms=1_696_031_999_900, policy=3), "", True),
        (encoded(specific=False), "not_service_specific", False),
    ],
)
def test_what_its_date_makes_of_a_string(text: str, why: str, refuses: bool) -> None:
    said, said_why = heard(text, Reading(tcf={"analytics": (1,), "mine": (12,)}))
    assert said_why == why
    assert (said is not None) is refuses
    if said is not None:
        assert said.denied == {"mine"}
        assert said.granted == (set() if why else {"analytics"})


def test_without_tcf_23_being_demanded_an_undisclosed_string_counts() -> None:
    said, why = heard(
        encoded(created_ms=NEW_MS, disclosed=None), Reading(disclosed_vendors="optional")
    )
    assert said is not None
    assert said.granted == ALL
    assert not why


def test_where_the_gdpr_does_not_apply_a_string_can_only_refuse() -> None:
    said, why = heard(encoded(consents={1, 8, 9}), applies=False)
    assert said is not None
    assert (said.granted, why) == (frozenset(), "gdpr_does_not_apply")
    assert said.denied == {"ads_measurement", "ads_personalization"}


def test_a_day_is_as_exact_as_a_string_is_about_its_time() -> None:
    said, _ = heard(encoded(updated_ms=NEW_MS))
    assert said is not None
    assert (said.since_ms, said.until_ms) == (NEW_MS, NEW_MS + DAY_MS - 1)
    said, _ = heard(encoded(updated_ms=NEW_MS + 100))
    assert said is not None
    assert (said.since_ms, said.until_ms) == (NEW_MS + 100, NEW_MS + 199)


@settings(max_examples=300)
@given(st.text(STRANGE, max_size=120) | st.text("CPQXRfA_-.", max_size=5000).map("CQ".__add__))
def test_whatever_is_sent_is_decoded_or_named(text: str) -> None:
    found = decode(text)
    assert isinstance(found, TcString) or found in ("too_long", "version", "no_cmp", "malformed")
    assert all(isinstance(one, Said | NoSignal) for one in says("tcf", text, UNUSED))


@given(st.sampled_from(CASES), st.data())
def test_a_string_that_is_cut_off_grants_no_more_than_its_core(
    case: dict[str, Any], data: st.DataObject
) -> None:
    text = case["tc_string"]
    core = decode(text.split(".")[0])
    consents = core.consents if isinstance(core, TcString) else frozenset()
    cut, _ = heard(text[: data.draw(st.integers(0, len(text)))])
    if cut is not None:
        assert all(consents.issuperset(UNUSED.tcf[purpose]) for purpose in cut.granted)


HOSTILE = {
    "a vendor list of 65,535 without them": encoded(tail="1" * 16 + "0"),
    "4,095 ranges that are not there": encoded(tail="1" * 16 + "1" + "1" * 12),
    "ranges of everything": encoded(
        tail="1" * 17 + f"{700:012b}" + ("1" + "0" * 15 + "1" * 17) * 700
    ),
    "restrictions without end": encoded(tail=("0" * 17) * 2 + "1" * 12 + "0" * 20_000),
    "ones": "C" + "_" * 4_095,
    "zeros": "C" + "A" * 4_095,
    "dots": "." * 4_096,
    "segments without end": encoded() + ".YAAAAAAAAAAA" * 200,
    "a megabyte": "C" * 1_000_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_string_takes_long(text: str) -> None:
    began_s = time.process_time()
    for _ in range(5):
        list(says("tcf", text, Reading(tcf_vendor=755)))
    assert (time.process_time() - began_s) / 5 < 0.02
    assert msgspec.json.encode(str(decode(text))[:10])
