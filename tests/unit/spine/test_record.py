"""Records survive the log, and whatever else lies there is a value."""

import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.event import Commerce, Event, Item, Page
from spine.record import (
    ControlRecord,
    EventRecord,
    SpillRecord,
    Stamp,
    TallyRecord,
    TallyRow,
    Unreadable,
    decode,
    decode_to_land,
    encode,
)

_amounts = st.decimals(-(10**9), 10**9, places=4) | st.none()
_index = st.integers(0, 1_000_000)
_short = st.text(max_size=20)
_events = st.builds(
    Event,
    name=st.from_regex(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,64}", fullmatch=True),
    anonymous_id=st.none() | st.text(min_size=1, max_size=200),
    user_id=st.none() | st.text(min_size=1, max_size=200),
    page=st.none() | st.builds(Page, url=_short, referrer=_short, title=_short),
    commerce=st.none()
    | st.builds(
        Commerce,
        transaction_id=st.none() | st.text(min_size=1, max_size=20),
        value=_amounts,
        tax=_amounts,
        items=st.none()
        | st.lists(
            st.builds(Item, price=_amounts, quantity=st.integers(0, 1000), index=_index),
            max_size=3,
        ).map(tuple),
    ),
    properties=st.none()
    | st.dictionaries(
        st.text(min_size=1, max_size=64),
        st.none() | st.booleans() | _short | st.integers(-(2**63), 2**63 - 1),
        max_size=3,
    ),
)
event_records = st.builds(
    EventRecord,
    site=_short,
    channel=st.sampled_from(["browser", "server"]),
    event_id=_short,
    identity=st.binary(min_size=16, max_size=16).map(bytes.hex),
    event_key=st.binary(min_size=16, max_size=16).map(bytes.hex),
    visitor=st.none() | st.binary(min_size=16, max_size=16).map(bytes.hex),
    body=st.binary(min_size=8, max_size=8).map(bytes.hex),
    occurred_ms=st.integers(0, 4_102_444_800_000),
    received_ms=st.integers(0, 4_102_444_800_000),
    received_on=st.integers(0, 65_535),
    stamp=st.builds(Stamp, rule=_short, version=_short, kept=st.sampled_from(["whole"])),
    flags=st.lists(_short, max_size=2).map(tuple),
    event=_events,
)
tally_records = st.builds(
    TallyRecord,
    collector=_short,
    boot=_short,
    sequence=st.integers(0, 1 << 53),
    received_ms=st.integers(0, 4_102_444_800_000),
    rows=st.lists(
        st.builds(
            TallyRow, _short, st.integers(0, 65_535), _short, _short, _short, st.integers(0, 99)
        ),
        max_size=3,
    ).map(tuple),
)


spill_records = st.builds(
    SpillRecord,
    collector=_short,
    spill=_short,
    number=st.integers(0, 1 << 53),
    waiting=st.integers(0, 1 << 53),
    received_ms=st.integers(0, 4_102_444_800_000),
)


@given(event_records | tally_records | spill_records)
def test_a_record_comes_back_from_its_bytes(record: EventRecord | ControlRecord) -> None:
    assert decode(encode(record)) == record


@given(event_records | tally_records | spill_records)
def test_a_record_lands_as_it_was_written(record: EventRecord | ControlRecord) -> None:
    found = decode_to_land(encode(record))
    assert not isinstance(found, Unreadable)
    assert decode(encode(found)) == record


@given(st.binary(max_size=200))
def test_garbage_is_a_value(value: bytes) -> None:
    assert isinstance(decode(value), Unreadable)
    assert isinstance(decode_to_land(value), Unreadable)


@given(event_records | tally_records, st.data())
def test_a_damaged_record_never_raises(
    record: EventRecord | TallyRecord, data: st.DataObject
) -> None:
    value = bytearray(encode(record))
    value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    for damaged in (bytes(value), bytes(value[: data.draw(st.integers(0, len(value)))])):
        if isinstance(decode_to_land(damaged), Unreadable):
            assert isinstance(decode(damaged), Unreadable)


@pytest.mark.parametrize("schema", ["event.2", "tally.2", "event.10", "tally.999999999"])
def test_a_newer_schema_is_named(schema: str) -> None:
    assert decode(b'{"schema":"%s","anything":[]}' % schema.encode()) == Unreadable(
        "unknown_schema", schema
    )


PLAIN: dict[str, Any] = {
    "schema": "event.1",
    "site": "shop",
    "channel": "browser",
    "event_id": "e",
    "identity": "0" * 31 + "1",
    "event_key": "0" * 31 + "2",
    "body": "0" * 16,
    "occurred_ms": 1,
    "received_ms": 1,
    "received_on": 1,
    "stamp": {"rule": "r", "version": "1", "kept": "whole"},
    "event": {"name": "purchase", "commerce": {"transaction_id": "t", "value": "1"}},
}


def _with(old: bytes, new: bytes) -> bytes:
    value = msgspec.json.encode(PLAIN)
    assert isinstance(decode(value), EventRecord)
    assert value.count(old) == 1
    return value.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"value":"1"', b'"value":1e400'),
        (b'"value":"1"', b'"value":"1e99999999999999999999"'),
        (b'"value":"1"', b'"value":"NaN"'),
        (b'"value":"1"', b'"value":"-Infinity"'),
        (b'"value":"1"', b'"value":100000000000000'),
        (b'"value":"1"', b'"items":[{"price":1e13,"quantity":1000}]'),
        (b'"occurred_ms":1', b'"occurred_ms":-1'),
        (b'"occurred_ms":1', b'"occurred_ms":4102444800001'),
        (b'"occurred_ms":1', b'"occurred_ms":1e400'),
        (b'"occurred_ms":1', b'"occurred_ms":' + b"9" * 4000),
        (b'"received_on":1', b'"received_on":65536'),
        (b'"event_id":"e"', b'"event_id":"\\ud800"'),
        (b'"event_id":"e"', b'"event_id":"\xff"'),
        (b'"event_id":"e"', b'"event_id":null'),
        (b"1" * 1 + b'","event_key"', b'","event_key"'),
        (b'1","event_key"', b'G","event_key"'),
        (b'1","event_key"', b'1\\n","event_key"'),
        (b'1","event_key"', b'A","event_key"'),
        (b'01","event_key"', b' 1","event_key"'),
        (b'001","event_key"', b' 1 ","event_key"'),
        (b'1","event_key"', b'\xc3\xa9","event_key"'),
        (b'0000000000000001","event_key"', b'000000000000000 ","event_key"'),
        (b'2","body":"0', b'20","body":"'),
        (b'"body":"0', b'"visitor":"\\u00100","body":"0'),
        (b'"body":"0', b'"body":"00'),
        (b'"kept":"whole"', b'"kept":"some"'),
        (b'"transaction_id":"t"', b'"transaction_id":"' + b"t" * 201 + b'"'),
        (b'"name":"purchase"', b'"name":"' + b"n" * 65 + b'"'),
        (b'"name":"purchase"', b'"name":""'),
        (b'"name":"purchase"', b'"name":"purchase\\n"'),
        (b'"name":"purchase"', b'"name":"a\\u007fb"'),
        (b'"name":"purchase"', b'"name":"purchase","name2":1'),
        (b'"name":"purchase"', b'"name":"purchase","page":{"url":"' + b"u" * 4097 + b'"}'),
        (b'"event":{', b'"event":[' + b"[" * 5000),
    ],
)
def test_what_no_collector_writes_is_unreadable(old: bytes, new: bytes) -> None:
    for found in (decode(_with(old, new)), decode_to_land(_with(old, new))):
        assert isinstance(found, Unreadable)
        assert found.code == "unreadable_record"
        assert re.search(r"\w", found.detail)
        assert len(found.detail) <= 200


def test_properties_that_are_no_text_do_not_land() -> None:
    told = b'"name":"purchase","properties":{"a":"\xff"}'
    found = decode_to_land(_with(b'"name":"purchase"', told))
    assert isinstance(found, Unreadable)


def test_money_keeps_its_digits() -> None:
    value = _with(b'"value":"1"', b'"value":12345678901234.5678')
    record = decode(value)
    assert isinstance(record, EventRecord)
    assert record.event.commerce is not None
    assert record.event.commerce.value == Decimal("12345678901234.5678")
