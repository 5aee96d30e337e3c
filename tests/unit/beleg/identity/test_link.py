"""Only what the rules let connect, and what connects something, goes onto the log."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from beleg.identity.file import Expected, Row, read_rows
from beleg.identity.link import Left, Link, judge
from collector.known import NOTHING_KNOWN, Known
from collector.source import Source
from consent_rules.regime import Rules
from consent_rules.regions import Regimes
from consent_rules.rules import load
from processors.enrichment.enrich import enriched
from processors.evidence import identifiers_of, opens_session
from processors.replay import Again, Regime, again
from processors.site import Site
from spine.control.withdrawal import ALL
from spine.record import EventRecord, decode

BERLIN = ZoneInfo("Europe/Berlin")
EU = load("eu")
NOW = datetime.now(UTC).isoformat(timespec="seconds")


def source(rules: Rules = EU) -> Source:
    return Source("shop", "server", "EUR", BERLIN, frozenset(), Regimes(rules, {}))


def rows(cells: str, head: str = "user_id,email,consent_analytics,at") -> Sequence[Row]:
    lines = f"{head}\n{cells}".encode().splitlines(keepends=True)
    found = [*read_rows(lines, Expected("shop", BERLIN, EU.purposes | {"cross_device"}, None))]
    assert all(isinstance(row, Row) for row in found), found
    return [row for row in found if isinstance(row, Row)]


def judged(
    cells: str, head: str = "user_id,email,consent_analytics,at", rules: Rules = EU,
    known: Known = NOTHING_KNOWN,
) -> Link | Left:  # fmt: skip
    (one,) = judge(rows(cells, head), source(rules), known)
    return one


def record_of(link: Link | Left) -> EventRecord:
    assert isinstance(link, Link), link
    record = decode(link.entry.value)
    assert isinstance(record, EventRecord)
    return record


def test_a_row_becomes_evidence_and_nothing_else() -> None:
    link = judged(f"u1,Jane@Shop.Example,true,{NOW}")
    record = record_of(link)
    assert isinstance(link, Link) and (link.links, link.retention) == (1, "usage")
    assert record.flags == ("imported",) and record.channel == "server"
    assert b"jane" not in link.entry.value.lower()
    assert [kind for kind, _ in identifiers_of(record)] == ["user_id", "email_sha256"]
    assert not opens_session(record)
    site = Site(conversions={"identify": "lead"}, funnel={"identify": 1})
    assert enriched(record, site).conversion == ""


@pytest.mark.parametrize(
    ("head", "cells"),
    [
        ("user_id,email,at", "u1,jane@shop.example"),
        ("user_id,email,consent_analytics,at", "u1,jane@shop.example,false"),
        ("user_id,email,consent_ads_measurement,at", "u1,jane@shop.example,true"),
        ("user_id,email,consent_analytics,consent_at,at", "u1,jane@shop.example,true,2020-01-01"),
    ],
)
def test_without_consent_nothing_is_connected(head: str, cells: str) -> None:
    assert judged(f"{cells},{NOW}", head) == Left("no_consent")


def test_a_site_may_ask_for_another_purpose_than_that_of_keeping() -> None:
    needs = msgspec.structs.replace(EU.needs, identity=("analytics", "cross_device"))
    asking = msgspec.structs.replace(EU, needs=needs)
    head = "user_id,email,consent_analytics,consent_cross_device,at"
    assert judged(f"u1,j@shop.example,true,,{NOW}", head, asking) == Left("no_consent")
    assert isinstance(judged(f"u1,j@shop.example,true,true,{NOW}", head, asking), Link)


def test_rules_that_strip_connect_nothing_and_an_opt_out_does_by_itself() -> None:
    cells, head = f"u1,jane@shop.example,{NOW}", "user_id,email,at"
    for name in ("fr_exempt", "fr_cookieless"):
        assert judged(cells, head, load(name)) == Left("no_consent")
    assert isinstance(judged(cells, head, load("us")), Link)


def test_who_has_withdrawn_or_was_erased_is_not_brought_back() -> None:
    cells = f"u1,jane@shop.example,true,{NOW}"
    withdrawn = Known(withdrawn=lambda *_: ALL)
    assert judged(cells, known=withdrawn) == Left("withdrawn")
    erased = Known(erased_until=lambda *_: 4_102_444_800_000)
    assert judged(cells, known=erased) == Left("erased")


def test_a_row_that_names_one_says_nothing_and_a_blocked_one_is_flagged() -> None:
    assert judged(f"u1,n/a,true,{NOW}") == Left("alone")
    link = judged(f"u1,n/a,K-1,true,{NOW}", "user_id,email,crm_id,consent_analytics,at")
    assert record_of(link).flags == ("identifier_blocked", "imported")


def test_a_time_that_has_not_come_is_wrong_and_one_long_ago_is_only_old() -> None:
    assert judged("u1,jane@shop.example,true,2099-01-01") == Left(
        "in_future", "The time has not come yet"
    )
    assert judged("u1,jane@shop.example,true,1999-01-01") == Left("too_old")


def test_each_row_has_its_own_answer() -> None:
    found = rows(f"u1,a@b.example,true,{NOW}\nu2,a@b.example,,{NOW}\nu3,c@d.example,true,{NOW}")
    answers = [*judge(found, source(), NOTHING_KNOWN)]
    assert [type(one) for one in answers] == [Link, Left, Link]
    assert record_of(answers[2]).event.user_id == "u3"


def test_a_replay_gives_the_same_bytes() -> None:
    link = judged(f"u1,Jane@Shop.Example,true,{NOW}")
    replayed = again(record_of(link), {"shop": Regime(Regimes(EU, {}), "EUR")})
    assert isinstance(link, Link) and isinstance(replayed, Again)
    assert (replayed.value, replayed.identity) == (link.entry.value, link.identity)


def test_the_id_of_a_row_does_not_outlive_what_it_was_made_of() -> None:
    link = judged(f"u1,Jane@Shop.Example,true,{NOW}")
    strips = msgspec.structs.replace(
        EU.rule[1], events=("*",), keep=("name", "event_id", "occurred_at")
    )
    stricter = msgspec.structs.replace(EU, version="x", rule=(strips,))
    replayed = again(record_of(link), {"shop": Regime(Regimes(stricter, {}), "EUR")})
    assert isinstance(replayed, Again)
    assert record_of(link).event_id.encode() not in replayed.value
