"""Who is told by an id of the day: what the id is made of, and what it is never joined with."""

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import replace

from collector.admit import admit
from collector.known import Known
from collector.observe import Receipt
from collector.source import Source, Sources
from consent_rules.regions import Regimes
from consent_rules.rules import load
from consent_rules.standing import NOTHING, Carried
from spine.digest import is_of_day, visitor_id, visitor_of_day
from spine.record import Channel, EventRecord, decode
from spine.settings import SiteSettings
from tests.unit.collector.given import DAY_MS, NOW_MS, claims, source
from tests.unit.collector.test_no_identifier import ADDRESS, CHANNELS, SIX_WORDS, none_of, told

SALT, OTHER = b"s" * 32, b"t" * 32
VISIT = {"name": "page_view", "page": {"url": "https://shop.example/a"}}
RULES = Regimes(load("fr_cookieless"), {})


def of_site(channel: Channel = "browser") -> Source:
    return source(channel)._replace(regimes=RULES)


def kept(
    event: dict[str, Any] = VISIT,
    receipt: Receipt = Receipt(NOW_MS, "203.0.113.0", "Mozilla/5.0 (X11)"),  # noqa: B008
    salt: bytes | None = SALT,
    where: Source | None = None,
    carried: Carried = NOTHING,
) -> EventRecord:
    known = Known(salt=salt)
    (entry,) = admit(claims(event), receipt, where or of_site(), carried, known).admitted
    record = decode(entry.value)
    assert isinstance(record, EventRecord)
    return record


def test_a_visitor_is_the_same_for_as_long_as_the_salt() -> None:
    first, second = kept(), kept(VISIT | {"name": "view_item"})
    assert first.visitor == second.visitor
    assert first.visitor is not None
    assert is_of_day(bytes.fromhex(first.visitor))
    assert first.stamp.rule == "exempt"
    assert kept(salt=OTHER).visitor != first.visitor


def test_another_network_browser_or_site_is_another_visitor() -> None:
    receipt = Receipt(NOW_MS, "203.0.113.0", "Mozilla/5.0 (X11)")
    found = {
        kept().visitor,
        kept(receipt=replace(receipt, ip="203.0.114.0")).visitor,
        kept(receipt=replace(receipt, user_agent="Mozilla/5.0 (Y11)")).visitor,
        kept(where=of_site()._replace(site="blog")).visitor,
    }
    assert len(found) == 4
    moved = visitor_of_day(SALT, "shop", "1", "23"), visitor_of_day(SALT, "shop", "12", "3")
    assert moved[0] != moved[1]


@pytest.mark.parametrize("salt", [None, SALT])
def test_without_a_salt_or_an_address_there_is_nobody(salt: bytes | None) -> None:
    ip = "" if salt else "203.0.113.0"
    assert kept(receipt=Receipt(NOW_MS, ip, "Mozilla"), salt=salt).visitor is None


def test_a_late_event_is_of_who_sends_it_on_the_day_it_comes() -> None:
    late = VISIT | {"occurred_at": "2026-11-21T09:00:00Z"}
    record = kept(late)
    assert record.occurred_ms < NOW_MS - DAY_MS
    assert record.visitor == kept().visitor


def test_a_server_tells_of_whom_it_speaks() -> None:
    event = VISIT | {"event_id": "e-1", "occurred_at": "2026-11-22T09:59:00Z"}
    about = event | {"ip": "198.51.100.77", "user_agent": "Mozilla/5.0 (X11)"}
    server = of_site("server")
    by_page = kept(receipt=Receipt(NOW_MS, "198.51.100.0", "Mozilla/5.0 (X11)"))
    assert kept(about, where=server).visitor == by_page.visitor
    assert kept(event, where=server).visitor is None


@given(SIX_WORDS, CHANNELS)
def test_none_of_their_own_ids_is_in_the_record(words: list[str], channel: Channel) -> None:
    event = told("page_view", words, channel, analytics=None)
    receipt = Receipt(NOW_MS, "203.0.113.0", f"Mozilla/5.0 ({words[4]}; Linux) Chrome/1")
    record = kept(event, receipt, where=of_site(channel))
    assert record.visitor is not None
    assert (record.event.anonymous_id, record.event.user_id, record.ip) == (None, None, "")
    assert record.visitor != (visitor_id("shop", words[0], words[1]) or b"").hex()
    assert none_of([*words, ADDRESS, "203.0.113.0"], msgspec.json.encode(record))


def test_who_consents_is_told_by_the_device_and_who_objects_by_nothing() -> None:
    event = VISIT | {"anonymous_id": "a-1", "consent": {"purposes": {"analytics": True}}}
    assert kept(event).visitor == (visitor_id("shop", "a-1", None) or b"").hex()
    order = {"name": "purchase", "commerce": {"transaction_id": "T-1", "currency": "EUR"}}
    refused = order | {"consent": {"purposes": {"analytics": False}}}
    assert kept(refused).visitor is None
    assert kept(order).visitor == kept().visitor


@pytest.mark.parametrize("rules", ["eu", "fr_exempt", "us"])
def test_no_other_rules_know_such_ids(rules: str) -> None:
    order = {"name": "purchase", "commerce": {"transaction_id": "T-1", "currency": "EUR"}}
    record = kept(order, where=source()._replace(regimes=Regimes(load(rules), {})))
    assert record.visitor is None


def test_a_site_wants_salts_whose_own_rules_or_those_of_a_country_use_them() -> None:
    def site(**chosen: Any) -> SiteSettings:
        return SiteSettings(timezone="Europe/Paris", browser_keys=(f"bk-{chosen}",), **chosen)

    sources = Sources(
        {
            "own": site(consent="fr_cookieless"),
            "some": site(regions={"FR": "fr_cookieless"}),
            "none": site(consent="fr_exempt"),
        }
    )
    assert sources.by_day() == dict.fromkeys(("own", "some"), ZoneInfo("Europe/Paris"))
