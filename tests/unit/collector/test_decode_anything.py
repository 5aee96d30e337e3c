"""Whatever the bytes are, decoding answers with a value, and with one for each event."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from collector.decode import Claims, Unreadable, decode
from spine.codes import CODES, Refused
from spine.event import Event, EventName
from spine.money import unfit

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text(), inside, max_size=2),
    max_leaves=3,
)
FIELDS = st.sampled_from(
    [*Event.__struct_fields__, "events", "sent_at", "currency", "value", "items", "price", "url"]
)
EVENT_LIKE = st.recursive(
    JSON,
    lambda inside: st.dictionaries(FIELDS, inside, max_size=3) | st.lists(inside, max_size=2),
    max_leaves=4,
)


@given(st.binary())
def test_no_bytes_make_decoding_raise(body: bytes) -> None:
    assert isinstance(decode(body, 10), Claims | Unreadable)


@given(st.lists(EVENT_LIKE, max_size=3))
def test_every_event_has_one_result_whatever_it_is(events: list[Any]) -> None:
    body = json.dumps({"events": events}).encode()  # writes NaN, and escapes what is no text
    found = decode(body, 10)
    if isinstance(found, Unreadable):
        assert b"NaN" in body or b"Infinity" in body
        return
    assert len(found.events) == len(events)
    for event in found.events:
        if isinstance(event, Refused):
            assert event.code in CODES
            assert event.path.startswith("$")
            assert len(event.detail) <= 300
        else:
            assert event.commerce is None or unfit(event.commerce) is None


@given(st.dictionaries(FIELDS, EVENT_LIKE, max_size=4))
def test_a_single_event_has_one_result_whatever_it_is(event: dict[str, Any]) -> None:
    found = decode(json.dumps(event).encode(), 10)
    assert isinstance(found, Unreadable) or "events" in event or len(found.events) == 1


def test_a_name_is_taken_if_and_only_if_it_can_be_read_from_the_log() -> None:
    pattern = msgspec.json.Decoder(EventName)
    for character in map(chr, [*range(0x100), 0x2028, 0xFFFD, 0x1F373]):
        claims = decode(msgspec.json.encode({"name": f"a{character}", "event_id": "e"}), 1)
        assert isinstance(claims, Claims)
        (found,) = claims.events
        try:
            pattern.decode(msgspec.json.encode(f"a{character}"))
        except msgspec.ValidationError:
            assert isinstance(found, Refused)
            assert (found.code, found.path, found.event_id) == ("bad_value", "$.name", "e")
        else:
            assert isinstance(found, Event)
