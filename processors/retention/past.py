"""The statements by which what is over becomes the past: each may be done again, and then changes
nothing. What they read is there until all of them are done."""

from collections.abc import AsyncIterator, Iterable, Mapping

from processors.derive import Touched, derive
from processors.rebuild import clear
from processors.retention.over import Over
from spine.failpoint import reach
from spine.store import Store, packed

_KEYS_AT_ONCE = 20_000
_CODE = "retention_over"
_NOBODY = "toFixedString('', 16)"
_ITEM = ", ".join(
    f"""if(JSONHas(item, '{name}'), concat('"{name}":', JSONExtractRaw(item, '{name}')), '')"""
    for name in ("item_id", "price", "quantity")
)
_ITEMS = f"""if(items = '', '', concat('[', arrayStringConcat(arrayMap(
    item -> concat('{{', arrayStringConcat(arrayFilter(part -> part != '', [{_ITEM}]), ','), '}}'),
    JSONExtractArrayRaw(items)), ','), ']'))"""
# What stays of an event that is an order: the fields to which Beleg's own rules strip it. All other
# columns have their defaults, which say nothing.
_ORDER_COLUMNS = (
    "site", "name", "event_id", "channel", "identity", "event_key", "occurred_at", "received_at",
    "received_on", "transaction_id", "currency", "value", "tax", "shipping", "discount",
    "consent_rule", "consent_version", "flags", "log_id", "log_partition", "log_offset",
)  # fmt: skip


async def keep_proofs(store: Store, one: Over, day: int) -> None:
    """Keep what events of a day changed in what their devices and users say about consent.

    Only changes are shown, and leaving out what repeats its forerunner changes none."""
    due = f"FROM events WHERE {one.events_on(day)} AND consent_kept = 'whole'"
    await store.command(
        "INSERT INTO consent_proofs SELECT site, subject, kind, received_at, identity, decided_at,"
        " granted, rules_version, signal FROM ("
        " SELECT *, row_number() OVER told AS nth, lagInFrame(granted) OVER told AS before"
        f" FROM consent_rows WHERE site = '{one.site}' AND told_by = 'event'"
        f" AND subject IN (SELECT visitor_id {due})"
        " WINDOW told AS (PARTITION BY subject ORDER BY received_at, identity"
        " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING))"
        f" WHERE (nth = 1 OR granted != before) AND identity IN (SELECT identity {due})"
    )


async def leave_orders(store: Store, one: Over) -> None:
    """Let orders stay without who ordered, and remember which were no first ones."""
    named = (
        f"SELECT o.order_key AS order_key, multiIf(p.person_key = {_NOBODY}, o.visitor_key,"
        " empty(p.slices), p.person_key, arrayLast(x -> x.1 <= o.at, p.slices).2) AS person"
        " FROM (SELECT order_key, visitor_id AS visitor_key, assumeNotNull(ordered_at) AS at"
        f" FROM orders FINAL WHERE site = '{one.site}' AND isNotNull(ordered_at)"
        f" AND visitor_id != {_NOBODY}) AS o"
        " LEFT ANY JOIN person_rows AS p ON o.visitor_key = p.visitor_key"
    )
    due = f"SELECT order_key FROM order_facts WHERE {one.facts}"
    await store.command(
        f"INSERT INTO repeat_orders SELECT order_key FROM ({named}) WHERE person IN"
        f" (SELECT person FROM ({named}) WHERE order_key IN ({due}))"
        " AND order_key NOT IN (SELECT first_order FROM new_customer_rows)"
    )
    stayed = (
        f"SELECT identity FROM order_facts WHERE site = '{one.site}'"
        f" AND retention = '{one.orders}' AND occurred_at < {one.until}"
    )
    await store.command(
        f"INSERT INTO order_facts SELECT * REPLACE ({_NOBODY} AS visitor_id,"
        f" '{one.orders}' AS retention) FROM (SELECT * FROM order_facts WHERE {one.facts}"
        f" AND identity NOT IN ({stayed}))"
    )
    columns = ", ".join(_ORDER_COLUMNS)
    await store.command(
        f"INSERT INTO events ({columns}, items, consent_kept, retention)"
        f" SELECT {columns}, {_ITEMS}, 'stripped', '{one.orders}'"
        f" FROM (SELECT * FROM events FINAL WHERE {one.events} AND {one.reports})"
    )


async def derive_past(store: Store, one: Over, since: int) -> AsyncIterator[None]:
    """Derive again what was made of facts that are over: orders, persons, and the sessions of the
    days from `since` on, which facts of another class may still make."""
    orders = await _keys(store, f"order_key FROM order_facts WHERE {one.facts}")
    for some in _chunks(orders):
        await _derive_again(store, Touched({}, set(some), set()))
        yield None
    named = await _keys(store, f"key FROM identity_evidence WHERE {one.facts}")
    for some in _chunks(named):
        await _derive_again(store, Touched({}, set(), set(some)))
        yield None
    if since >= one.first_day:
        return
    rows = await store.select_after_write(
        "SELECT visitor_id, groupUniqArray(toUInt16(toDate(occurred_at))) FROM visitor_facts"
        f" WHERE {one.kind} AND toDate(occurred_at) < toDate({one.first_day})"
        f" AND toDate(occurred_at) >= toDate({since}) GROUP BY visitor_id"
    )
    days = {bytes(visitor): {int(day) for day in on} for visitor, on in rows}
    for some in _chunks(list(days)):
        await _derive_again(store, Touched({v: days[v] for v in some}, set(), set()))
        yield None


async def _derive_again(store: Store, keys: Touched) -> None:
    """Derive, and show nothing where no fact is left: replaced, not deleted, because a processor
    that slept could bring it back."""
    reach("before the past is derived")
    token = await derive(store, keys)
    if keys.order_keys:
        await clear(store, "orders", f"order_key IN {packed(keys.order_keys)}", token)
    if keys.identifiers:
        await clear(store, "persons", f"visitor_id IN {packed(keys.identifiers)}", token)
    for day, visitors in _by_day(keys.visitor_days).items():
        here = f"day = toDate({day}) AND visitor_id IN {packed(visitors)}"
        await clear(store, "visitor_days", here, token)


async def clear_days(store: Store, site: str, until: int) -> None:
    """Delete the sessions of days on which all of a site is over. What a processor that slept
    brings back, the next run deletes."""
    here = f"site = '{site}' AND day < toDate({until})"
    if await store.select_after_write(f"SELECT 1 FROM visitor_days WHERE {here} LIMIT 1"):
        await store.mutate(
            "visitor_days",
            f"ALTER TABLE visitor_days DELETE WHERE {here} SETTINGS mutations_sync = 2",
        )


async def tell_fates(store: Store, one: Over, day: int) -> None:
    """Tell of each position whose event goes that it is erased, and why."""
    due = f"{one.events_on(day)} AND NOT {one.reports}"
    await store.command(
        f"INSERT INTO fates SELECT * REPLACE ('erased' AS fate, '{_CODE}' AS code)"
        " FROM (SELECT * FROM fates FINAL WHERE fate = 'stored' AND (log_id, log_partition,"
        f" log_offset) IN (SELECT log_id, log_partition, log_offset FROM events WHERE {due}))"
    )


async def _keys(store: Store, what: str) -> list[bytes]:
    return [bytes(key) for (key,) in await store.select_after_write(f"SELECT DISTINCT {what}")]


def _chunks(keys: list[bytes]) -> Iterable[list[bytes]]:
    return (keys[at : at + _KEYS_AT_ONCE] for at in range(0, len(keys), _KEYS_AT_ONCE))


def _by_day(visitor_days: Mapping[bytes, set[int]]) -> Mapping[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for visitor, days in visitor_days.items():
        for day in days:
            found.setdefault(day, []).append(visitor)
    return found
