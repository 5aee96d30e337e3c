"""Where `consent` stands twice in an event, the refusal that its decoder never saw counts."""

import json
from typing import Any

import pytest

from collector.admit import admit
from collector.consent import decode_decision
from collector.decode import Claims, decode
from spine.codes import Refused
from tests.unit.collector.given import RECEIPT, source

YES = '"consent": {"purposes": {"analytics": true}}'
NO = '"consent": {"purposes": {"analytics": false}}'


def event(*said: str, name: str = "page_view") -> str:
    return "{" + ", ".join([f'"name": "{name}"', *said]) + "}"


def codes(body: str) -> list[Any]:
    found = decode(body.encode(), 500)
    assert isinstance(found, Claims), found
    return [result.code for result in admit(found, RECEIPT, source()).results]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (event(YES), ["event_id_filled"]),
        (event(NO, YES), ["no_consent"]),
        (event(YES, NO), ["no_consent"]),
        (event(YES, YES), ["no_consent"]),
        (event(NO, YES.replace("consent", r"con\u0073ent")), ["no_consent"]),
        (event(NO, YES.replace("consent", r"\u0063onsent")), ["no_consent"]),
        (event(YES.replace("consent", r"cons\u0065nt")), ["event_id_filled"]),
        (event(YES, '"properties": {"consent": "x"}'), ["event_id_filled"]),
        (event(YES, '"properties": {"consent": "x", "consent": "y"}'), ["event_id_filled"]),
        # One who says nothing makes no room for one who says it twice.
        (f'{{"events": [{event(NO, YES)}, {event()}]}}', ["no_consent", "no_consent"]),
        (f'{{"events": [{event(YES)}, {event(NO, YES)}]}}', ["event_id_filled", "no_consent"]),
        (f'{{"events": [{{"x": 1}}, {event(NO, YES)}]}}', ["unknown_field", "no_consent"]),
        (f'{{"events": [], "events": [{event(NO, YES)}]}}', ["no_consent"]),
        (f'{{"events": [{event(YES)}], "events": [{event(NO, YES)}]}}', ["no_consent"]),
        (event('"consent": null', YES), ["no_consent"]),
    ],
)
def test_who_says_it_twice_has_granted_nothing(body: str, expected: list[Any]) -> None:
    assert codes(body) == expected


def test_an_order_with_two_is_stripped_and_says_so() -> None:
    order = event(
        NO, YES, '"commerce": {"transaction_id": "T1", "currency": "EUR"}', name="purchase"
    )
    found = decode(order.encode(), 500)
    assert isinstance(found, Claims)
    (entry,) = admit(found, RECEIPT, source()).admitted
    record = json.loads(entry.value)
    assert record["stamp"]["kept"] == "stripped"
    assert "consent_unreadable" in record["flags"]


@pytest.mark.parametrize(
    "body",
    [
        '{"action": "withdraw", "anonymous_id": "d1", "action": "grant",'
        ' "purposes": {"analytics": true}}',
        '{"action": "grant", "anonymous_id": "d1", "purposes": {"analytics": false,'
        ' "analytics": true}}',
    ],
)
def test_a_decision_with_a_name_twice_is_none(body: str) -> None:
    assert isinstance(decode_decision(body.encode()), Refused)
