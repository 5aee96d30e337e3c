"""What an erasure leaves of somebody: decisions without a name; and what it finds in rejects."""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from spine.erasure_key import ErasureKey
from spine.store import Store, packed

Position = tuple[str, int, int]
"""Log id, partition and offset."""

_SURE_CHARACTERS = 12  # an id as long as this does not stand in a record by chance
_FIELDS = ("anonymous_id", "user_id", "crm_id")
_MOST_NEEDLES = 200  # the store searches for 255 at once

_DECISIONS = (
    "site", "subject", "kind", "received_at", "identity", "decided_at", "action", "granted",
    "denied", "text_version", "channel",
)  # fmt: skip


async def keep_decisions(
    store: Store, key: ErasureKey, subjects: Mapping[bytes, int]
) -> set[bytes]:
    """Write the decisions of these identifiers once more, under their marks, as proof that there
    was a consent; give the identities of those that are to go. Raises: Unavailable."""
    rows = await store.select_after_write(
        "SELECT site, subject, kind, toUnixTimestamp64Milli(received_at), identity,"
        " toUnixTimestamp64Milli(decided_at), action, granted, denied, text_version,"
        " toString(channel) FROM consent_log FINAL"
        f" WHERE subject IN {packed(subjects)} SETTINGS log_queries = 0"
    )
    rows = [row for row in rows if int(row[3]) <= subjects[bytes(row[1])]]
    if not rows:
        return set()
    columns = dict(zip(_DECISIONS, map(list, zip(*rows, strict=True)), strict=True))
    before = {bytes(identity) for identity in columns["identity"]}
    for name in ("subject", "identity"):
        columns[name] = [key.mark(bytes(digest)) for digest in columns[name]]
    await store.insert("consent_log", columns)
    return before


async def proofs_of(store: Store, subjects: Mapping[bytes, int]) -> set[bytes]:
    """Give the identities of those proofs of consent that events left behind which are to go, like
    the events would. Raises: Unavailable."""
    rows = await store.select_after_write(
        "SELECT subject, identity, toUnixTimestamp64Milli(received_at) FROM consent_proofs"
        f" WHERE subject IN {packed(subjects)} SETTINGS log_queries = 0"
    )
    return {
        bytes(identity)
        for subject, identity, received_ms in rows
        if int(received_ms) <= subjects[bytes(subject)]
    }


async def rejects_about(
    store: Store, identifiers: Collection[str], until_ms: int
) -> Sequence[Position]:
    """Give where records stand that could not be read and have one of these ids in their bytes.

    A short id may stand in a record by chance: it counts only as the value of its field."""
    needles = sorted({needle for one in identifiers for needle in _needles(one)})
    found: set[Position] = set()
    for at in range(0, len(needles), _MOST_NEEDLES):
        wanted = needles[at : at + _MOST_NEEDLES]
        rows = await store.select(
            "SELECT log_id, log_partition, log_offset FROM rejects FINAL"
            " WHERE multiSearchAny(value, {needles:Array(String)})"
            f" AND appended_at <= fromUnixTimestamp64Milli({until_ms}) SETTINGS log_queries = 0",
            {"needles": wanted},
        )
        found |= {(log_id, int(partition), int(offset)) for log_id, partition, offset in rows}
    return sorted(found)


def _needles(identifier: str) -> Sequence[str]:
    quoted = msgspec.json.encode(identifier).decode()
    if len(identifier) >= _SURE_CHARACTERS:
        return [identifier, quoted[1:-1]]
    return [f'"{field}":{quoted}' for field in _FIELDS]
