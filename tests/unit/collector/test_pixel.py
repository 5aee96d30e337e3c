"""The parameters of an address are the same event as its JSON, or a refusal that says why."""

from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.decode import Claims, decode
from collector.pixel import MOST_CHARACTERS, claims_of
from spine.codes import Refused
from spine.event import Event


def claimed(query: str) -> Event | Refused:
    claims = claims_of(query, parse_qsl(query, keep_blank_values=True))
    (event,) = claims.events
    assert claims.sent_at is None
    return event


def told(**event: Any) -> Event | Refused:
    claims = decode(msgspec.json.encode(event), 1)
    assert isinstance(claims, Claims)
    (found,) = claims.events
    return found


QUERY = (
    "key=bk_x&gdpr=1&gdpr_consent=CQ&gpp=DB&gcs=G111&gcd=13&name=purchase&event_id=e-1"
    "&occurred_at=2026-11-22T10:00:00Z&anonymous_id=a-1&user_id=&page.url=https%3A%2F%2Fs.example%2F%3Fa%3D1"
    "&page.referrer=https%3A%2F%2Fr.example&identifiers.crm_id=c&commerce.transaction_id=T-1"
    "&commerce.value=39.98&commerce.items=%5B%7B%22item_id%22:%22S%22,%22price%22:19.99,%22quantity%22:2%7D%5D"
    "&properties.a.b=x&properties.n=5&consent.decided_at=2026-11-22T09:00:00Z&consent=analytics,+ads_measurement"
    "&consent.purposes.mine=false"
)


def test_a_query_is_the_same_event_as_its_json() -> None:
    found = claimed(QUERY)
    assert isinstance(found, Event)
    assert found.commerce is not None
    assert found.commerce.items is not None
    assert found.commerce.items[0].price == Decimal("19.99")
    consent = msgspec.json.decode(bytes(found.consent))
    assert consent == {
        "decided_at": "2026-11-22T09:00:00Z",
        "purposes": {"analytics": True, "ads_measurement": True, "mine": False},
    }
    assert msgspec.structs.replace(found, consent=msgspec.Raw()) == told(
        name="purchase",
        event_id="e-1",
        occurred_at="2026-11-22T10:00:00Z",
        anonymous_id="a-1",
        page={"url": "https://s.example/?a=1", "referrer": "https://r.example"},
        identifiers={"crm_id": "c"},
        commerce={
            "transaction_id": "T-1",
            "value": "39.98",
            "items": [{"item_id": "S", "price": "19.99", "quantity": 2}],
        },
        properties={"a.b": "x", "n": "5"},
    )


@pytest.mark.parametrize(
    ("query", "code", "path"),
    [
        ("", "missing_field", "$.events[0].name"),
        ("name=", "missing_field", "$.events[0].name"),
        ("name=x&foo=1", "unknown_field", "$.foo"),
        ("name=x&events=1", "unknown_field", "$.events"),
        ("name=x&name=y", "bad_value", "$.name"),
        ("name=x&page=1&page.url=2", "bad_value", "$.page.url"),
        ("name=x&page.url=2&page=1", "bad_value", "$.page"),
        ("name=x&page.url.a=2&page.url=1", "unknown_field", "$.page.url.a"),
        ("name=x&consent=a&consent=b,a", "bad_value", "$.consent"),
        ("name=x&consent.purposes=1&consent=a", "bad_value", "$.consent"),
        ("name=x&consent=a&consent.purposes.a=false", "bad_value", "$.consent.purposes.a"),
        ("name=x&consent.purposes=a&consent.purposes.a=0", "bad_value", "$.consent.purposes.a"),
        ("name=x&commerce.items=%5B", "wrong_type", "$.commerce.items"),
        ("name=x&commerce.items=" + "%5B" * 1500, "wrong_type", "$.commerce.items"),
        ("name=x&commerce.value=NaN", "bad_amount", "$.commerce.value"),
        ("name=x&occurred_at=today", "bad_time", "$.occurred_at"),
        ("name=" + "x" * MOST_CHARACTERS, "too_long", "$"),
        ("name=x" + "&a=1" * 2000, "bad_value", "$.a"),
    ],
)
def test_what_is_wrong_with_a_query_is_a_refusal(query: str, code: str, path: str) -> None:
    found = claimed(query)
    assert isinstance(found, Refused)
    assert (found.code, found.path.replace("$.events[0]", "$")) == (
        code,
        path.replace("$.events[0]", "$"),
    )


@pytest.mark.parametrize(
    ("query", "purposes"),
    [
        ("consent=analytics", {"analytics": True}),
        ("consent=analytics&consent=b", {"analytics": True, "b": True}),
        (
            "consent.purposes.analytics=1&consent.purposes.b.c=false",
            {"analytics": True, "b.c": False},
        ),
        ("consent.purposes.analytics=yes", {"analytics": "yes"}),
    ],
)
def test_consent_is_a_list_of_what_is_granted(query: str, purposes: dict[str, Any]) -> None:
    found = claimed(f"name=x&{query}")
    assert isinstance(found, Event)
    assert msgspec.json.decode(bytes(found.consent)) == {"purposes": purposes}


@pytest.mark.parametrize("query", ["consent=", "consent=,,", "consent.purposes.a=", ""])
def test_nobody_grants_by_silence(query: str) -> None:
    found = claimed(f"name=x&{query}")
    assert isinstance(found, Event)
    assert not bytes(found.consent)


NAMES = st.sampled_from(
    ["name", "page.url", "consent", "consent.purposes", "properties.x", "commerce"]
)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)


@settings(max_examples=300)
@given(st.lists(st.tuples(NAMES | ANY_TEXT, ANY_TEXT), max_size=8))
def test_whatever_is_in_a_query_it_is_one_event_or_a_refusal(pairs: list[tuple[str, str]]) -> None:
    (found,) = claims_of("", pairs).events
    assert isinstance(found, Event | Refused)
    assert msgspec.json.encode(found)
