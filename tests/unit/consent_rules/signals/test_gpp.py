"""GPP strings: every case of the vectors, and that a US section only takes away."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_rules.reading import Reading
from consent_rules.signals.gpp import UsChoice, decode, says, us_privacy, us_section
from consent_rules.signals.said import NoSignal, Said
from consent_rules.signals.tcf import TcString
from consent_rules.signals.tcf import decode as decode_tcf
from tests.unit.consent_rules.signals.given import vectors
from tests.unit.consent_rules.signals.tc_encoder import ALPHABET, encoded

CASES = vectors("gpp_strings")["cases"]
READING = Reading()
FLAG = {"Y": True, "N": False}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["gpp"][:20])
def test_every_case_gives_the_expected_answer(case: dict[str, Any]) -> None:
    found = decode(case["gpp"])
    if case["expect"] == "reject":
        assert found is None
        return
    assert found is not None
    assert [number for number, _ in found] == case["section_ids"]
    expected = case["sections"]
    for number, text in found:
        if number == 6:
            opted_out = FLAG[expected["uspv1"]["OptOutSale"]]
            assert us_privacy(text) == UsChoice(opted_out, gpc=False)
        elif number == 7:
            told = expected["usnat"]
            outs = ("SaleOptOut", "SharingOptOut", "TargetedAdvertisingOptOut")
            opted_out = any(told[name] == 1 for name in outs)
            assert us_section(7, text) == UsChoice(opted_out, told["Gpc"])
        else:
            tells_as_the_oracle(text, expected["tcfeuv2"])


def tells_as_the_oracle(text: str, expected: dict[str, Any]) -> None:
    found = decode_tcf(text)
    assert isinstance(found, TcString)
    assert found.publisher is not None
    assert found.disclosed is not None
    for told, name in (
        (found.version, "Version"),
        (found.cmp_id, "CmpId"),
        (found.language, "ConsentLanguage"),
        (found.vendor_list, "VendorListVersion"),
        (found.policy, "PolicyVersion"),
        (found.is_service_specific, "IsServiceSpecific"),
        (found.country, "PublisherCountryCode"),
        ({"true_indexes_1_based": sorted(found.consents)}, "PurposeConsents"),
        ({"true_indexes_1_based": sorted(found.interests)}, "PurposeLegitimateInterests"),
        ({"true_indexes_1_based": sorted(found.publisher.consents)}, "PublisherConsents"),
        ([n for n in range(500) if found.vendor_consents.has(n)], "VendorConsents"),
        ([n for n in range(500) if found.disclosed.has(n)], "VendorsDisclosed"),
    ):
        assert told == expected[name], name


def fibonacci(number: int) -> str:
    weights = [1, 2]
    while weights[-1] <= number:
        weights.append(weights[-1] + weights[-2])
    bits = ""
    for weight in reversed([weight for weight in weights if weight <= number]):
        bits += "1" if weight <= number else "0"
        number -= weight if bits[-1] == "1" else 0
    return bits[::-1] + "1"


def header(*ranges: tuple[int, int]) -> str:
    """Encode ranges of sections, from first to last."""
    bits, before = f"{3:06b}{1:06b}{len(ranges):012b}", 0
    for first, last in ranges:
        bits += f"{int(last > first)}{fibonacci(first - before)}"
        bits += fibonacci(last - first) if last > first else ""
        before = last
    bits += "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(bits[at : at + 6], 2)] for at in range(0, len(bits), 6))


@given(st.lists(st.integers(1, 5), min_size=2, max_size=12))
def test_sections_are_named_by_how_far_they_are_apart(gaps: list[int]) -> None:
    at, ranges = 0, []
    expected: list[int] = []
    for gap, more in zip(gaps[::2], gaps[1::2], strict=False):
        ranges.append((at + gap, at + gap + more - 1))
        expected += range(at + gap, at + gap + more)
        at += gap + more
    found = decode("~".join([header(*ranges), *(f"s{n}" for n in expected)]))
    assert found == [(n, f"s{n}") for n in expected]


def us(*, outs: str, start: int = 12) -> str:
    bits = f"{1:06b}" + "00" * ((start - 6) // 2) + outs
    bits += "0" * (96 - len(bits))
    return "".join(ALPHABET[int(bits[at : at + 6], 2)] for at in range(0, 96, 6))


@pytest.mark.parametrize(
    ("number", "start"),
    [(8, 12), (9, 12), (10, 12), (11, 14), (12, 12), (17, 12), (18, 14), (24, 16)],
)
def test_an_opt_out_of_a_state_denies_sale(number: int, start: int) -> None:
    for outs, opted_out in (("0101", True), ("0110", True), ("1001", True), ("1010", False)):
        text = f"{header((number, number))}~{us(outs=outs, start=start)}"
        (said,) = says("gpp", text, READING)
        assert isinstance(said, Said)
        assert said.denied == (set(READING.us_opt_out) if opted_out else set())
        assert (said.granted, said.since_ms, said.until_ms) == (frozenset(), None, None)


def test_gpc_inside_a_section_is_gpc() -> None:
    only_gpc = Reading(gpc=("mine",), us_opt_out=("other",))
    (said,) = says("gpp", "DBABLA~BAAAVVVVUQA.YA", only_gpc)
    assert isinstance(said, Said)
    assert said.denied == {"mine"}


def test_the_section_of_the_eu_is_a_tc_string() -> None:
    text = f"{header((2, 2), (6, 6), (30, 30))}~{encoded(publisher={1, 8, 9})}~1YYN~x"
    eu, us, unknown = says("gpp", text, READING)
    assert isinstance(eu, Said)
    assert isinstance(us, Said)
    assert eu.granted == {"device_storage", "analytics"}
    assert eu.proof == us.proof == text
    assert us.denied == set(READING.us_opt_out)
    assert unknown == NoSignal("gpp", "unknown_section")


@settings(max_examples=300)
@given(
    st.text("DBAQLVCOe~.1YN-é_", max_size=100)
    | st.text(st.characters(exclude_categories=()), max_size=5000)
)
def test_whatever_is_sent_is_read_or_named(text: str) -> None:
    for said in says("gpp", text, READING):
        assert isinstance(said, NoSignal) or said.granted == frozenset() or "~C" in text


@pytest.mark.parametrize(
    "text",
    [
        header((1, 60)) + "~1" * 60,
        f"{header((1, 60_000))}~1",
        "DBACNYA" + "~" * 4_000,
        "DB__" + "w" * 4_000,
        "DBAB" + "K" * 4_000,
        f"{header(*[(n, n) for n in range(7, 28)])}" + ("~" + "_" * 150) * 21,
        "D" * 10**6,
    ],
)
def test_no_string_takes_long(text: str) -> None:
    began_s = time.process_time()
    for _ in range(5):
        list(says("gpp", text, READING))
    assert (time.process_time() - began_s) / 5 < 0.02
