"""The ledger: which positions of the log have landed, and where to read on.

A line is an offset range. Lines may overlap (a processor that slept past its time lands again):
what counts is the end of the contiguous lines.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from spine.digest import record_digest
from spine.errors import Misconfigured
from spine.log import Batch, Log
from spine.store import Store, refuse_newer_rows


class Position(NamedTuple):
    """Where the contiguous ledger of a partition ends, and the digest of the record before."""

    offset: int
    digest: bytes | None


_ENDS = """
SELECT e.log_partition, e.end, max(l.digest)
FROM (
    SELECT log_partition, countIf(first_offset > reached) AS gaps,
        if(gaps = 0, max(next_offset), minIf(reached, first_offset > reached)) AS end
    FROM (
        SELECT log_partition, first_offset, next_offset, max(next_offset) OVER (
            PARTITION BY log_partition ORDER BY first_offset, next_offset
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS reached
        FROM ledger WHERE log_id = {log_id:String}
    )
    GROUP BY log_partition
) AS e
INNER JOIN (SELECT * FROM ledger WHERE log_id = {log_id:String}) AS l
    ON e.log_partition = l.log_partition AND e.end = l.next_offset
GROUP BY e.log_partition, e.end
"""


async def positions(store: Store, log_id: str, partitions: Sequence[int]) -> Mapping[int, Position]:
    """Give the end of the contiguous ledger of each partition."""
    ends = {
        partition: Position(int(end), bytes(digest))
        for partition, end, digest in await store.select(_ENDS, {"log_id": log_id})
    }
    return {partition: ends.get(partition, Position(0, None)) for partition in partitions}


async def resume(
    store: Store, log: Log, log_id: str, partitions: Sequence[int]
) -> Mapping[int, int]:
    """Say where to read on, after making sure that this is the log that was read before.

    What the log dropped before it was read is booked as lost. Raises: Misconfigured when the log
    was recreated, truncated or restored."""
    reached = await positions(store, log_id, partitions)
    bounds = await log.bounds()  # after: others may be writing, and bounds only grow
    answer = {}
    for partition, position in reached.items():
        at = position.offset
        if at > bounds[partition].end:
            raise _other_log(log, partition, f"ends at {bounds[partition].end}")
        if await _differs(log, partition, position, bounds[partition].start):
            raise _other_log(log, partition, f"has another record at {at - 1}")
        if at < bounds[partition].start:
            await _enter_lost(store, log_id, partition, (at, bounds[partition].start))
            at = bounds[partition].start
        answer[partition] = at
    return answer


async def _differs(log: Log, partition: int, position: Position, start: int) -> bool:
    """Say whether the last record that was read is another one now; one dropped is not."""
    at = position.offset
    if position.digest in (None, bytes(16)) or at <= start:
        return False
    last = await log.read(partition, at - 1, 1)
    if last and last[0].offset == at - 1:
        return record_digest(last[0].value) != position.digest
    # Retention may have dropped it since the bounds were asked.
    return at > (await log.bounds())[partition].start


def _other_log(log: Log, partition: int, what: str) -> Misconfigured:
    return Misconfigured(
        "log.url",
        f"partition {partition} of {log.name} {what}, but the store has read further: the log was"
        " recreated, truncated or restored from an older copy; put back the log that belongs to"
        " this store",
    )


async def next_token(store: Store) -> int:
    """Take a version: above every version taken before, after all that this process landed.

    The store remembers it before it is used, so that versions rise even when the clock is put
    back. Two processes may get the same one: both then read after it was written, and see the
    same. Shape: microseconds since 1970 while the clock goes forward. Raises: Misconfigured once
    a newer program derives into this store: its rows must not be replaced by older ones."""
    await store.command(
        "INSERT INTO tokens SELECT 0, greatest(toUInt64(toUnixTimestamp64Micro(now64(6))),"
        " (SELECT max(token) FROM tokens) + 1)"
    )
    ((token, version),) = await store.select_after_write(
        "SELECT max(token), (SELECT max(version) FROM derive_versions) FROM tokens"
    )
    refuse_newer_rows(int(version))
    return int(token)


async def enter(store: Store, log_id: str, batch: Batch, token: int) -> None:
    """Write the line that says: these positions have landed, and what they touched is derived."""
    last = {record.partition: record.value for record in batch.records}
    ranges = batch.ranges
    await store.insert(
        "ledger",
        {
            "log_id": [log_id] * len(ranges),
            "log_partition": [covered.partition for covered in ranges],
            "first_offset": [covered.first_offset for covered in ranges],
            "next_offset": [covered.next_offset for covered in ranges],
            "digest": [record_digest(last[covered.partition]) for covered in ranges],
            "token": [token] * len(ranges),
            "lost": [0] * len(ranges),
            "entered_at": [token // 1000] * len(ranges),
        },
    )


async def _enter_lost(store: Store, log_id: str, partition: int, gap: tuple[int, int]) -> None:
    token = await next_token(store)
    await store.command(
        f"INSERT INTO ledger SELECT '{log_id}', {partition}, {gap[0]}, {gap[1]},"
        f" toFixedString('', 16), {token}, 1, now64(3, 'UTC')"
    )
