"""Which identities have landed before, by the store."""

from collections.abc import Collection, Mapping

from processors.judge import Seen
from spine.store import Store, packed


async def seen(store: Store, identities: Collection[bytes]) -> Mapping[bytes, Seen]:
    """Ask the store which of these identities have landed before, and where first."""
    if not identities:
        return {}
    rows = await store.select_after_write(
        "SELECT identity, argMin((log_id, log_partition, log_offset, body),"
        " (log_partition, log_offset, log_id)) FROM seen WHERE identity IN "
        f"{packed(identities)} GROUP BY identity"
    )
    return {
        bytes(identity): Seen(str(log_id), int(partition), int(offset), bytes(body))
        for identity, (log_id, partition, offset, body) in rows
    }
