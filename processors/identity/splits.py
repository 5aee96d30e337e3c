"""Evidence that somebody has told to be wrong: what names two identifiers together does not count.

It is a row of its own, so that a rebuild, later evidence and a replay heed it; undone it is as if
it had never been.
"""

import time
from collections.abc import Sequence

from processors.identity.component import Component, components
from processors.keys import KINDS, KeySet
from processors.ledger import next_token
from processors.rebuild import rederive
from spine.failpoint import reach
from spine.store import Store, packed

_PERSONS = KINDS[2]

# What was told to count again counts as split until the persons of its ends have been derived
# since: who was killed between the two does it again.
_SPLIT = """(
    SELECT key, other_key FROM identity_splits FINAL
    WHERE NOT is_undone OR version > (SELECT max(version) FROM persons WHERE visitor_id IN {ends})
)"""


async def split(store: Store, site: str, ends: tuple[bytes, bytes], why: str) -> bool:
    """Return when evidence that names these two together counts no more, and every row says so;
    False where there is none that does. Raises: Unavailable; then do it again."""
    return await _enter(store, site, ends, why, undone=False)


async def undo(store: Store, site: str, ends: tuple[bytes, bytes]) -> bool:
    """Return when it counts again; False where it was not split. Raises: Unavailable; then do it
    again."""
    return await _enter(store, site, ends, "", undone=True)


async def finish(store: Store) -> None:
    """Return when every row heeds every split, those too whose process was killed before it had
    derived anything again. Raises: Unavailable; then do it again."""
    rows = await store.select_after_write(
        "SELECT s.key, s.other_key FROM (SELECT * FROM identity_splits FINAL) AS s"
        " LEFT ANY JOIN (SELECT visitor_id, max(version) AS derived FROM persons"
        " WHERE visitor_id IN (SELECT key FROM identity_splits) GROUP BY visitor_id) AS p"
        " ON s.key = p.visitor_id WHERE s.version > p.derived"
    )
    for ends in {(min(pair), max(pair)) for pair in rows}:
        await _derive_again(store, (bytes(ends[0]), bytes(ends[1])))


async def _enter(
    store: Store, site: str, ends: tuple[bytes, bytes], why: str, *, undone: bool
) -> bool:
    table = _SPLIT.format(ends=packed(ends)) if undone else "identity_evidence"
    one, other = (end.hex() for end in ends)
    if not await store.select_after_write(
        f"SELECT 1 FROM {table} WHERE key = unhex('{one}') AND other_key = unhex('{other}') LIMIT 1"
    ):
        return False
    version = await next_token(store)
    await store.insert(
        "identity_splits",
        {
            "key": list(ends),
            "other_key": list(reversed(ends)),
            "site": [site] * 2,
            "why": [why] * 2,
            "split_at": [time.time_ns() // 1_000_000] * 2,
            "is_undone": [int(undone)] * 2,
            "version": [version] * 2,
        },
    )
    reach("after the split")
    await _derive_again(store, ends)
    return True


async def _derive_again(store: Store, ends: tuple[bytes, bytes]) -> None:
    """Derive whoever is connected with these; where that is too many, whoever would be without what
    names both: of these a person may fall apart."""
    found = list(await components(store, ends))
    if not all(each.is_whole for each in found):
        found += await _without_both(store, ends)
    keys = {*ends, *(key for each in found for key in each.identifiers)}
    token = await rederive(store, KeySet(_PERSONS, frozenset(keys)))
    # Also of whom nothing was shown: by its version a row says that it heeds the split.
    await store.command(
        f"INSERT INTO persons SELECT visitor_id, site, identifier_type, [], {token}"
        f" FROM (SELECT * FROM persons FINAL WHERE visitor_id IN {packed(ends)}"
        f" AND version < {token})"
    )


async def _without_both(store: Store, ends: tuple[bytes, bytes]) -> Sequence[Component]:
    one, other = (end.hex() for end in ends)
    rows = await store.select_after_write(
        f"SELECT identity, other_key FROM identity_evidence WHERE key IN {packed(ends)}"
        " AND identity IN (SELECT identity FROM identity_evidence"
        f" WHERE key = unhex('{one}') AND other_key = unhex('{other}'))"
    )
    # One of the two stands beside all others on its events.
    named = {bytes(key) for _, key in rows}
    return await components(store, named, {bytes(identity) for identity, _ in rows})
