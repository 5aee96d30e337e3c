"""Evidence that somebody has told to be wrong: what names two identifiers together does not count.

It is a row of its own, so that a rebuild, later evidence and a replay heed it; undone it is as if
it had never been.
"""

import time

from processors.component import components
from processors.keys import KINDS, KeySet
from processors.ledger import next_token
from processors.rebuild import rederive
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


async def _enter(
    store: Store, site: str, ends: tuple[bytes, bytes], why: str, *, undone: bool
) -> bool:
    table = _SPLIT.format(ends=packed(ends)) if undone else "identity_evidence"
    one, other = (end.hex() for end in ends)
    if not await store.select_after_write(
        f"SELECT 1 FROM {table} WHERE key = unhex('{one}') AND other_key = unhex('{other}') LIMIT 1"
    ):
        return False
    # Whoever was connected before is derived again: a person may fall apart, or become too large.
    before = {key for each in await components(store, ends) for key in each.identifiers}
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
    _ = await rederive(store, KeySet(_PERSONS, frozenset({*before, *ends})))
    return True
