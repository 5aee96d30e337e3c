"""The balance: whether every position of the log has exactly one fate, from stored data alone."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from processors.ledger import BEFORE, LOST, positions
from processors.logs import replaced
from spine.log import Bounds
from spine.store import Store

FATES = ("stored", "duplicate", "rejected", "erased", "control")
"""What may become of a position that the processors have passed, in the order it is shown."""


class Balance(NamedTuple):
    """The balance of one partition.

    Shape: `appended = sum(fates) + lost + pending` when `unbalanced` is None; otherwise that is
    the first range without exactly one fate per position. `pending_range` is what is not in the
    ledger yet. Ranges are of offsets, the second one not included."""

    partition: int
    appended: int
    fates: Mapping[str, int]
    lost: int
    pending: int
    pending_range: tuple[int, int] | None
    unbalanced: tuple[int, int] | None


class LogBalance(NamedTuple):
    """The balance of a log that was replaced: of what the ledger knows of it.

    Shape: what was pending on it is not known any more, and 0 here."""

    log_id: str
    partitions: Sequence[Balance]


async def balance(store: Store, log_id: str, bounds: Mapping[int, Bounds]) -> Sequence[Balance]:
    """Prove, from stored data alone, that every position has exactly one fate."""
    ends = await positions(store, log_id, list(bounds))
    return [
        await _balance(store, log_id, partition, ends[partition].offset, bound)
        for partition, bound in sorted(bounds.items())
    ]


async def replaced_balances(store: Store, name: str) -> Sequence[LogBalance]:
    """Prove the same for the logs that were read under this name before, the last one first."""
    none = Bounds(0, 0)
    return [
        LogBalance(
            known.log_id,
            await balance(store, known.log_id, dict.fromkeys(range(known.partitions), none)),
        )
        for known in await replaced(store, name)
    ]


async def _balance(store: Store, log_id: str, partition: int, end: int, bound: Bounds) -> Balance:
    here = {"log_id": log_id, "partition": partition, "end": end}
    where = "log_id = {log_id:String} AND log_partition = {partition:UInt32}"
    beginnings = await store.select(
        f"SELECT first_offset, next_offset, lost FROM ledger FINAL WHERE {where} AND lost"
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
    before = max((int(next_) for _, next_, what in beginnings if what == BEFORE), default=0)
    # Two processors may book overlapping losses. And a crash before the line may leave fates for
    # offsets that the log then dropped: not lost.
    lost = 0
    counted = 0
    for first, following, _ in filter(lambda row: row[2] == LOST, beginnings):
        span = (max(int(first), counted), max(int(following), counted))
        lost += span[1] - span[0] - await _fated(store, where, here, span)
        counted = span[1]
    unbalanced = None
    if before + sum(fates.values()) + lost != end or set(counts) - set(FATES):
        unbalanced = await _first_gap(store, where, here)
    pending = (end, bound.end) if bound.end > end else None
    pending_count = max(bound.end - end, 0)
    return Balance(
        partition, max(bound.end, end) - before, fates, lost, pending_count, pending, unbalanced
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
