"""The balance: whether every position of the log has exactly one fate, from stored data alone."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from processors.ledger import positions
from spine.log import Bounds
from spine.store import Store

FATES = ("stored", "duplicate", "rejected", "erased", "control")
"""What may become of a position that the processors have passed, in the order it is shown."""


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
