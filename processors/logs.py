"""Which log the store reads: the id that stands in every position.

Of one name the rows of the highest generation count, and of these the oldest: of two processors
that enter a new log at once, or of two who adopt it, the later one takes over what the earlier
one wrote.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import uuid4

from spine.errors import Misconfigured
from spine.log import Log
from spine.store import Store


class Known(NamedTuple):
    """A log that the store has read, or reads."""

    log_id: str
    partitions: int
    generation: int


async def register(store: Store, log: Log, own_id: str | None) -> str:
    """Give the id under which the store reads this log, entering it when it is new.

    Shape: `own_id` is the log's own id where it has one (embedded). Raises: Misconfigured when
    the log is another one than before, or has another partition count."""
    if await counting(store, log.name) is None:
        await enter(store, log, Known(own_id or uuid4().hex, log.partitions, 0))
    return await log_id_of(store, log, own_id)


async def log_id_of(store: Store, log: Log, own_id: str | None) -> str:
    """Give the id under which the store reads this log. Raises: Misconfigured."""
    known = await counting(store, log.name)
    if known is None:
        raise Misconfigured("log.url", f"the store does not know {log.name}: run `beleg migrate`")
    if own_id is not None and own_id != known.log_id:
        raise Misconfigured(
            "data_dir",
            f"the store has read log {known.log_id}, but the log file here is {own_id}: one of the"
            " two was replaced; put back the pair that belongs together, or let the store read"
            " this one with `beleg log adopt`",
        )
    if log.partitions != known.partitions:
        raise Misconfigured(
            "log.partitions",
            f"{log.name} has {log.partitions} partitions, the store has read it with"
            f" {known.partitions}; the count belongs to the log: `beleg log adopt` begins another",
        )
    return known.log_id


async def counting(store: Store, name: str) -> Known | None:
    """Give the log that counts under this name; none when it was never entered."""
    rows = await _rows(store, name)
    return rows[0] if rows else None


async def replaced(store: Store, name: str) -> Sequence[Known]:
    """Give the logs that counted under this name before, the last one first."""
    rows = await _rows(store, name)
    counted = {known.generation: known for known in reversed(rows)}
    current = rows[0].log_id if rows else ""
    former = {known.log_id: known for known in counted.values() if known.log_id != current}
    return sorted(former.values(), key=lambda known: -known.generation)


async def enter(store: Store, log: Log, known: Known) -> None:
    """Write the row that lets a log count, unless another one of its generation is older."""
    await store.command(
        "INSERT INTO logs (log_id, name, partitions, adopted_at, generation)"
        f" SELECT '{known.log_id}', '{log.name}', {known.partitions}, now64(6, 'UTC'),"
        f" {known.generation}"
    )


async def _rows(store: Store, name: str) -> Sequence[Known]:
    return [
        Known(str(log_id), int(partitions), int(generation))
        for log_id, partitions, generation in await store.select(
            "SELECT log_id, partitions, generation FROM logs FINAL WHERE name = {name:String}"
            " ORDER BY generation DESC, adopted_at, log_id",
            {"name": name},
        )
    ]
