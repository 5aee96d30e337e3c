"""Derive everything again from landed facts, range of keys by range of keys.

What is written is what live deriving would write, by the same statements, under versions that are
taken before anything is read. So it may run while processors run, stop anywhere, and run again.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import NamedTuple

from processors.derive import derive
from processors.keys import KeyRange, KeySet, key_ranges, keys_with_facts
from processors.ledger import next_token
from spine.errors import Misconfigured
from spine.store import DERIVE_VERSION, Store

_CHUNK_ROWS = 50_000
_LAST_TOKEN = 1 << 63

# A row that has no facts any more is not deleted: a processor that slept could bring it back.
# It is replaced by a row that the views do not show.
_GONE = {
    "visitor_days": "site, visitor_id, day, []",
    "orders": "order_key, site, transaction_id, NULL, first_reported_at, currency, NULL, NULL,"
    " NULL, NULL, '', 0, 0, 0, toFixedString('', 16), 0, 0, 0, 0, 0, [], []",
    "persons": "visitor_id, site, identifier_type, []",
}
_SHOWN = {
    "visitor_days": "notEmpty(sessions_of_day)",
    "orders": "status != ''",
    "persons": "notEmpty(intervals)",
}


class Step(NamedTuple):
    """How far a rebuild is: the steps done, of how many, and the table it is at."""

    done: int
    total: int
    table: str


async def is_due(store: Store) -> bool:
    """Say whether an older program derived into this store, and this one never all of it again, or
    whether sites have another rule of sessions since."""
    ((due,),) = await store.select(
        f"SELECT (SELECT min(version) FROM derive_versions) < {DERIVE_VERSION}"
        f" AND {DERIVE_VERSION} NOT IN (SELECT version FROM rebuilds)"
        " OR (SELECT max(token) FROM session_rules) > (SELECT max(token) FROM rebuilds)"
    )
    return bool(due)


async def rebuild(store: Store, chunk_rows: int = _CHUNK_ROWS) -> AsyncIterator[Step]:
    """Replace every derived row by what its facts say, a bounded chunk at each step.

    Raises: Unavailable (then begin anew), Misconfigured when a version leaves no room above it."""
    await rise_above(store)
    token = await next_token(store)
    ranges = await key_ranges(store, chunk_rows)
    for number, keys in enumerate(ranges):
        yield Step(number, len(ranges), keys.kind.table)
        _ = await rederive(store, keys)
    if store.path is not None:
        await asyncio.to_thread(os.sync)  # the note must not outlive its rows
    await store.command(f"INSERT INTO rebuilds SELECT {DERIVE_VERSION}, now64(3, 'UTC'), {token}")


async def rederive(store: Store, keys: KeyRange | KeySet) -> int:
    """Replace every derived row of these keys by what their facts say; give a version below which
    every row of theirs has been replaced. Raises: Unavailable."""
    # Taken before the keys are read: a row of that version or a higher one may have facts that
    # landed since, and is its writer's.
    token = await next_token(store)
    _ = await derive(store, await keys_with_facts(store, keys))
    await clear(store, keys.kind.table, keys.holds(keys.kind.key), token)
    return token


async def clear(store: Store, table: str, here: str, token: int) -> None:
    """Let what lies there and was not derived since the token was taken show nothing."""
    await store.command(
        f"INSERT INTO {table} SELECT {_GONE[table]}, {token} FROM (SELECT * FROM {table} FINAL"
        f" WHERE {here} AND version < {token} AND {_SHOWN[table]})"
    )


async def rise_above(store: Store) -> None:
    """Let no stored row carry a version that the next token would not pass."""
    ((highest,),) = await store.select_after_write(
        "SELECT greatest((SELECT max(version) FROM visitor_days),"
        " (SELECT max(version) FROM orders), (SELECT max(version) FROM persons),"
        " (SELECT max(token) FROM ledger))"
    )
    if highest >= _LAST_TOKEN:
        raise Misconfigured(
            "store.url",
            f"a derived row carries version {highest}, above all that can be taken; nothing here"
            " wrote it: restore the store, or delete that row, then run `beleg rebuild`",
        )
    await store.command(f"INSERT INTO tokens SELECT 0, {highest}")
