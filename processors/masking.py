"""How rows are taken out of a table: hidden at once, gone from its parts when they are purged."""

from spine.store import Store

QUIET = "log_queries = 0"

TABLES = (
    "events", "visitor_facts", "lead_facts", "identity_edges", "visitor_days", "orders", "persons",
    "consent_log", "consent_proofs", "rejects",
)  # fmt: skip
"""The tables that rows are taken out of."""


async def delete(store: Store, table: str, where: str) -> None:
    """Hide rows from every question at once. Raises: Unavailable."""
    await store.command(f"DELETE FROM {table} WHERE {where} SETTINGS {QUIET}")


async def purge(store: Store) -> None:
    """Write the parts anew that rows were taken out of; the store removes the old ones itself.

    Raises: Unavailable."""
    for table in TABLES:
        await store.command(
            f"ALTER TABLE {table} APPLY DELETED MASK SETTINGS mutations_sync = 2, {QUIET}"
        )
