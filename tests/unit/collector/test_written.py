"""A record that is put together from parts has the very bytes that encoding it as a whole gives."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.observe import Receipt
from collector.written import begun, form, observed
from spine import digest
from spine.event import Event
from spine.record import Channel, EventRecord, Stamp, decode, encode
from tests.unit.collector.given import ALL, ANALYTICS, NOW_MS, admitted, record_of

_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
_awkward = st.sampled_from(
    ['"', '","visitor":"', "\\", "\x00\x1f\x7f", "\u2028ü\U0001f600", "%b%d"]
)
_id = _text | _awkward
_consent = st.sampled_from([ALL, ANALYTICS, {}, None, 5, {"purposes": {'"': True}}])
_time = st.sampled_from(["2026-11-22T09:59:00.123Z", "2026-11-22T11:30:00+02:00"])
_later = st.just("2026-11-22T10:03:00Z")


def _events(channel: Channel) -> st.SearchStrategy[dict[str, Any]]:
    wanted: dict[str, st.SearchStrategy[Any]] = {
        "name": st.sampled_from(["purchase", "page_view", 'my "own" view', "ü"]),
        "event_id": _id,
        "occurred_at": _time | _later,
        "consent": _consent,
    }
    optional: dict[str, st.SearchStrategy[Any]] = {
        "anonymous_id": _id,
        "user_id": _id,
        "page": st.fixed_dictionaries({}, optional={"url": _id, "title": _id}),
        "commerce": st.fixed_dictionaries(
            {"value": st.floats(-1e6, 1e6)}, optional={"currency": st.just("USD"), "coupon": _id}
        ),
        "properties": st.dictionaries(_id, _id | st.integers(-9, 9) | st.none(), max_size=3),
    }
    if channel == "server":
        optional |= {"ip": _id | st.just("198.51.100.7"), "user_agent": _id}
    else:
        optional |= {name: wanted.pop(name) for name in ("event_id", "occurred_at")}
    return st.fixed_dictionaries(wanted, optional=optional)


@settings(max_examples=300)
@given(st.data(), st.sampled_from(["browser", "server"]), *[_id | st.just("")] * 3)
def test_what_is_admitted_is_encoded_as_a_whole_record_would_be(
    data: st.DataObject, channel: Channel, user_agent: str, client_hints: str, place: str
) -> None:
    events = data.draw(st.lists(_events(channel), min_size=1, max_size=4))
    receipt = Receipt(NOW_MS, "203.0.113.0", user_agent, place, client_hints)
    for entry in admitted(*events, channel=channel, receipt=receipt).admitted:
        record = decode(entry.value)
        assert isinstance(record, EventRecord), record
        assert encode(record) == entry.value
        key = digest.event_key(record.site, record.event.name, record.event_id)
        assert (entry.key, record.event_key) == (key, key.hex())
        assert record.identity == digest.identity(key, channel).hex()
        visitor = digest.visitor_id(record.site, record.event.anonymous_id, record.event.user_id)
        assert record.visitor == (visitor.hex() if visitor else None)
        assert record.body == digest.body_digest(encode_event(record.event)).hex()
        if channel == "browser":  # whichever way it got in, with its neighbours and alone
            told = record.ip, record.user_agent, record.client_hints, record.place
            seen = receipt.ip, receipt.user_agent, receipt.client_hints, receipt.place
            assert told == (seen if record.stamp.kept == "whole" else ("", "", "", ""))


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9_000), min_size=2, max_size=5))
def test_nothing_of_a_longer_event_is_left_in_a_shorter_one(characters: list[int]) -> None:
    events = [
        {"name": "a", "consent": ALL, "properties": {str(n): "x" * 999 for n in range(each // 999)}}
        | {"page": {"title": "y" * (each % 999)}}
        for each in characters
    ]
    for entry, event in zip(admitted(*events).admitted, events, strict=True):
        record = decode(entry.value)
        assert isinstance(record, EventRecord), record
        assert encode(record) == entry.value
        alone = record_of(admitted(event | {"event_id": record.event_id}))
        assert alone.event == record.event


def encode_event(event: Event) -> bytes:
    return msgspec.json.encode(event)


@given(_id, _id, st.lists(_id, max_size=2), st.tuples(*[_id | st.just("")] * 4))
def test_nothing_that_is_put_in_breaks_out_of_its_place(
    site: str, event_id: str, flags: list[str], seen_of_it: tuple[str, str, str, str]
) -> None:
    ip, user_agent, client_hints, place = seen_of_it
    shape = form(site, "server", NOW_MS, 20_000)
    stamp, event = Stamp("r", "v", "whole"), Event(name="a", anonymous_id=event_id)
    body, seen = msgspec.json.encode(event), observed(tuple(flags), *seen_of_it)
    key, beginning = begun(shape, event, event_id, body, NOW_MS - 5)
    value = b"".join((beginning, msgspec.json.encode(stamp), seen, body, b"}"))
    visitor = digest.visitor_id(site, event_id, None)
    assert visitor is not None
    assert decode(value) == EventRecord(
        site=site,
        channel="server",
        event_id=event_id,
        identity=digest.identity(key, "server").hex(),
        event_key=key.hex(),
        visitor=visitor.hex(),
        body=digest.body_digest(body).hex(),
        occurred_ms=NOW_MS - 5,
        received_ms=NOW_MS,
        received_on=20_000,
        stamp=stamp,
        flags=tuple(flags),
        ip=ip,
        user_agent=user_agent,
        client_hints=client_hints,
        place=place,
        event=event,
    )
