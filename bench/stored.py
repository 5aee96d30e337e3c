"""A store filled by SQL, as another log left it that was read to its end.

Ten events a visitor, one visit each, over thirty days or so many; every twentieth visitor bought.
Every tenth told a user id: of eight of them one has the user of the one before, a second device of
one person, and one is a device of two users in turn; every second told an e-mail, too. What is
derived is what the processors would derive (`tests/flow/test_bench_stored.py`).
`python -m bench.stored DATA_DIR EVENTS` fills one.
"""

import asyncio
import sys
import time
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
_VISITORS = f"""
SELECT number AS v, 'shop' AS site,
    if(number % {{stride}} = 0 AND intDiv(number, {{stride}}) < length(known),
        known[intDiv(number, {{stride}}) + 1], MD5(concat('v', toString(number)))) AS visitor_id,
    toDateTime64({{now_s}}, 3, 'UTC')
        - toIntervalSecond(600 + cityHash64(number) % ({{days}} * 86400)) AS started_at,
    started_at + INTERVAL 540 SECOND AS ended_at, number % 20 = 0 AS bought,
    number % 10 = 0 AS told, intDiv(number, 10) AS teller, teller % 8 = 1 AS is_second,
    teller % 8 = 2 AS is_shared, told AND teller % 2 = 0 AS told_email,
    teller - is_second AS user, MD5(concat('u', toString(user))) AS user_key,
    MD5(concat('w', toString(user))) AS former_key, MD5(concat('e', toString(user))) AS email_key,
    MD5(concat('o', toString(number))) AS order_key,
    MD5(toString(number * {EVENTS_A_VISITOR} + 9)) AS last_identity,
    cityHash64(number, 1) % 5 AS way,
    ['google', 'google', '(direct)', 'newsletter', 'm.facebook.com'][way + 1] AS source,
    ['cpc', 'organic', '(none)', 'email', 'paid_social'][way + 1] AS medium,
    ['Paid Search', 'Organic Search', 'Direct', 'Email', 'Paid Social'][way + 1] AS channel_group,
    if(way IN (0, 3, 4), concat('campaign-', toString(cityHash64(number, 2) % 20)), '') AS campaign,
    if(way = 0, 'gclid', '') AS click_id_name,
    if(way = 0, hex(cityHash64(number, 3)), '') AS click_id,
    concat('https://shop.example/en/kitchen/p-', toString(number % 997)) AS page,
    'desktop' AS device, 'DE-BE' AS place
FROM (SELECT number, {{known}} AS known FROM numbers({{first}}, {{count}}))
"""
# Who came by a way that has a name says so with the first event.
_EVENTS = f"""
SELECT v.* EXCEPT (source, medium, channel_group, campaign, click_id_name, click_id),
    toString(v.v * {EVENTS_A_VISITOR} + nth) AS event_id, nth,
    if(nth = 9 AND v.bought, 'purchase', if(nth % 2 = 0, 'page_view', 'view_item')) AS name,
    name = 'purchase' AS is_key, indexOf(['view_item', 'purchase'], name) AS nth_step,
    [0, 1, 5][nth_step + 1] AS step,
    'browser' AS channel, MD5(event_id) AS identity, identity AS event_key,
    v.started_at + toIntervalSecond(nth * 60) AS occurred_at, occurred_at AS received_at,
    toDate(occurred_at) AS received_on, 'before' AS log_id, 0 AS log_partition,
    v.v * {EVENTS_A_VISITOR} + nth AS log_offset, 'stored' AS fate, 'usage' AS retention,
    if(name = 'purchase', concat('S-', toString(v.v)), NULL) AS transaction_id,
    concat('a', toString(v.v)) AS anonymous_id, v.told AND nth >= 8 AS tells,
    tells AND v.is_shared AND nth = 8 AS tells_former,
    if(tells, concat(if(tells_former, 'w', 'u'), toString(v.user)), NULL) AS user_id,
    if(tells_former, v.former_key, v.user_key) AS told_key,
    nth = 0 AND v.way != 2 AS is_tagged,
    if(is_tagged, v.source, '') AS source, if(is_tagged, v.medium, '') AS medium,
    if(is_tagged, v.campaign, '') AS campaign,
    if(is_tagged, v.channel_group, '') AS channel_group,
    if(is_tagged, v.click_id_name, '') AS click_id_name,
    if(is_tagged, v.click_id, '') AS click_id,
    toDecimal64(39.98, 4) AS value, 'EUR' AS currency
FROM ({_VISITORS}) AS v ARRAY JOIN range({EVENTS_A_VISITOR}) AS nth
"""
_TOUCH = "source, medium, campaign, channel_group, click_id_name, click_id"
_LANDED = {
    "events": "site, name, event_id, channel, identity, event_key, visitor_id, occurred_at,"
    " received_at, received_on, log_id, log_partition, log_offset, transaction_id, anonymous_id,"
    f" user_id, device, place, retention, {_TOUCH}",
    "visitor_facts": "site, visitor_id, occurred_at, identity, event_key, name, page, is_key, step,"
    f" device, place, retention, is_tagged, {_TOUCH}",
    "seen": "identity, log_id, log_partition, log_offset",
    "fates": "log_id, log_partition, log_offset, site, received_at, identity, fate",
}
_REPORTS = (
    "order_key, site, transaction_id, name, occurred_at, identity, event_key, channel, visitor_id,"
    " currency, value, retention"
)
# Of an event with a user the device, and with the last one an e-mail: once from either end.
_EVIDENCE = (
    "SELECT (arrayJoin(arrayFilter(ends -> ends.5, ["
    "(visitor_id, told_key, 'anonymous_id', 'user_id', 1),"
    " (told_key, visitor_id, 'user_id', 'anonymous_id', 1),"
    " (email_key, told_key, 'email_sha256', 'user_id', told_email AND nth = 9),"
    " (told_key, email_key, 'user_id', 'email_sha256', told_email AND nth = 9)])) AS ends).1,"
    " ends.2, ends.3, ends.4, site, occurred_at, identity, channel, retention"
)
_TIME = "CAST({}, 'Nullable(DateTime64(3, \\'UTC\\'))')"
_NEVER = _TIME.format("NULL")
_ENDED = _TIME.format("ended_at")
# A user is a person of its own, also one who was on a device before.
_IDENTIFIERS = (
    f"[(visitor_id, 'anonymous_id', if(is_shared, [({_NEVER}, {_ENDED}, former_key),"
    f" ({_ENDED}, {_NEVER}, user_key)], [({_NEVER}, {_NEVER}, user_key)]), 1),"
    " (user_key, 'user_id', [], NOT is_second),"
    " (former_key, 'user_id', [], is_shared),"
    f" (email_key, 'email_sha256', [({_NEVER}, {_NEVER}, user_key)], told_email)]"
)
_DERIVED = {
    "visitor_days": "SELECT site, visitor_id,"
    " arrayJoin(range(toUInt16(toDate(started_at)), toUInt16(toDate(ended_at)) + 1)) AS day,"
    " if(day = toUInt16(toDate(started_at)), [(started_at, ended_at, 10, 5, 1, source, medium,"
    " campaign, channel_group, click_id_name, click_id, page, 1, device, place)], []), 1 FROM ({})",
    "orders": "SELECT order_key, site, concat('S-', toString(v)), ended_at, ended_at, 'EUR', 39.98,"
    " 0, NULL, NULL, 'purchased', 0, 1, 0, visitor_id, 0, 0, 0, 0, 0, [],"
    " arrayMap(field -> (field, last_identity, 'browser'),"
    " ['currency', 'gross', 'ordered_at', 'visitor']), 1 FROM ({}) WHERE bought",
    "persons": f"SELECT (arrayJoin(arrayFilter(i -> i.4, {_IDENTIFIERS})) AS i).1, site, i.2, i.3,"
    " 1 FROM ({}) WHERE told",
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
    now_s = int(time.time())
    keys = _array(known)
    at_once = _AT_ONCE // EVENTS_A_VISITOR
    for first in range(0, visitors, at_once):
        count = min(at_once, visitors - first)
        stride = max(visitors // max(len(known), 1), 1)
        span = {"now_s": now_s, "days": days}
        slots = {"first": first, "count": count, "stride": stride, "known": keys, **span}
        some, told = _VISITORS.format(**slots), _EVENTS.format(**slots)
        if landed:
            await _land(store, told, without)
        for table, select in _DERIVED.items():
            await store.command(f"INSERT INTO {table} {select.format(some)}")
        stored = min((first + count) * EVENTS_A_VISITOR, events)
        print(f"\r{stored:>12,} of {events:,} stored ", end="", file=sys.stderr)
    print(file=sys.stderr)
    for table in _DERIVED:  # as after a day: what is derived has come to rest
        await store.command(f"OPTIMIZE TABLE {table} FINAL")


async def _land(store: Store, told: str, without: Collection[str]) -> None:
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
        f" occurred_at, identity, channel, retention) {_EVIDENCE} FROM ({told}) WHERE tells"
    )


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
