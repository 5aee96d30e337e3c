"""Rows: columns as long as they are many, nothing raised, amounts as decimals."""

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.bookkeeping import Columns
from processors.evidence import (
    identifiers_of,
    is_report,
    opens_session,
    order_key,
    retention_of,
    user_of,
    visitor_of,
)
from processors.judge import NOBODY, judge, read
from processors.rows import tables
from processors.site import Site
from spine.event import Page
from spine.log import Record
from spine.record import EventRecord, SpillRecord, Stamp, TallyRecord, encode
from tests.flow.happenings import Happening, Order, record
from tests.unit.spine.test_record import event_records, tally_records


def is_evidence(told: EventRecord) -> bool:
    return bool(identifiers_of(told))


def all_columns(values: list[bytes], sites: dict[str, Site] | None = None) -> dict[str, Columns]:
    batch = [Record(0, number, value, 0) for number, value in enumerate(values)]
    verdict = judge("log", read(batch), {})
    return dict(tables("log", verdict, sites or {}))


@given(
    st.lists(
        st.one_of((event_records | tally_records).map(encode), st.binary(max_size=9)), max_size=6
    )
)
def test_the_columns_of_a_table_are_equally_long(values: list[bytes]) -> None:
    for columns in all_columns(values).values():
        assert len({len(column) for column in columns.values()}) == 1


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_address_is_too_odd_for_a_row(url: str, referrer: str) -> None:
    told = record(Happening("shop", "page_view", "e", 0, anonymous_id="a"))
    for text in (url, f"http://{url}", f"https://x/?utm_source={url}&gclid={referrer}#{url}"):
        event = msgspec.structs.replace(told.event, page=Page(url=text, referrer=referrer))
        columns = all_columns([encode(msgspec.structs.replace(told, event=event))])
        assert columns["visitor_facts"]["page"] == [text]


SEEN = Happening("shop", "page_view", "e", 5, anonymous_id="a")
RULES: list[tuple[Callable[[EventRecord], bool], Happening, bool]] = [
    (opens_session, SEEN, True),
    (opens_session, SEEN._replace(path=None), True),
    (opens_session, SEEN._replace(anonymous_id=None), False),
    (opens_session, SEEN._replace(anonymous_id=None, user_id="u"), True),
    (opens_session, SEEN._replace(channel="server"), True),
    (opens_session, SEEN._replace(channel="server", path=None), False),
    (opens_session, SEEN._replace(channel="server", anonymous_id=None, user_id="u"), False),
    (is_report, SEEN._replace(name="purchase", order=Order("t")), True),
    (is_report, SEEN._replace(name="refund", order=Order("t")), True),
    (is_report, SEEN._replace(name="add_to_cart", order=Order("t")), False),
    (is_report, SEEN._replace(name="purchase"), False),
    (is_evidence, SEEN._replace(user_id="u"), True),
    (is_evidence, SEEN._replace(user_id="u", stripped=True), False),
    (is_evidence, SEEN, False),
    (is_evidence, SEEN._replace(anonymous_id=None, user_id="u"), False),
    (is_evidence, SEEN._replace(user_id="undefined"), False),
]


@pytest.mark.parametrize(("rule", "told", "holds"), RULES)
def test_an_event_is_evidence_for_what_it_tells(
    rule: Callable[[EventRecord], bool], told: Happening, holds: bool
) -> None:
    assert rule(record(told)) is holds


def test_a_visitor_of_zeros_is_nobody() -> None:
    told = record(SEEN._replace(user_id="u"))
    value = encode(told).replace(str(told.visitor).encode(), b"0" * 32)
    columns = all_columns([value])
    assert columns["events"]["visitor_id"] == [NOBODY]
    assert columns["visitor_facts"]["site"] == []
    assert columns["identity_evidence"]["site"] == []


def test_an_order_lands_with_its_money() -> None:
    told = record(
        SEEN._replace(name="purchase", order=Order("t", None, "EUR", ("1.50", "2"), "0.1"))
    )
    facts = all_columns([encode(told)])["order_facts"]
    assert facts["value"] == [Decimal("3.5")]
    assert facts["tax"] == [Decimal("0.1")]
    assert facts["shipping"] == [None]
    assert facts["is_full"] == [0]
    assert facts["order_key"] == [order_key(told)]
    bare = record(SEEN._replace(name="refund", order=Order("t")))
    assert all_columns([encode(bare)])["order_facts"]["is_full"] == [1]


def test_free_properties_are_kept_as_they_were_sent() -> None:
    told = record(SEEN)
    for properties, text in (({"a": 1.5, "ü": None}, '{"a":1.5,"ü":null}'), ({}, ""), (None, "")):
        event = msgspec.structs.replace(told.event, properties=properties)
        columns = all_columns([encode(msgspec.structs.replace(told, event=event))])
        assert columns["events"]["properties"] == [text]


def test_a_site_says_what_its_leads_are() -> None:
    told = encode(record(SEEN._replace(name="callback")))
    sites = {"shop": Site(conversions={"callback": "lead"})}
    assert all_columns([told])["lead_facts"]["event_id"] == []
    columns = all_columns([told], sites)
    assert len(columns["lead_facts"]["event_id"]) == 1
    assert columns["visitor_facts"]["is_key"] == [1]


def test_keys_name_the_identifiers_of_the_event() -> None:
    told = SEEN._replace(user_id="u")
    assert visitor_of(record(told)).hex() == told.visitor
    assert user_of(record(told)).hex() == told.user
    assert visitor_of(record(SEEN._replace(anonymous_id=None))) == NOBODY
    assert user_of(record(SEEN)) == NOBODY


def test_what_was_decided_stands_beside_the_event_and_all_that_is_made_of_it() -> None:
    told = record(
        SEEN._replace(name="purchase", user_id="u", order=Order("t", "5")),
    )
    stamp = Stamp(
        rule="consented", version="eu@1", kept="whole", linked=True, purposes=("analytics",),
        denied=("ads_measurement",), signals=("event", "gpc"), retention="usage",
        exports=("google",),
    )  # fmt: skip
    sites = {"shop": Site(conversions={"purchase": "lead"})}
    columns = all_columns([encode(msgspec.structs.replace(told, stamp=stamp))], sites)
    assert columns["events"]["consent_denied"] == [("ads_measurement",)]
    assert columns["events"]["consent_signals"] == [("event", "gpc")]
    assert columns["events"]["consent_exports"] == [("google",)]
    for table in ("events", "visitor_facts", "order_facts", "lead_facts", "identity_evidence"):
        assert set(columns[table]["retention"]) == {"usage"}


def test_a_stamp_without_a_class_has_that_of_our_own_rules() -> None:
    assert retention_of(record(SEEN)) == "usage"
    assert retention_of(record(SEEN._replace(stripped=True))) == "audience"
    assert retention_of(record(SEEN._replace(stripped=True, anonymous_id=None))) == "accounting"


def test_a_rejected_record_keeps_its_bytes_and_its_place() -> None:
    rejects = all_columns([b"\xff\x00", b""])["rejects"]
    assert rejects["value"] == [b"\xff\x00", b""]
    assert rejects["log_offset"] == [0, 1]
    assert rejects["code"] == ["unreadable_record"] * 2


def test_what_is_said_about_a_spill_is_a_row_once() -> None:
    told = SpillRecord(collector="c", spill="s", number=7, waiting=3, received_ms=5)
    columns = all_columns([encode(told), encode(told)])
    assert columns["spills"] == {
        "spill": ["s"], "number": [7], "waiting": [3], "collector": ["c"], "told_at": [5],
    }  # fmt: skip
    assert columns["fates"]["fate"] == ["control", "duplicate"]


def test_every_count_of_a_flush_is_a_row() -> None:
    tally = TallyRecord(collector="c", boot="b", sequence=3, received_ms=0, rows=())
    assert all_columns([encode(tally)])["tallies"]["site"] == []
    assert all_columns([encode(tally)])["seen"]["log_offset"] == [0]
