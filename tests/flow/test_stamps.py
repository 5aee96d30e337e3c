"""What was decided about an event is read beside it, whatever wrote its row."""

import msgspec

from spine.digest import event_key
from spine.log import Record
from spine.record import Stamp, encode
from spine.store import Store
from tests.flow.happenings import Happening, record
from tests.flow.passage import process


async def test_a_stamp_is_read_as_it_was_decided(store: Store, site: str) -> None:
    told = record(Happening(site, "page_view", "e", 1_700_000_000_000, anonymous_id="a"))
    stamp = Stamp(
        rule="measured", version="us@2+ab", kept="whole", purposes=("analytics",),
        denied=("ads_measurement", "cross_device"), signals=("event", "gpc"), retention="usage",
        exports=("google",),
    )  # fmt: skip
    value = encode(msgspec.structs.replace(told, stamp=stamp))
    await process(store, site, [Record(0, 0, value, 0)])
    ((*shown,),) = await store.select(
        "SELECT channel, kept, rule, rules_version, purposes, denied, signals, retention, exports"
        f" FROM v_stamps WHERE site = '{site}'"
    )
    assert shown == [
        "browser", "whole", "measured", "us@2+ab", "analytics", "ads_measurement,cross_device",
        "event,gpc", "usage", "google",
    ]  # fmt: skip


async def test_rows_of_before_have_the_class_that_our_own_rules_would_have_named(
    store: Store, site: str
) -> None:
    visitor, nobody = "a" * 16, bytes(16).decode()
    for event_id, kept, visitor_id in (
        ("whole", "whole", visitor), ("order", "stripped", nobody), ("seen", "stripped", visitor),
    ):  # fmt: skip
        key = event_key(site, "purchase", event_id).hex()
        await store.command(
            "INSERT INTO events (site, name, event_id, channel, identity, event_key, visitor_id,"
            f" occurred_at, consent_kept) SELECT '{site}', 'purchase', '{event_id}', 'browser',"
            f" unhex('{key}'), unhex('{key}'), toFixedString('{visitor_id}', 16), 0, '{kept}'"
        )
        await store.command(
            "INSERT INTO order_facts (site, order_key, identity, visitor_id, occurred_at)"
            f" SELECT '{site}', unhex('{key}'), unhex('{key}'),"
            f" toFixedString('{visitor_id}', 16), 0"
        )
    found = await store.select(
        f"SELECT event_id, retention FROM v_stamps WHERE site = '{site}' ORDER BY event_id"
    )
    assert found == [("order", "accounting"), ("seen", "audience"), ("whole", "usage")]
    facts = await store.select(
        f"SELECT retention, count() FROM order_facts WHERE site = '{site}' GROUP BY 1 ORDER BY 1"
    )
    assert facts == [("accounting", 1), ("usage", 2)]
