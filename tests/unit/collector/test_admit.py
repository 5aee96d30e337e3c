"""What a client claims becomes a record only within the rights of its key."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from collector.admission import Admission
from collector.admit import MAX_RECORD_BYTES, admit, uuid7
from collector.observe import Receipt
from collector.times import day_of, milliseconds
from spine.record import Channel
from tests.unit.collector.given import (
    ANALYTICS,
    DAY_MS,
    NOW_MS,
    RECEIPT,
    admitted,
    claims,
    purchase,
    record_of,
    source,
)

PAGE_VIEW = {"name": "page_view", "consent": ANALYTICS, "anonymous_id": "a-1"}


def at(seconds_from_now: float) -> str:
    """Write an instant that is so far from the moment of receipt."""
    return datetime.fromtimestamp(NOW_MS / 1000 + seconds_from_now, UTC).isoformat()


def code_of(admission: Admission) -> str | None:
    assert len(admission.results) == 1
    return admission.results[0].code


@pytest.mark.parametrize(
    ("claimed_s", "sent_s", "kept_s"),
    [
        (-60, None, -60),
        (0, None, 0),
        (60, None, 0),  # a clock that is ahead
        (86_400 * 365, None, 0),
        (-60, 0, -60),
        (3_540, 3_600, -60),  # an hour ahead, sent a minute later
        (-3_660, -3_600, -60),  # an hour behind
        (3_601, 3_600, 0),  # after it was sent
        (-7 * 86_400, None, -7 * 86_400),
        (-10 * 86_400, -9 * 86_400, -86_400),  # a clock nine days behind
    ],
)
def test_a_browser_clock_is_corrected_and_never_runs_ahead(
    claimed_s: float, sent_s: float | None, kept_s: float
) -> None:
    event = PAGE_VIEW | {"occurred_at": at(claimed_s)}
    record = record_of(admitted(event, sent_at=at(sent_s) if sent_s is not None else None))
    assert record.occurred_ms == NOW_MS + kept_s * 1000
    ahead = claimed_s - (sent_s or 0) > 0
    assert ("time_clamped" in record.flags) is ahead
    assert record.received_ms == NOW_MS


@pytest.mark.parametrize(
    ("channel", "seconds", "code"),
    [
        ("browser", -7 * 86_400 - 0.001, "too_old"),
        ("browser", -60 * 365 * 86_400, "too_old"),  # before 1970
        ("server", -3_652 * 86_400, None),
        ("server", -3_654 * 86_400, "too_old"),
        ("server", 60, None),
        ("server", 300, None),
        ("server", 300.001, "in_future"),
        ("server", 86_400 * 365 * 1000, "in_future"),
    ],
)
def test_how_far_a_time_may_go_depends_on_the_key(
    channel: Channel, seconds: float, code: str | None
) -> None:
    event = PAGE_VIEW | {"event_id": "e", "occurred_at": at(seconds)}
    admission = admitted(event, channel=channel)
    assert code_of(admission) == code
    assert len(admission.admitted) == (code is None)
    if code is None:
        assert record_of(admission).occurred_ms == min(NOW_MS, NOW_MS + round(seconds * 1000))


def test_sent_at_says_nothing_about_the_clock_of_a_server() -> None:
    event = PAGE_VIEW | {"event_id": "e", "occurred_at": at(-86_400)}
    admission = admitted(event, channel="server", sent_at=at(3_600))
    assert record_of(admission).occurred_ms == NOW_MS - DAY_MS


@pytest.mark.parametrize("edge", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
@pytest.mark.parametrize("channel", ["browser", "server"])
def test_times_at_the_edge_of_the_calendar_break_nothing(edge: str, channel: Channel) -> None:
    for occurred_at, sent_at in ((edge, None), (edge, edge), (at(0), edge)):
        event = PAGE_VIEW | {"event_id": "e", "occurred_at": occurred_at}
        assert len(admitted(event, channel=channel, sent_at=sent_at).results) == 1


def test_a_missing_time_is_the_moment_of_receipt() -> None:
    record = record_of(admitted(PAGE_VIEW, sent_at=at(-3_600)))
    assert (record.occurred_ms, record.flags) == (NOW_MS, ())


def test_the_same_raw_event_with_its_time_gets_the_same_id() -> None:
    event = PAGE_VIEW | {"occurred_at": at(-1)}
    later = Receipt(NOW_MS + 5_000, "198.51.100.0", "another agent")
    first, again = admitted(event), admitted(event, receipt=later, sent_at=at(4))
    assert first.results[0].event_id == again.results[0].event_id
    assert code_of(first) == code_of(again) == "event_id_filled"
    assert record_of(first).identity == record_of(again).identity
    assert record_of(first).body == record_of(again).body


@pytest.mark.parametrize(
    "other",
    [
        {"occurred_at": at(-2)},
        {"anonymous_id": "a-2"},
        {"user_id": "u"},
        {"name": "view_item"},
        {"page": {"url": "https://shop.example/"}},
        {"properties": {"x": 1}},
    ],
)
def test_another_event_gets_another_id(other: dict[str, Any]) -> None:
    event = PAGE_VIEW | {"occurred_at": at(-1)}
    ids = [result.event_id for result in admitted(event, event | other).results]
    assert ids[0] != ids[1]


def test_without_id_and_time_every_event_is_its_own() -> None:
    ids = [str(result.event_id) for result in admitted(PAGE_VIEW, PAGE_VIEW).results]
    assert ids[0] != ids[1]
    for filled in ids:
        assert UUID(filled).version == 7
        assert UUID(filled).variant == "specified in RFC 4122"
        assert UUID(filled).int >> 80 == NOW_MS


def test_uuids_of_version_7_sort_by_time_and_do_not_repeat() -> None:
    ids = [uuid7(NOW_MS + n // 100) for n in range(10_000)]
    assert len(set(ids)) == len(ids)
    assert [text[:13] for text in ids] == sorted(text[:13] for text in ids)


@pytest.mark.parametrize("field", ["event_id", "occurred_at"])
def test_a_server_key_must_say_which_event_and_when(field: str) -> None:
    event = purchase()
    del event[field]
    result = admitted(event, channel="server").results[0]
    assert (result.status, result.code) == ("refused", "missing_field")
    assert result.detail is not None
    assert result.detail.endswith(f"$.{field}")
    assert result.event_id == event.get("event_id")


@pytest.mark.parametrize("field", ["ip", "user_agent"])
def test_a_browser_key_has_no_say_over_what_is_observed(field: str) -> None:
    result = admitted(purchase(**{field: "198.51.100.7"})).results[0]
    assert (result.status, result.code) == ("refused", "not_allowed")
    assert result.detail is not None
    assert result.detail.endswith(f"$.{field}")


def test_a_browser_is_observed_and_a_server_is_not() -> None:
    record = record_of(admitted(purchase()))
    assert (record.ip, record.user_agent) == (RECEIPT.ip, RECEIPT.user_agent)
    record = record_of(admitted(purchase(), channel="server"))
    assert (record.ip, record.user_agent) == ("", "")


@pytest.mark.parametrize(
    ("ip", "kept"),
    [
        ("198.51.100.77", "198.51.100.0"),
        ("2001:db8:1:2::3", "2001:db8:1::"),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_the_address_a_server_reports_is_cut_before_it_is_kept(ip: str, kept: str) -> None:
    admission = admitted(purchase(ip=ip, user_agent="Safari"), channel="server")
    record = record_of(admission)
    assert (record.ip, record.user_agent) == (kept, "Safari")
    assert (record.event.ip, record.event.user_agent) == (None, None)
    assert ip == kept or ip.encode() not in admission.admitted[0].value


def test_a_missing_currency_is_the_site_s_and_flagged() -> None:
    event = purchase()
    del event["commerce"]["currency"]
    record = record_of(admitted(event))
    assert record.event.commerce is not None
    assert (record.event.commerce.currency, record.flags) == ("EUR", ("currency_filled",))
    event["commerce"]["currency"] = "USD"
    record = record_of(admitted(event))
    assert record.event.commerce is not None
    assert (record.event.commerce.currency, record.flags) == ("USD", ())
    assert record_of(admitted(PAGE_VIEW)).event.commerce is None


def test_the_channel_is_the_kind_of_key_and_part_of_the_identity() -> None:
    browser, server = (record_of(admitted(purchase(), channel=c)) for c in ("browser", "server"))
    assert (browser.channel, server.channel) == ("browser", "server")
    assert browser.event_key == server.event_key
    assert browser.identity != server.identity
    assert browser.body == server.body


def test_the_partition_key_is_shared_by_all_copies() -> None:
    browser, server = (admitted(purchase(), channel=c).admitted[0] for c in ("browser", "server"))
    assert browser.key == server.key
    other = admitted(purchase(anonymous_id="a-2", consent={})).admitted[0]
    assert other.key == browser.key


def test_results_stand_in_the_order_of_the_request() -> None:
    events = [
        purchase(event_id="1"),
        {"name": "page_view", "event_id": "2"},
        5,
        purchase(event_id="4", ip="x"),
        purchase(event_id="5", occurred_at="2020-01-01T00:00:00Z"),
        purchase(event_id="6"),
        {"name": "my_name", "event_id": "7"},
    ]
    admission = admitted(*events)
    assert [
        (result.event_id, result.status, result.code, outcome.name)
        for result, outcome in zip(admission.results, admission.outcomes, strict=True)
    ] == [
        ("1", "accepted", None, ""),
        ("2", "dropped", "no_consent", "page_view"),
        (None, "refused", "wrong_type", "(unreadable)"),
        ("4", "refused", "not_allowed", "purchase"),
        ("5", "refused", "too_old", "purchase"),
        ("6", "accepted", None, ""),
        ("7", "dropped", "no_consent", "(custom)"),
    ]
    assert [record_of(admission, n).event_id for n in range(2)] == ["1", "6"]


def test_whoever_sends_consent_that_cannot_be_read_is_told_whatever_becomes_of_the_event() -> None:
    results = admitted(purchase(consent="yes"), PAGE_VIEW | {"consent": "yes"}, purchase()).results
    told = "consent_unreadable: what was said of consent cannot all be read"
    assert [(result.status, result.code, result.detail) for result in results] == [
        ("accepted", None, told),
        ("dropped", "no_consent", told),
        ("accepted", None, None),
    ]


def test_consent_is_counted_by_rule_and_outcome() -> None:
    outcomes = admitted(purchase(), purchase(consent={}), PAGE_VIEW | {"consent": {}}).outcomes
    assert [(outcome.rule, outcome.kept) for outcome in outcomes] == [
        ("consented", "whole"),
        ("accounting", "stripped"),
        ("rest", "dropped"),
    ]


def test_an_event_larger_than_a_record_may_be_is_refused_alone() -> None:
    item = dict.fromkeys(("item_id", "item_name", "item_brand", "item_variant"), "x" * 200)
    large = purchase(
        commerce={"items": [item] * 200}, properties={f"k{n}": "ü" * 1000 for n in range(100)}
    )
    admission = admitted(purchase(), large)
    assert [result.code for result in admission.results] == [None, "too_long"]
    assert all(len(one.value) <= MAX_RECORD_BYTES for one in admission.admitted)


def test_the_record_keeps_amounts_to_four_decimals() -> None:
    record = record_of(admitted(purchase(commerce={"value": 39.98765, "tax": "6.38"})))
    assert record.event.commerce is not None
    assert str(record.event.commerce.value) == "39.9876"
    assert str(record.event.commerce.tax) == "6.3800"


@pytest.mark.parametrize(
    ("received_at", "day"),
    [("2026-11-22T22:59:59Z", 20_779), ("2026-11-22T23:00:00Z", 20_780)],
)
def test_the_day_of_receipt_is_the_site_s(received_at: str, day: int) -> None:
    received_ms = milliseconds(datetime.fromisoformat(received_at))
    assert day_of(received_ms, source()) == day
    record = record_of(admitted(PAGE_VIEW, receipt=replace(RECEIPT, received_ms=received_ms)))
    assert record.received_on == day


def test_an_empty_batch_is_admitted_as_nothing() -> None:
    assert admit(claims(), RECEIPT, source()) == Admission([], [], [])
