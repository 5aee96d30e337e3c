"""Whatever the bytes are, decoding answers with a value, and with one for each event."""

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.decode import Claims, Unreadable, decode, gunzip
from spine.codes import CODES, Refused
from spine.event import Event
from spine.money import unfit

GOOD = b'{"name": "page_view", "event_id": "good"}'
GZIPPED = gzip.compress(GOOD, mtime=0)
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


@settings(deadline=None)
@given(st.binary())
def test_no_bytes_make_decoding_raise(body: bytes) -> None:
    assert isinstance(decode(body, 10), Claims | Unreadable)
    assert isinstance(gunzip(body, 1000), bytes | Unreadable)


@settings(deadline=None)
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


@settings(deadline=None)
@given(st.dictionaries(FIELDS, EVENT_LIKE, max_size=4))
def test_a_single_event_has_one_result_whatever_it_is(event: dict[str, Any]) -> None:
    found = decode(json.dumps(event).encode(), 10)
    assert isinstance(found, Unreadable) or "events" in event or len(found.events) == 1


def test_gzip_is_unpacked_up_to_its_bound() -> None:
    assert gunzip(gzip.compress(b"x" * 1000), 1000) == b"x" * 1000
    assert gunzip(gzip.compress(b""), 1000) == b""
    found = gunzip(gzip.compress(b"x" * 1001), 1000)
    assert isinstance(found, Unreadable)
    assert found.code == "body_too_large"


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(200_000_000), 9)
    found = gunzip(bomb, 1_000_000)
    assert isinstance(found, Unreadable)
    assert found.code == "body_too_large"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", GOOD, GZIPPED[:-1], GZIPPED[:12], b"\x1f\x8b",
        GZIPPED + b"x", GZIPPED + GZIPPED, zlib.compress(GOOD),
        GZIPPED[:-8] + bytes(8),
    ],
)  # fmt: skip
def test_what_is_not_exactly_one_gzip_stream_is_unreadable(body: bytes) -> None:
    found = gunzip(body, 1000)
    assert isinstance(found, Unreadable)
    assert found.code == "unreadable_body"
