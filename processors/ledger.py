"""The ledger: which positions of the log have landed, and where to read on.

A line is an offset range. Lines may overlap (a processor that slept past its time lands again):
what counts is the end of the contiguous lines.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from processors.logs import counting
from spine.digest import record_digest
from spine.errors import Misconfigured
from spine.log import MOST_RECORDS, Batch, Bounds, Log, Range
from spine.store import Store, refuse_newer_rows

LANDED, LOST, BEFORE = 0, 1, 2
"""What a line says about its offsets: they landed; the log dropped them unread; they were not on
the log when it was adopted. The last two say that the log began where they end."""

_NO_DIGEST = bytes(16)


class Position(NamedTuple):
    """Where the contiguous ledger of a partition ends, and how the log is recognised there.

    Shape: `digest` is of the record before, or, where the log `begins` here, of the record at it
    (zeros if there was none); None where nothing was read yet."""

    offset: int
    digest: bytes | None
    begins: bool = False


class Ends(NamedTuple):
    """What a store knows last.

    Shape: `token` is the highest version taken; one that this process took before is missing when
    the store was restored from an older copy. `logs` is how many have ever been entered or adopted.
    `lines` has the end and the token of the last line of each partition that has one."""

    token: int
    logs: int
    lines: Mapping[int, tuple[int, int]]


_ENDS = """
SELECT e.log_partition, e.end, argMax(l.digest, (l.lost = 0, l.digest)), min(l.lost) > 0
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
        partition: Position(int(end), bytes(digest), bool(begins))
        for partition, end, digest, begins in await store.select(_ENDS, {"log_id": log_id})
    }
    return {partition: ends.get(partition, Position(0, None)) for partition in partitions}


async def resume(
    store: Store, log: Log, log_id: str, partitions: Sequence[int]
) -> Mapping[int, int]:
    """Say where to read on, after making sure that this is the log that was read before.

    What the log dropped before it was read is booked as lost. Raises: Misconfigured when the log
    was recreated, truncated or restored, or another id counts since."""
    known = await counting(store, log.name)
    if known is not None and known.log_id != log_id:
        raise Misconfigured(
            "log.url",
            f"{log.name} was adopted under another id ({known.log_id}) while this process ran"
            f" with {log_id}: start it again",
        )
    reached = await positions(store, log_id, partitions)
    bounds = await log.bounds()  # after: others may be writing, and bounds only grow
    answer = {}
    for partition, position in reached.items():
        if (what := await contradiction(log, partition, position, bounds[partition])) is not None:
            raise _other_log(log, what)
        at, start = position.offset, bounds[partition].start
        if at < start:
            gap = Range(partition, at, start)
            await enter_beginning(store, log, log_id, gap, LOST)
        answer[partition] = max(at, start)
    return answer


async def contradiction(log: Log, partition: int, position: Position, bound: Bounds) -> str | None:
    """Say what shows that a partition is another one than the ledger knows; None if nothing."""
    at = position.offset
    if at > bound.end:
        return f"partition {partition} ends at {bound.end}, the store has read it to {at}"
    if position.digest is None:
        return None
    if position.begins and position.digest == _NO_DIGEST:
        if bound.start < at:
            return f"partition {partition} begins at {bound.start}, it began at {at} before"
        return None
    known_at = at if position.begins else at - 1
    if await _differs(log, partition, known_at, position.digest, bound.start):
        return f"partition {partition} has another record at {known_at} than the store has read"
    return None


async def _differs(log: Log, partition: int, at: int, digest: bytes, start: int) -> bool:
    """Say whether a known record is another one now; one that retention dropped is not."""
    if at < start:
        return False
    found = await log.read(partition, at, 1)
    if found and found[0].offset == at:
        return record_digest(found[0].value) != digest
    # Retention may have dropped it since the bounds were asked.
    return at >= (await log.bounds())[partition].start


def _other_log(log: Log, what: str) -> Misconfigured:
    return Misconfigured(
        "log.url",
        f"{what}: {log.name} was recreated, truncated or restored from an older copy; put back the"
        " log that belongs to this store, or let the store read this one from its start with"
        " `beleg log adopt`: what has landed before counts once",
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


async def ends(store: Store, log_id: str, since: Mapping[int, int]) -> Ends:
    """Give what the store knows last, and the last line of these partitions. Raises: Unavailable.

    Shape: `since` is an offset of each that its last line ends at, or behind."""
    at = " OR ".join(
        f"(log_partition = {partition} AND first_offset >= {max(0, offset - MOST_RECORDS)}"
        f" AND next_offset >= {offset})"
        for partition, offset in since.items()
    )
    ((token, logs, lines),) = await store.select_after_write(
        "SELECT (SELECT max(token) FROM tokens), (SELECT uniqExact(log_id, generation) FROM logs),"
        " groupArray((log_partition, last.1, last.2)) FROM ("
        "SELECT log_partition, max((next_offset, token)) AS last FROM ledger"
        f" WHERE log_id = '{log_id}' AND ({at}) GROUP BY log_partition)"
    )
    last = {int(partition): (int(end), int(taken)) for partition, end, taken in lines}
    return Ends(int(token), int(logs), last)


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
            "lost": [LANDED] * len(ranges),
            "entered_at": [token // 1000] * len(ranges),
        },
    )


async def enter_beginning(store: Store, log: Log, log_id: str, gap: Range, what: int) -> None:
    """Write the line that says: the log begins after these offsets.

    It keeps the digest of the first record that is there, to recognise the log by."""
    token = await next_token(store)
    first = await log.read(gap.partition, gap.next_offset, 1)
    there = bool(first) and first[0].offset == gap.next_offset
    await store.insert(
        "ledger",
        {
            "log_id": [log_id],
            "log_partition": [gap.partition],
            "first_offset": [gap.first_offset],
            "next_offset": [gap.next_offset],
            "digest": [record_digest(first[0].value) if there else _NO_DIGEST],
            "token": [token],
            "lost": [what],
            "entered_at": [token // 1000],
        },
    )
