"""Poison on the log becomes a reject with its bytes, and the partition goes on."""

import msgspec

from spine.log import Record
from spine.record import encode
from spine.store import Store
from tests.flow.happenings import Happening, Order, record
from tests.flow.passage import process

NOON_MS = 1_711_800_000_000
GOOD = Happening("", "purchase", "good", NOON_MS, anonymous_id="a", order=Order("t", "5"))


async def test_poison_is_kept_with_its_bytes_and_the_neighbours_land(
    store: Store, site: str
) -> None:
    good = encode(record(GOOD._replace(site=site)))
    poison = [
        b"",
        b"\xff\x00garbage",
        good[:-1],
        good.replace(b'"schema":"event.1"', b'"schema":"event.2"'),
        good.replace(b'"value":"5"', b'"value":1e400'),
        good.replace(b'"value":"5"', b'"value":"NaN"'),
        good.replace(b'"occurred_ms":17', b'"occurred_ms":-17'),
        good.replace(b'"event_id":"good"', b'"event_id":"\\udc00"'),
        good.replace(b'"identity":"', b'"identity":"zz'),
        b"[" * 100_000,
    ]
    later = encode(record(GOOD._replace(site=site, event_id="later", at_ms=NOON_MS + 1)))
    batch = [Record(0, number, v, NOON_MS) for number, v in enumerate([good, *poison, later])]
    await process(store, site, batch)
    await process(store, site, batch)
    rejects = await store.select(
        "SELECT log_offset, hex(value), code FROM rejects FINAL WHERE log_id = {log_id:String}"
        " ORDER BY log_offset",
        {"log_id": site},
    )
    assert [bytes.fromhex(row[1]) for row in rejects] == poison
    assert [row[0] for row in rejects] == list(range(1, 11))
    assert {row[2] for row in rejects} == {"unreadable_record", "unknown_schema"}
    fates = await store.select(
        "SELECT fate, count() FROM fates FINAL WHERE log_id = {log_id:String} GROUP BY fate"
        " ORDER BY fate",
        {"log_id": site},
    )
    assert fates == [("rejected", 10), ("stored", 2)]


async def test_odd_but_readable_values_land(store: Store, site: str) -> None:
    """What passes the record's types must pass the columns' types, too."""
    plain = encode(record(GOOD._replace(site=site)))
    odd = [
        plain.replace(b'"value":"5"', b'"value":' + value).replace(
            b'"transaction_id":"t"', b'"transaction_id":"t%d"' % number
        )
        for number, value in enumerate(
            [b"1e-400", b"-0", b"99999999999999.9999", b"0." + b"1" * 3000, b'" 1_0 "']
        )
    ]
    odd += [
        plain.replace(b'"value":"5"', b'"items":[{"index":1000000,"price":0.33333}]'),
        plain.replace(
            b'"event":{', b'"event":{"properties":{"a":"\\u0000","b":' + b"9" * 15 + b"},"
        ),
        plain.replace(b'"site":"', b'"user_agent":"' + b"\xf0\x9f\x8d\x8e" * 500 + b'","site":"'),
        plain.replace(b'"event_id":"good"', b'"event_id":"' + b"x" * 100_000 + b'"'),
    ]
    batch = [
        Record(0, n, value.replace(b'"identity":"', b'"identity":"%02x' % n, 1), NOON_MS)
        for n, value in enumerate(odd)
    ]
    batch = [msgspec.structs.replace(r, value=_shortened(r.value)) for r in batch]
    await process(store, site, batch)
    assert await store.select(
        "SELECT fate, count() FROM fates FINAL WHERE log_id = {log_id:String} GROUP BY fate",
        {"log_id": site},
    ) == [("stored", len(odd))]
    rows = await store.select(
        "SELECT transaction_id, toString(gross) FROM v_orders WHERE site = {site:String}"
        " ORDER BY transaction_id",
        {"site": site},
    )
    amounts = {str(row[0]): row[1] for row in rows}
    assert amounts["t0"] == "0"
    assert amounts["t4"] == "10"


def _shortened(value: bytes) -> bytes:
    """Cut the identity back to 32 digits after its first two were put in front."""
    at = value.index(b'"identity":"') + len(b'"identity":"')
    return value[: at + 32] + value[at + 34 :]
