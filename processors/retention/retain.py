"""What is past the days of its class goes: proof is kept, numbers end, rows are deleted.

Invariants:

1. The horizon of a site and class is written before anything is deleted and never goes back. What
   is derived is a function of facts and horizons: a late event, a rebuild and a run that was killed
   end in the same rows, and days from the horizon on say what they said before.
2. Rows that tell what is still to be done go last. So a run is done again from anywhere, and two at
   once do no harm.
3. No clock alone deletes: a day is over when something was received on three days from it on.
4. What may still be read from the log again is not deleted yet.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from consent_rules.regime import PROOF
from processors.retention.over import TABLES, Over, all_classes, counts
from processors.retention.past import clear_days, derive_past, keep_proofs, leave_orders, tell_fates
from spine.failpoint import reach
from spine.store import Store

_DAY_US = 86_400_000_000


class Gone(NamedTuple):
    """How many rows of a table went, of a site and class."""

    site: str
    retention: str
    table: str
    rows: int


async def retain(store: Store, everything: Sequence[Over]) -> AsyncIterator[Gone | None]:
    """Delete what is over, a bounded step at a time; between two steps batches may be taken.

    Raises: Unavailable (then begin anew: what was done stays done)."""
    ended = await _ended(store)
    ran = False
    for one in everything:
        if one.retention == PROOF:
            async for gone in _forget_proofs(store, one):
                yield gone
            continue
        rows = await counts(store, one)
        if one.first_day <= ended.get((one.site, one.retention), 0) and not any(rows.values()):
            continue
        async for _ in _end(store, one):
            yield None
        async for gone in _delete(store, one, rows):
            yield gone
        await _enter(store, one, rows)
        ran = True
    if ran:  # once a day
        await _sweep(store)


async def _end(store: Store, one: Over) -> AsyncIterator[None]:
    """Let the numbers of what is over end; its rows are all still there."""
    for day in await one.days(store):
        reach("before the proofs")
        await keep_proofs(store, one, day)
        yield None
    if one.orders is not None:
        reach("before the orders stay")
        await leave_orders(store, one)
        yield None
    reach("before the horizon")
    await store.command(
        f"INSERT INTO horizons SELECT '{one.site}', '{one.retention}', toDate({one.first_day})"
    )
    reach("after the horizon")
    classes = await all_classes(store, one.site)
    async for _ in derive_past(store, one, min(classes.values(), default=one.first_day)):
        yield None
    reach("before the days are cleared")
    await clear_days(store, one.site, min(classes.values(), default=one.first_day))
    yield None


async def _delete(store: Store, one: Over, rows: Mapping[str, int]) -> AsyncIterator[Gone]:
    for day in await one.days(store):
        reach("before the fates of what is over")
        await tell_fates(store, one, day)
    for table in (table for table in TABLES if rows[table]):
        reach("before rows go")
        await _delete_from(store, table, await one.to_go(store, table))
        yield Gone(one.site, one.retention, table, rows[table])
    reach("after rows went")


async def _delete_from(store: Store, table: str, condition: str) -> None:
    # A mutation, and no lightweight delete: that would leave the bytes until the next merge. Nor
    # are partitions dropped: a late event of another class may land there this very moment.
    await store.mutate(
        table, f"ALTER TABLE {table} DELETE WHERE {condition} SETTINGS mutations_sync = 2"
    )


async def _forget_proofs(store: Store, one: Over) -> AsyncIterator[Gone]:
    for table in ("consent_log", "consent_proofs"):
        condition = f"site = '{one.site}' AND received_at < {one.until}"
        ((rows,),) = await store.select(f"SELECT count() FROM {table} WHERE {condition}")
        if rows:
            await _delete_from(store, table, condition)
            await _enter(store, one, {table: int(rows)})
            yield Gone(one.site, one.retention, table, int(rows))


async def _sweep(store: Store) -> None:
    """Delete derived rows that have had no facts for a day; until then a row that shows nothing
    keeps a processor that slept from bringing back what it replaced."""
    for table, key, facts in (
        ("orders", "order_key", "SELECT order_key FROM order_facts"),
        ("persons", "visitor_id", "SELECT key FROM identity_evidence"),
    ):
        # Asked of another table: a mutation takes part by part, and asks again for each.
        condition = (
            f"version + {_DAY_US} < (SELECT max(token) FROM tokens) AND {key} NOT IN ({facts})"
        )
        if await store.select(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1"):
            await _delete_from(store, table, condition)


async def _ended(store: Store) -> Mapping[tuple[str, str], int]:
    rows = await store.select(
        "SELECT site, retention, toUInt16(max(first_day)) FROM retention_runs GROUP BY 1, 2"
    )
    return {(site, name): int(day) for site, name, day in rows}


async def _enter(store: Store, one: Over, rows: Mapping[str, int]) -> None:
    tables = ", ".join(f"('{table}', {count})" for table, count in rows.items())
    await store.command(
        f"INSERT INTO retention_runs SELECT '{one.site}', '{one.retention}',"
        f" toDate({one.first_day}), now64(3, 'UTC'), row.1, row.2"
        f" FROM (SELECT arrayJoin([{tables}]) AS row)"
    )
