"""How rows are taken out of a table: hidden at once, gone from its parts when they are purged."""

from spine.store import Store

QUIET = "log_queries = 0"

TABLES = (
    "events", "visitor_facts", "lead_facts", "identity_evidence", "visitor_days", "orders",
    "persons", "identity_splits", "consent_log", "consent_proofs", "rejects",
)  # fmt: skip
"""The tables that rows are taken out of."""

# A mutation looks at every part of its table, also where it is told a partition, and such tables
# have hundreds of small ones: writing the few that are meant anew at once saves a second one.
_OF_MANY_PARTS = ("visitor_facts", "visitor_days")


async def delete(store: Store, table: str, where: str) -> None:
    """Hide rows from every question at once. Raises: Unavailable."""
    if not await store.select_after_write(
        f"SELECT 1 FROM {table} WHERE {where} LIMIT 1 SETTINGS {QUIET}"
    ):
        return
    if table in _OF_MANY_PARTS:
        change = f"ALTER TABLE {table} DELETE WHERE {where} SETTINGS mutations_sync = 2, {QUIET}"
    else:
        change = f"DELETE FROM {table} WHERE {where} SETTINGS {QUIET}"
    await store.mutate(table, change)


async def purge(store: Store) -> None:
    """Write the parts anew that rows were taken out of; the store removes the old ones itself.

    Raises: Unavailable."""
    masked = await store.select_after_write(
        "SELECT DISTINCT table FROM system.parts WHERE active AND database = currentDatabase()"
        " AND has_lightweight_delete"
    )
    for table in sorted({str(name) for (name,) in masked}.intersection(TABLES)):
        await store.mutate(
            table, f"ALTER TABLE {table} APPLY DELETED MASK SETTINGS mutations_sync = 2, {QUIET}"
        )
