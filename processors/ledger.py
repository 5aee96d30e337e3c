"""The ledger: which positions of the log have landed, and whether every one has a fate.

A line is an offset range. Lines may overlap (a processor that slept past its time lands again):
what counts is the end of the contiguous lines, and one fate per position.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from spine.digest import record_digest
from spine.errors import Misconfigured
from spine.log import Batch, Bounds, Log
from spine.store import Store, refuse_newer_rows

FATES = ("stored", "duplicate", "rejected", "erased", "control")
"""What may become of a position that the processors have passed, in the order it is shown."""


class Position(NamedTuple):
    """Where the contiguous ledger of a partition ends, and the digest of the record before."""

    offset: int
    digest: bytes | None


class Balance(NamedTuple):
    """The balance of one partition.

    Shape: `appended = sum(fates) + lost + pending` when `unbalanced` is None; otherwise that is
    the first range without exactly one fate per position."""

    partition: int
    appended: int
    fates: Mapping[str, int]
    lost: int
    pending: int
    unbalanced: tuple[int, int] | None


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


async def balance(store: Store, log_id: str, bounds: Mapping[int, Bounds]) -> Sequence[Balance]:
    """Prove, from stored data alone, that every position has exactly one fate."""
    ends = await positions(store, log_id, list(bounds))
    return [
        await _balance(store, log_id, partition, ends[partition].offset, bound)
        for partition, bound in sorted(bounds.items())
    ]


async def _balance(store: Store, log_id: str, partition: int, end: int, bound: Bounds) -> Balance:
    here = {"log_id": log_id, "partition": partition, "end": end}
    where = "log_id = {log_id:String} AND log_partition = {partition:UInt32}"
    lost = await store.select(
        f"SELECT first_offset, next_offset FROM ledger FINAL WHERE {where} AND lost"
        " ORDER BY first_offset, next_offset",
        here,
    )
    counts: dict[str, int] = dict(
        await store.select(
            f"SELECT fate, count() FROM fates FINAL WHERE {where} AND log_offset < {{end:UInt64}}"
            " GROUP BY fate",
            here,
        )
    )
    fates = {fate: int(counts.get(fate, 0)) for fate in FATES}
    # Two processors may book overlapping losses. And a crash before the line may leave fates for
    # offsets that the log then dropped: not lost.
    lost_count = 0
    counted = 0
    for first, following in lost:
        span = (max(int(first), counted), max(int(following), counted))
        lost_count += span[1] - span[0] - await _fated(store, where, here, span)
        counted = span[1]
    unbalanced = None
    if sum(fates.values()) + lost_count != end or set(counts) - set(FATES):
        unbalanced = await _first_gap(store, where, here)
    return Balance(
        partition, max(bound.end, end), fates, lost_count, max(bound.end - end, 0), unbalanced
    )


async def _fated(
    store: Store, where: str, here: Mapping[str, object], span: tuple[int, int]
) -> int:
    ((count,),) = await store.select(
        f"SELECT count() FROM fates FINAL WHERE {where}"
        f" AND log_offset >= {span[0]} AND log_offset < {span[1]}",
        here,
    )
    return int(count)


async def _first_gap(store: Store, where: str, here: Mapping[str, object]) -> tuple[int, int]:
    rows = await store.select(
        "SELECT gap_start, gap_end FROM (SELECT log_offset AS gap_end,"
        " max(next_offset) OVER (ORDER BY log_offset, next_offset"
        " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS gap_start"
        " FROM (SELECT log_offset, log_offset + 1 AS next_offset FROM fates FINAL"
        f" WHERE {where} AND log_offset < {{end:UInt64}} AND fate IN {FATES}"
        " UNION ALL SELECT first_offset, next_offset FROM ledger FINAL"
        f" WHERE {where} AND lost UNION ALL SELECT {{end:UInt64}}, {{end:UInt64}}))"
        " WHERE gap_start < gap_end ORDER BY gap_end LIMIT 1",
        dict(here),
    )
    return (int(rows[0][0]), int(rows[0][1])) if rows else (0, int(str(here["end"])))
