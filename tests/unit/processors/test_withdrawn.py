"""What a withdrawal leaves of an event taken already is what a collector would have kept."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.admit import admit
from collector.known import Known
from consent_rules.decide import rests_on
from consent_rules.regions import Regimes
from consent_rules.rules import PRESETS, load
from consent_rules.standing import Carried
from processors.replay import Again, Left, Regime, without
from spine.control.withdrawal import ALL, NOTHING, Withdrawn
from spine.record import Channel, EventRecord, decode, encode
from tests.unit.collector.given import RECEIPT, claims, purchase, source

PURPOSES = ("analytics", "ads_measurement", "ads_personalization", "cross_device", "functional")
CHOICES = st.dictionaries(st.sampled_from(PURPOSES), st.booleans())
WITHDRAWN = st.builds(
    Withdrawn, st.booleans(), st.frozensets(st.sampled_from(PURPOSES)), st.just(frozenset())
)


def sent(name: str, channel: Channel, consent: Any, **more: Any) -> dict[str, Any]:
    event = purchase(name=name, anonymous_id="d1", user_id="u1", **more)
    event["page"] = {"url": "https://shop.example/a?gclid=1", "referrer": "https://x.example/y?z=1"}
    event["properties"] = {"gclid": "1", "size": "42"}
    if channel == "server":
        event |= {"ip": "203.0.113.77", "user_agent": "Mozilla/5.0 (X11; Linux) Chrome/1"}
    return event | ({"consent": consent} if consent is not None else {})


def taken(
    preset: str, event: Any, channel: Channel, withdrawn: Withdrawn, *, gpc: bool
) -> EventRecord | None:
    chosen = source(channel)._replace(regimes=Regimes(load(preset), {}))
    admission = admit(claims(event), RECEIPT, chosen, Carried(gpc), Known(lambda *_: withdrawn))
    if not admission.admitted:
        assert admission.results[0].status == "dropped", admission
        return None
    found = decode(admission.admitted[0].value)
    assert isinstance(found, EventRecord)
    return found


def left(record: EventRecord, preset: str, withdrawn: Withdrawn) -> EventRecord | None:
    found = without(record, Regime(Regimes(load(preset), {}), "EUR"), withdrawn)
    if found is None:
        return record
    if isinstance(found, Left):
        return None
    content = decode(found.value)
    assert isinstance(content, EventRecord)
    return content


@settings(max_examples=300)
@given(
    st.sampled_from(PRESETS),
    st.sampled_from(["purchase", "refund", "page_view"]),
    st.sampled_from(["browser", "server"]),
    st.none() | st.just(1) | CHOICES.map(lambda chosen: {"purposes": chosen}),
    WITHDRAWN,
    st.booleans(),
)
def test_it_is_byte_for_byte_what_a_collector_that_knew_would_have_written(
    preset: str, name: str, channel: Channel, consent: Any, withdrawn: Withdrawn, gpc: bool
) -> None:
    event = sent(name, channel, consent)
    before = taken(preset, event, channel, NOTHING, gpc=gpc)
    known = taken(preset, event, channel, withdrawn, gpc=gpc)
    if before is None:
        assert known is None
        return
    found = left(before, preset, withdrawn)
    assert (found and encode(found)) == (known and encode(known))
    assert found is None or left(found, preset, withdrawn) == found


@pytest.mark.parametrize("preset", PRESETS)
def test_of_a_strip_what_is_not_in_its_stamp_counts_as_refused(preset: str) -> None:
    record = taken(preset, sent("purchase", "browser", None), "browser", NOTHING, gpc=False)
    assert record is not None
    everything = left(record, preset, ALL)
    assert everything is not None
    assert (everything.stamp.rule, everything.visitor) == ("accounting", None)
    assert everything.identity == record.identity


def test_an_id_that_was_made_of_all_that_was_sent_is_another_one_then() -> None:
    event = sent("purchase", "browser", {"purposes": {"analytics": True}})
    del event["event_id"]
    record = taken("eu", event, "browser", NOTHING, gpc=False)
    assert record is not None
    found = without(record, Regime(Regimes(load("eu"), {}), "EUR"), ALL)
    assert isinstance(found, Again)
    assert found.identity != bytes.fromhex(record.identity)


def test_what_serves_no_purpose_of_a_rule_takes_nothing() -> None:
    record = taken("us", sent("page_view", "browser", None), "browser", NOTHING, gpc=False)
    assert record is not None
    other = Withdrawn(purposes=frozenset({"functional"}))
    assert not rests_on(load("us"), record.stamp, other)
    assert left(record, "us", other) is record
