"""Cutting a file: every line in one parcel or named, and no parcel too big."""

import io

import orjson
from hypothesis import given
from hypothesis import strategies as st

from beleg.parcel import bounded_lines, cut

good = st.integers(0, 60).map(lambda n: b'{"event_id":"' + b"x" * n + b'1"}\n')
bad = st.sampled_from([b"{\n", b"[1]\n", b"null\n", b'"' + b"y" * 500 + b'"\n', b"\xff\n"])
blank = st.sampled_from([b"\n", b"  \r\n"])


@given(st.lists(st.one_of(good, good, bad, blank)), st.integers(1, 7), st.integers(100, 400))
def test_every_line_is_in_one_parcel_or_named_and_no_parcel_is_too_big(
    lines: list[bytes], max_events: int, max_bytes: int
) -> None:
    parcels = list(cut(lines, max_events=max_events, max_bytes=max_bytes))
    numbers = [number for parcel in parcels for number in parcel.numbers]
    named = [refusal.line for parcel in parcels for refusal in parcel.unsendable]
    said = {number for number, line in enumerate(lines, start=1) if line.strip()}
    assert sorted(numbers + named) == sorted(said)
    assert numbers == sorted(numbers)
    assert [e for p in parcels for e in p.events] == [lines[n - 1].strip() for n in numbers]
    for parcel in parcels:
        assert len(parcel.events) + len(parcel.unsendable) <= max_events
        assert len(parcel.body()) <= max_bytes
        assert len(orjson.loads(parcel.body())["events"]) == len(parcel.numbers)


def test_a_parcel_is_filled_to_the_last_byte() -> None:
    lines = [b'{"event_id":"1"}'] * 4
    exact = len(b'{"events":[' + b",".join(lines[:2]) + b"]}")
    assert [len(p.events) for p in cut(lines, max_events=9, max_bytes=exact)] == [2, 2]
    assert [len(p.events) for p in cut(lines, max_events=9, max_bytes=exact - 1)] == [1] * 4


def test_a_bad_line_is_named_with_its_number_and_code() -> None:
    lines = [b'{"event_id":"1"}\n', b"\n", b"oops\n", b"[]\n", b'{"a":"' + b"x" * 99 + b'"}\n']
    (parcel,) = cut(lines, max_events=9, max_bytes=80)
    assert [(r.line, r.code) for r in parcel.unsendable] == [
        (3, "not_json"),
        (4, "wrong_type"),
        (5, "too_long"),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_event() -> None:
    (parcel,) = cut([b'\xef\xbb\xbf{"event_id":"1"}\r\n'], max_events=9, max_bytes=999)
    assert parcel.events == (b'{"event_id":"1"}',)


def test_an_endless_line_is_neither_kept_in_memory_nor_the_end_of_the_file() -> None:
    file = io.BytesIO(b"a\n" + b"x" * 500_000 + b"\n" + b"b\n" + b"y" * 500_000)
    lines = list(bounded_lines(file, 100))
    assert lines == [b"a\n", b"x" * 101, b"b\n", b"y" * 101]


@given(st.lists(st.binary(max_size=30).filter(lambda b: b"\n" not in b), min_size=1))
def test_lines_within_the_bound_come_unchanged(parts: list[bytes]) -> None:
    content = b"\n".join(parts)
    assert b"".join(bounded_lines(io.BytesIO(content), 30)) == content
