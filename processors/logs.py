"""Which log the store has read: the id that stands in every position."""

from spine.errors import Misconfigured
from spine.log import Log
from spine.store import Store


async def register(store: Store, log: Log, log_id: str | None) -> str:
    """Give the id under which the store knows this log, entering it when it is new.

    Shape: `log_id` is the log's own id where it has one (embedded). Raises: Misconfigured when
    the log is another one than before, or has another partition count."""
    known = await _known(store, log.name)
    if known is None:
        made = f"'{log_id}'" if log_id else "lower(hex(generateUUIDv4()))"
        await store.command(
            f"INSERT INTO logs SELECT {made}, '{log.name}', {log.partitions}, now64(6, 'UTC')"
        )
        known = await _known(store, log.name)
    return _agree(known, log, log_id)


async def log_id_of(store: Store, log: Log, log_id: str | None) -> str:
    """Give the id under which the store knows this log. Raises: Misconfigured."""
    known = await _known(store, log.name)
    if known is None:
        raise Misconfigured("log.url", f"the store does not know {log.name}: run `beleg migrate`")
    return _agree(known, log, log_id)


async def _known(store: Store, name: str) -> tuple[str, int] | None:
    rows = await store.select(
        "SELECT log_id, partitions FROM logs WHERE name = {name:String}"
        " ORDER BY adopted_at, log_id LIMIT 1",
        {"name": name},
    )
    return (str(rows[0][0]), int(rows[0][1])) if rows else None


def _agree(known: tuple[str, int] | None, log: Log, log_id: str | None) -> str:
    assert known is not None  # noqa: S101 - it was just written
    if log_id is not None and log_id != known[0]:
        raise Misconfigured(
            "data_dir",
            f"the store has read log {known[0]}, but the log file here is {log_id}: one of the two"
            " was replaced; put back the pair that belongs together",
        )
    if log.partitions != known[1]:
        raise Misconfigured(
            "log.partitions",
            f"{log.name} has {log.partitions} partitions, the store has read it with {known[1]};"
            " the count belongs to the log and cannot change",
        )
    return known[0]
