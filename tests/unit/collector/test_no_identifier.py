"""Of what a rule takes nothing is in the record: neither encoded, nor hashed, nor as our digest."""

from typing import Any
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from collector.admit import admit
from collector.observe import Receipt
from consent_rules.regions import Regimes
from consent_rules.rules import load
from consent_rules.standing import NOTHING, Carried
from spine.record import Channel, EventRecord, decode
from tests.unit.collector.given import NOW_MS, claims, source
from tests.unit.consent_rules.test_reduce import WORDS, spellings

SIX_WORDS = st.lists(WORDS, min_size=6, max_size=6, unique=True)
ADDRESS = "198.51.100.77"


def told(name: str, words: list[str], channel: Channel, analytics: bool | None) -> dict[str, Any]:
    anonymous, user, crm, query, agent, free = words
    event: dict[str, Any] = {
        "name": name,
        "event_id": "e-1",
        "occurred_at": "2026-11-22T09:59:00Z",
        "anonymous_id": anonymous,
        "user_id": user,
        "identifiers": {"crm_id": crm},
        "page": {"url": f"https://shop.example/a?u={quote(query)}", "title": free},
        "properties": {"note": free, free: 1},
        "commerce": {"transaction_id": "T-1", "currency": "EUR", "value": 5, "coupon": free},
    }
    if analytics is not None:
        event["consent"] = {"purposes": {"analytics": analytics}}
    if channel == "server":
        event |= {"ip": ADDRESS, "user_agent": f"Mozilla/5.0 ({agent}; Linux) Chrome/1"}
    return event


def record_of(
    preset: str, event: dict[str, Any], agent: str, channel: Channel, carried: Carried
) -> tuple[EventRecord, bytes]:
    receipt = Receipt(NOW_MS, "203.0.113.0", f"Mozilla/5.0 ({agent}; Linux) Chrome/1")
    chosen = source(channel)._replace(regimes=Regimes(load(preset), {}))
    (entry,) = admit(claims(event), receipt, chosen, carried).admitted
    found = decode(entry.value)
    assert isinstance(found, EventRecord)
    return found, entry.value


def none_of(words: list[str], value: bytes) -> bool:
    return not any(spelling in value for word in words for spelling in spellings(word))


CHANNELS: st.SearchStrategy[Channel] = st.sampled_from(["browser", "server"])


@given(st.sampled_from(["eu", "fr_exempt", "us"]), SIX_WORDS, CHANNELS, st.booleans())
def test_an_order_of_who_refused_names_nobody(
    preset: str, words: list[str], channel: Channel, gpc: bool
) -> None:
    event = told("purchase", words, channel, analytics=False)
    record, value = record_of(preset, event, words[4], channel, Carried(gpc=gpc))
    assert (record.stamp.rule, record.visitor, record.ip, record.user_agent) == (
        "accounting", None, "", "",
    )  # fmt: skip
    assert none_of([*words, ADDRESS, "203.0.113.0"], value)


@given(SIX_WORDS, CHANNELS)
def test_an_exempt_visit_names_a_device_and_nobody(words: list[str], channel: Channel) -> None:
    event = told("page_view", words, channel, analytics=None)
    record, value = record_of("fr_exempt", event, words[4], channel, NOTHING)
    assert (record.stamp.rule, record.user_agent) == ("exempt", "Chrome/1 (Linux)")
    assert none_of([*words[1:], ADDRESS, "203.0.113.0"], value)
    assert words[0].encode() in value


@given(SIX_WORDS, CHANNELS)
def test_who_opted_out_of_sale_gives_no_identifiers_and_no_address(
    words: list[str], channel: Channel
) -> None:
    event = told("page_view", words, channel, analytics=None)
    record, value = record_of("us", event, words[4], channel, Carried(gpc=True))
    assert (record.stamp.rule, record.stamp.linked) == ("opted_out", False)
    assert none_of([words[2], words[3], words[4], ADDRESS, "203.0.113.0"], value)
