"""The balance by site and day: every fate `stored` has its event, and every event its fate.

A day is the UTC day of `received_at`; all logs that were ever read count together. Fates are one
per position and events one per identity, so that overlapping lines cannot unbalance a day. After
an adoption a processor that slept may have stored an identity at a position of either log: then the
counts of a day differ, and its identities are compared one by one.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from spine.store import Store


class SiteDay(NamedTuple):
    """What became of what a site sent on one day.

    Shape: `missing` is the number of identities with a fate `stored` and no event, `unfated` of
    events the ledger has passed without such a fate, or one that says that they are about to go;
    both are 0 when the day is balanced. Records of no site (tallies, what could not be read) stand
    under the site ''."""

    site: str
    day: date
    fates: Mapping[str, int]
    events: int
    missing: int
    unfated: int


_FATES = """
SELECT site, toDate(received_at) AS day, fate, count(), sum(sipHash64(identity))
FROM fates FINAL GROUP BY site, day, fate ORDER BY site, day, fate
"""
_EVENTS = """
SELECT site, toDate(received_at) AS day, count(), sum(sipHash64(identity))
FROM events FINAL GROUP BY site, day
"""
_THIS_DAY = "site = {site:String} AND toDate(received_at) = {day:Date}"
_STORED = f"SELECT identity FROM fates WHERE {_THIS_DAY} AND fate = 'stored'"
_MISSING = f"""
SELECT uniqExact(identity) FROM fates FINAL WHERE {_THIS_DAY} AND fate = 'stored'
AND identity NOT IN (SELECT identity FROM events
    WHERE site = {{site:String}} AND identity IN ({_STORED}))
"""
_UNFATED = f"""
SELECT uniqExact(e.identity) FROM (
    SELECT identity, log_id, log_partition, log_offset FROM events FINAL WHERE {_THIS_DAY}
    AND identity NOT IN (SELECT identity FROM fates FINAL
        WHERE (fate = 'stored' OR code = 'retention_over')
        AND identity IN (SELECT identity FROM events WHERE {_THIS_DAY}))
) AS e
INNER JOIN ledger AS l ON e.log_id = l.log_id AND e.log_partition = l.log_partition
WHERE e.log_offset >= l.first_offset AND e.log_offset < l.next_offset
"""


async def site_days(store: Store) -> Sequence[SiteDay]:
    """Count and compare every site's every day. Raises: Unavailable."""
    counted: dict[tuple[str, date], dict[str, int]] = {}
    stored: dict[tuple[str, date], tuple[int, int]] = {}
    for site, day, fate, count, digest in await store.select(_FATES):
        counted.setdefault((site, day), {})[fate] = int(count)
        if fate == "stored":
            stored[site, day] = (int(count), int(digest))
    # Asked later: what lands meanwhile has its event before its fate.
    events = {
        (site, day): (int(count), int(digest))
        for site, day, count, digest in await store.select(_EVENTS)
    }
    found = []
    for at in sorted(counted.keys() | events.keys()):
        differs = stored.get(at, (0, 0)) != events.get(at, (0, 0))
        missing, unfated = await _compared(store, *at) if differs else (0, 0)
        count = events.get(at, (0, 0))[0]
        found.append(SiteDay(at[0], at[1], counted.get(at, {}), count, missing, unfated))
    return found


async def _compared(store: Store, site: str, day: date) -> tuple[int, int]:
    here: Mapping[str, Any] = {"site": site, "day": day}
    ((missing,),) = await store.select(_MISSING, here)
    ((unfated,),) = await store.select(_UNFATED, here)
    return int(missing), int(unfated)
