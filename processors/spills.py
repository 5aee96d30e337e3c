"""What collectors last said of their spills: accepted, durable there, and not on the log yet."""

from collections.abc import Sequence
from typing import NamedTuple

from spine.store import Store

_WAITING = """
SELECT argMax(collector, (number, waiting)) AS who, max((number, waiting)).2 AS records,
    toString(argMax(told_at, (number, waiting))) AS at
FROM spills GROUP BY spill HAVING records > 0 ORDER BY who, at
"""


class SpillWaiting(NamedTuple):
    """So many records waited in a collector's spill when it last told.

    Shape: `told_at` is UTC. What was spilled since, nobody but the collector knows."""

    collector: str
    records: int
    told_at: str


async def spills_waiting(store: Store) -> Sequence[SpillWaiting]:
    """Give the spills that had something in them when they were last heard of."""
    return [SpillWaiting(*row) for row in await store.select(_WAITING)]
