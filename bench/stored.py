"""A store filled by SQL, as another log left it that was read to its end.

Ten events a visitor, one visit each, over thirty days or so many; every twentieth visitor bought,
with a user id. `python -m bench.stored DATA_DIR EVENTS` fills one.
"""

import asyncio
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from spine.digest import identifier_id
from spine.store import Store, packed

DAYS = 30
EVENTS_A_VISITOR = 10
_AT_ONCE = 5_000_000
# Parts of 2.5 million rows instead of one: a fifth less CPU to write them, and fewer to merge.
_LARGE = (
    " SETTINGS min_insert_block_size_rows = 2500000, min_insert_block_size_bytes = 4000000000,"
    " max_insert_threads = 2"
)
_NOBODY = "toFixedString('', 16)"

# One row per visitor. The first ones are those whose ids the traffic of `bench.traffic` has.
_VISITORS = """
SELECT number AS v, 'shop' AS site,
    if(number % {stride} = 0 AND intDiv(number, {stride}) < length(known),
        known[intDiv(number, {stride}) + 1], MD5(concat('v', toString(number)))) AS visitor_id,
    toStartOfSecond(now64(3, 'UTC'))
        - toIntervalSecond(600 + cityHash64(number) % ({days} * 86400))
        AS started_at,
    started_at + INTERVAL 540 SECOND AS ended_at, number % 20 = 0 AS bought,
    MD5(concat('u', toString(number))) AS user_key, MD5(concat('o', toString(number))) AS order_key,
    cityHash64(number, 1) % 5 AS way,
    ['google', 'google', '(direct)', 'newsletter', 'm.facebook.com'][way + 1] AS source,
    ['cpc', 'organic', '(none)', 'email', 'paid_social'][way + 1] AS medium,
    ['Paid Search', 'Organic Search', 'Direct', 'Email', 'Paid Social'][way + 1] AS channel_group,
    if(way IN (0, 3, 4), concat('campaign-', toString(cityHash64(number, 2) % 20)), '') AS campaign,
    if(way = 0, 'gclid', '') AS click_id_name,
    if(way = 0, hex(cityHash64(number, 3)), '') AS click_id,
    concat('https://shop.example/en/kitchen/p-', toString(number % 997)) AS page
FROM (SELECT number, {known} AS known FROM numbers({first}, {count}))
"""
_EVENTS = f"""
SELECT v.*, toString(v.v * {EVENTS_A_VISITOR} + nth) AS event_id, nth,
    if(nth = 9 AND v.bought, 'purchase', if(nth % 2 = 0, 'page_view', 'view_item')) AS name,
    'browser' AS channel, MD5(event_id) AS identity, identity AS event_key,
    v.started_at + toIntervalSecond(nth * 60) AS occurred_at, occurred_at AS received_at,
    toDate(occurred_at) AS received_on, 'before' AS log_id, 0 AS log_partition,
    v.v * {EVENTS_A_VISITOR} + nth AS log_offset, 'stored' AS fate,
    if(name = 'purchase', concat('S-', toString(v.v)), NULL) AS transaction_id,
    concat('a', toString(v.v)) AS anonymous_id,
    if(v.bought, concat('u', toString(v.v)), NULL) AS user_id,
    toDecimal64(39.98, 4) AS value, 'EUR' AS currency
FROM ({_VISITORS}) AS v ARRAY JOIN range({EVENTS_A_VISITOR}) AS nth
"""
_LANDED = {
    "events": "site, name, event_id, channel, identity, event_key, visitor_id, occurred_at,"
    " received_at, received_on, log_id, log_partition, log_offset, transaction_id, anonymous_id,"
    " user_id",
    "visitor_facts": "site, visitor_id, occurred_at, identity, event_key, name, page",
    "seen": "identity, log_id, log_partition, log_offset",
    "fates": "log_id, log_partition, log_offset, site, received_at, identity, fate",
}
_REPORTS = (
    "order_key, site, transaction_id, name, occurred_at, identity, event_key, channel, visitor_id,"
    " currency, value"
)
_EVIDENCE = (
    "SELECT (arrayJoin([(visitor_id, user_key, 'anonymous_id', 'user_id'),"
    " (user_key, visitor_id, 'user_id', 'anonymous_id')]) AS ends).1, ends.2, ends.3, ends.4, site,"
    " occurred_at, identity, channel"
)
_DERIVED = {
    "visitor_days": "SELECT site, visitor_id, toDate(started_at), [(started_at, ended_at, 10, 5, 1,"
    " source, medium, campaign, channel_group, click_id_name, click_id, page, 1, 'desktop')], 1",
    "orders": "SELECT order_key, site, concat('S-', toString(v)), ended_at, ended_at, 'EUR', 39.98,"
    " 0, NULL, NULL, 'purchased', 0, 1, 0, visitor_id, 0, 0, 0, 0, 0, [], [], 1",
    "persons": "SELECT visitor_id, site, 'anonymous_id',"
    " [(CAST(NULL, 'Nullable(DateTime64(3, \\'UTC\\'))'),"
    " CAST(NULL, 'Nullable(DateTime64(3, \\'UTC\\'))'), user_key)], 1",
}


def known_visitors(count: int) -> Sequence[bytes]:
    """Give the visitors that the traffic of `bench.traffic` numbers from 0 on."""
    ids = (f"5c1ef1f0-9a3b-4d2e-8f6a-{number:012d}" for number in range(count))
    return [identifier_id("shop", "anonymous_id", one) for one in ids]


async def fill(
    store: Store,
    events: int,
    known: Sequence[bytes] = (),
    *,
    days: int = DAYS,
    landed: bool = True,
    without: Collection[str] = (),
) -> None:
    """Store so many events with what is derived from them; without `landed` only the latter.

    Shape: the visitors in `known` are spread evenly over all; tables `without` stay empty."""
    visitors = events // EVENTS_A_VISITOR
    keys = _array(known)
    at_once = _AT_ONCE // EVENTS_A_VISITOR
    for first in range(0, visitors, at_once):
        count = min(at_once, visitors - first)
        stride = max(visitors // max(len(known), 1), 1)
        slots = {"first": first, "count": count, "stride": stride, "known": keys, "days": days}
        some, told = _VISITORS.format(**slots), _EVENTS.format(**slots)
        if landed:
            for table, columns in _LANDED.items():
                if table not in without:
                    await store.command(
                        f"INSERT INTO {table} ({columns}){_LARGE} SELECT {columns} FROM ({told})"
                    )
            await store.command(
                f"INSERT INTO order_facts ({_REPORTS}) SELECT {_REPORTS} FROM ({told})"
                " WHERE name = 'purchase'"
            )
            await store.command(
                "INSERT INTO identity_evidence (key, other_key, key_type, other_type, site,"
                f" occurred_at, identity, channel) {_EVIDENCE} FROM ({told})"
                " WHERE name = 'purchase'"
            )
        for table, select in _DERIVED.items():
            who = "" if table == "visitor_days" else " WHERE bought"
            await store.command(f"INSERT INTO {table} {select} FROM ({some}){who}")
        stored = min((first + count) * EVENTS_A_VISITOR, events)
        print(f"\r{stored:>12,} of {events:,} stored ", end="", file=sys.stderr)
    print(file=sys.stderr)


def _array(digests: Sequence[bytes]) -> str:
    if not digests:
        return "[]"
    inner = packed(digests).removeprefix("(SELECT reinterpretAsFixedString(arrayJoin(")
    array = f"arrayMap(k -> reinterpretAsFixedString(k), {inner.removesuffix(')))')})"
    return f"(SELECT groupArray(k) FROM (SELECT arrayJoin({array}) AS k))"


async def _main(data_dir: Path, events: int) -> None:
    store = await Store.open("embedded", data_dir)
    await fill(store, events)
    await store.close()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2])))
