"""A record that is replayed says the same, or less where the rules of today allow less."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.admit import admit
from collector.known import Known
from consent_rules.regime import Needs, Rule, Rules
from consent_rules.regions import Regimes
from consent_rules.rules import load
from processors.replay import Again, Left, Regime, again
from spine import digest
from spine.record import Channel, EventRecord, TallyRecord, TallyRow, Unreadable, decode, encode
from tests.unit.collector.given import RECEIPT, admitted, claims, purchase, source
from tests.unit.consent_rules.canaries import AGENT, CLICK, IP, event, leaves
from tests.unit.consent_rules.test_less_is_less import PURPOSES, RULE

EU = load("eu")
REGIMES = {"shop": Regime(Regimes(EU, {}), "EUR")}
VALID = RULE.map(
    lambda rule: msgspec.structs.replace(rule, keep=("event_id", "occurred_at", *rule.keep))
)


def regime(version: str) -> st.SearchStrategy[Rules]:
    """Any rules at all that `load` would take."""

    def numbered(drawn: list[Rule], needs: Needs) -> Rules:
        named = [
            msgspec.structs.replace(rule, id=f"r{number}") for number, rule in enumerate(drawn)
        ]
        last = msgspec.structs.replace(named[-1], events=("*",), needs=())
        return Rules(schema=1, version=version, needs=needs, rule=(*named[:-1], last))

    some = st.sampled_from([(), *((purpose,) for purpose in PURPOSES)])
    needs = st.builds(Needs, click_ids=some, identity=some)
    return st.builds(numbered, st.lists(VALID, min_size=1, max_size=4), needs)


def collected(
    name: str, granted: frozenset[str], channel: Channel, rules: Rules = EU
) -> EventRecord | None:
    """What a collector puts on the log of an event with a canary wherever there is room for one."""
    told = event(name, {"purposes": dict.fromkeys(sorted(granted), True)})
    sent = msgspec.json.decode(msgspec.json.encode(told))
    for field in ("value", "tax", "shipping", "discount"):
        sent["commerce"][field] = float(sent["commerce"][field])
    sent["commerce"]["items"][0]["price"] = 19.99
    sent["user_agent"] += f" gclid={CLICK}"
    if channel == "browser":
        del sent["ip"], sent["user_agent"]
    receipt = replace(RECEIPT, place="DE-BE")
    admission = admit(claims(sent), receipt, source(channel)._replace(regimes=Regimes(rules, {})))
    if not admission.admitted:
        assert admission.results[0].status == "dropped"
        return None
    record = decode(admission.admitted[0].value)
    assert isinstance(record, EventRecord)
    return record


def replayed(record: EventRecord, rules: Rules = EU) -> EventRecord:
    answer = again(record, {"shop": Regime(Regimes(rules, {}), "EUR")})
    assert isinstance(answer, Again)
    new = decode(answer.value)
    assert isinstance(new, EventRecord)
    assert (answer.key.hex(), answer.identity.hex()) == (new.event_key, new.identity)
    return new


CHANNELS = st.sampled_from(["browser", "server"])
GRANTED = st.frozensets(st.sampled_from(PURPOSES))
NAMES = st.sampled_from(["purchase", "page_view"])


@given(NAMES, GRANTED, CHANNELS, regime("now"))
def test_under_the_same_rules_a_record_comes_out_byte_for_byte(
    name: str, granted: frozenset[str], channel: Channel, rules: Rules
) -> None:
    record = collected(name, granted, channel, rules)
    if record is not None:
        answer = again(record, {"shop": Regime(Regimes(rules, {}), "EUR")})
        assert isinstance(answer, Again)
        assert answer.value == encode(record)


def held_by(record: EventRecord) -> set[str]:
    """Everything a record holds that a rule may take away."""
    also = {f"purpose {purpose}" for purpose in record.stamp.purposes}
    also |= {"linked"} if record.stamp.linked else set()
    also |= {name for name in ("visitor", "ip", "place", "user_agent") if getattr(record, name)}
    also |= {"click"} if CLICK.encode() in encode(record) else set()
    also |= {"click of the user agent"} if CLICK in record.user_agent else set()
    return leaves(record.event) | also


@given(NAMES, GRANTED, CHANNELS, regime("then"), regime("now"))
def test_a_record_never_gets_more_than_it_had_nor_more_than_the_rules_of_today_give(
    name: str, granted: frozenset[str], channel: Channel, then: Rules, now: Rules
) -> None:
    record = collected(name, granted, channel, then)
    if record is None:
        return
    answer = again(record, {"shop": Regime(Regimes(now, {}), "EUR")})
    today = collected(name, granted, channel, now)
    if record.stamp.kept == "whole":  # then every purpose is still known
        assert isinstance(answer, Left) == (today is None)
    if isinstance(answer, Left):
        assert answer == Left("no_consent", is_dropped=True)
        return
    new = replayed(record, now)
    assert held_by(new) <= held_by(record)
    if record.stamp.kept == "whole" and today is not None:
        assert held_by(new) <= held_by(today)
    assert record.stamp.kept == "whole" or new.stamp.kept == "stripped"
    assert (new.identity, new.occurred_ms, new.received_ms, new.received_on) == (
        record.identity, record.occurred_ms, record.received_ms, record.received_on,
    )  # fmt: skip
    assert new.stamp.version == now.version
    assert replayed(new, now) == new


STRICTER = msgspec.structs.replace(
    EU,
    version="stricter",
    rule=(
        Rule(id="all", events=("*",), needs=("analytics", "more"), action="keep", source="law"),
        *EU.rule[1:],
    ),
)


def test_what_stricter_rules_strip_leaves_nobody_behind_and_is_the_same_event() -> None:
    for channel in ("browser", "server"):
        record = collected("purchase", frozenset(PURPOSES), channel)
        assert record is not None
        assert (record.visitor, record.stamp.linked) != (None, False)
        new = replayed(record, STRICTER)
        assert (new.visitor, new.ip, new.place, new.user_agent) == (None, "", "", "")
        assert new.stamp.purposes == ()
        assert (new.stamp.kept, new.stamp.version, new.stamp.signal) == ("stripped", "stricter", "")
        assert new.event_id == record.event_id
        assert new.body == digest.body_digest(msgspec.json.encode(new.event)).hex() != record.body
        for canary in (AGENT, IP, CLICK, "canary"):
            assert canary.encode() not in encode(new)


def test_a_filled_id_is_made_anew_of_what_may_stay() -> None:
    told = purchase(consent={"purposes": {"analytics": True}})
    del told["event_id"]
    record = decode(admitted(told).admitted[0].value)
    assert isinstance(record, EventRecord)
    new = replayed(record, STRICTER)
    # As the collector would make it under these rules, when the page sends the event again.
    repeated = admit(claims(told), RECEIPT, source()._replace(regimes=Regimes(STRICTER, {})))
    assert new.event_id == repeated.results[0].event_id != record.event_id
    assert encode(new) == repeated.admitted[0].value


def test_a_currency_that_is_stripped_is_the_sites_and_flagged() -> None:
    keep = tuple(path for path in EU.rule[1].keep if path != "commerce.currency")
    rules = msgspec.structs.replace(
        STRICTER, rule=(msgspec.structs.replace(EU.rule[1], keep=keep), EU.rule[2])
    )
    record = decode(admitted(purchase()).admitted[0].value)
    assert isinstance(record, EventRecord)
    new = replayed(record, rules)
    assert new.event.commerce is not None
    assert (new.event.commerce.currency, new.flags) == ("EUR", ("currency_filled",))
    assert replayed(new, rules) == new


def test_purposes_that_the_stamp_does_not_name_do_not_count() -> None:
    record = decode(admitted(purchase()).admitted[0].value)
    assert isinstance(record, EventRecord)
    stamp = msgspec.structs.replace(record.stamp, purposes=("ads_measurement",))
    new = replayed(msgspec.structs.replace(record, stamp=stamp))
    assert (new.stamp.rule, new.stamp.kept, new.stamp.purposes) == ("accounting", "stripped", ())


def test_what_cannot_be_replayed_says_why() -> None:
    record = decode(admitted(purchase()).admitted[0].value)
    assert isinstance(record, EventRecord)
    elsewhere = msgspec.structs.replace(record, site="gone")
    assert again(elsewhere, REGIMES) == Left("site gone is not in the settings")
    for code in ("unreadable_record", "unknown_schema"):
        assert again(Unreadable(code, "why"), REGIMES) == Left(code)


@pytest.mark.parametrize("site", ["shop", "gone"])
def test_a_tally_is_appended_as_it_is(site: str) -> None:
    row = TallyRow(site, 20_000, "dropped", "no_consent", "page_view", 3)
    tally = TallyRecord(collector="c", boot="b", sequence=7, received_ms=1, rows=(row,))
    key = digest.tally_identity("c", "b", 7)
    assert again(tally, REGIMES) == Again(key, key, encode(tally))


def test_an_id_of_the_day_stays_where_rules_give_one_and_goes_where_they_do_not() -> None:
    """Without the salt, which is gone: it is what the record says."""
    rules = load("fr_cookieless")
    site = source()._replace(regimes=Regimes(rules, {}))
    order = {"name": "purchase", "commerce": {"transaction_id": "T-1", "currency": "EUR"}}
    for told in (order, {"name": "page_view"}):
        (entry,) = admit(claims(told), RECEIPT, site, known=Known(salt=b"s" * 32)).admitted
        record = decode(entry.value)
        assert isinstance(record, EventRecord)
        assert record.visitor is not None
        assert encode(replayed(record, rules)) == entry.value
        shorter = msgspec.structs.replace(
            rules.rule[1], keep=("name", "event_id", "occurred_at", "commerce.value")
        )
        less = msgspec.structs.replace(rules, rule=(shorter, *rules.rule[1:]), version="less@1+1")
        assert replayed(record, less).visitor == record.visitor
        if told is order:
            nobody = replayed(record)
            assert (nobody.stamp.rule, nobody.visitor) == ("accounting", None)
