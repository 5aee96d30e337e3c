"""The records that were rejected, with their bytes, page by page in the order of the log."""

import base64
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from processors.keys import DAYS
from spine.log import Record
from spine.store import Store


class Rejects(NamedTuple):
    """Which of them.

    Shape: `code` is that of the reject, None for all. Units: days of the append since 1970, UTC,
    both included."""

    code: str | None = None
    days: tuple[int, int] = DAYS


class Pile(NamedTuple):
    """Those of one partition, up to the last one that is there now."""

    log_id: str
    partition: int
    records: int
    last_offset: int


async def piles(store: Store, rejects: Rejects) -> Sequence[Pile]:
    """Count them by partition. Raises: Unavailable."""
    rows = await store.select(
        "SELECT log_id, log_partition, count(), max(log_offset) FROM rejects FINAL"
        f" WHERE {_fits(rejects)} GROUP BY log_id, log_partition ORDER BY log_id, log_partition",
        {"code": rejects.code or ""},
    )
    return [Pile(str(log_id), *map(int, numbers)) for log_id, *numbers in rows]


async def pages(
    store: Store, rejects: Rejects, pile: Pile, size: int
) -> AsyncIterator[Sequence[Record]]:
    """Yield them, so many at once. What is rejected meanwhile is not among them.

    Raises: Unavailable."""
    here = {"log_id": pile.log_id, "code": rejects.code or ""}
    following = 0
    while following <= pile.last_offset:
        where = (
            f"log_id = {{log_id:String}} AND log_partition = {pile.partition}"
            f" AND log_offset BETWEEN {following} AND {pile.last_offset} AND {_fits(rejects)}"
        )
        # Where the page ends is asked first: values that are not on it must not be read.
        rows = await store.select(
            "SELECT log_offset, toUnixTimestamp64Milli(appended_at), base64Encode(value)"
            f" FROM rejects FINAL WHERE {where} AND log_offset <= (SELECT max(log_offset) FROM"
            f" (SELECT log_offset FROM rejects WHERE {where} ORDER BY log_offset LIMIT {size}))"
            " ORDER BY log_offset",
            here,
        )
        if not rows:
            return
        yield [
            Record(pile.partition, int(offset), base64.b64decode(value), int(appended_ms))
            for offset, appended_ms, value in rows
        ]
        following = int(rows[-1][0]) + 1


def _fits(rejects: Rejects) -> str:
    first, last = rejects.days
    by_code = "" if rejects.code is None else " AND code = {code:String}"
    return f"toUInt16(toDate(appended_at)) BETWEEN {first} AND {last}{by_code}"
