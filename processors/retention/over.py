"""What of a site and class is over, as conditions; and what is known about it. Only reads."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from consent_rules.regime import PROOF, Keeping
from spine.event import ORDER_NAMES
from spine.store import Store

_STAYS_DAYS = 8
_DAYS_SEEN = 3
_REPORT = f"(name IN {tuple(sorted(ORDER_NAMES))} AND isNotNull(transaction_id))"
TABLES = ("events", "visitor_facts", "order_facts", "lead_facts", "identity_evidence")
"""The tables whose rows have a class."""


class Over(NamedTuple):
    """What of a site's class is over.

    Shape: `orders` is the class under which orders stay, None if they go like all else. From
    `first_day` on everything is there; of the day before facts are. Names are of the settings and
    of the rules, and need no quoting. Units: days since 1970, UTC."""

    site: str
    retention: str
    first_day: int
    today: int
    orders: str | None = None

    @property
    def until(self) -> str:
        """The instant before which all is over."""
        return _instant(self.first_day - 1)

    @property
    def kind(self) -> str:
        """The condition that a row is of this site and class."""
        return f"site = '{self.site}' AND retention = '{self.retention}'"

    @property
    def facts(self) -> str:
        """The condition that a fact is over."""
        return f"{self.kind} AND occurred_at < {self.until}"

    @property
    def events(self) -> str:
        """The condition that an event is over, and cannot come from the log again."""
        return f"{self.facts} AND received_at < {_instant(self.today - _STAYS_DAYS)}"

    def events_on(self, day: int) -> str:
        """The condition that an event of a day is over."""
        return f"{self.events} AND toDate(occurred_at) = toDate({day})"

    @property
    def reports(self) -> str:
        """The condition that an event stays as an order."""
        return _REPORT if self.orders is not None else "0"

    async def to_go(self, store: Store, table: str) -> str:
        """Write the condition that a row is to be deleted: a report of an order only once the
        order stays without it. Raises: Unavailable."""
        due = self.events if table == "events" else self.facts
        if self.orders is None or table not in ("events", "order_facts"):
            return due
        is_other = f"NOT {self.reports}" if table == "events" else "0"
        return f"{due} AND ({is_other} OR identity IN ({await self._stayed(store, table)}))"

    async def _stayed(self, store: Store, table: str) -> str:
        ((since,),) = await store.select_after_write(
            f"SELECT toUInt16(toDate(min(occurred_at))) FROM {table} WHERE {self.facts}"
        )
        return (
            f"SELECT identity FROM {table} WHERE site = '{self.site}' AND retention ="
            f" '{self.orders}' AND occurred_at >= {_instant(since)} AND occurred_at < {self.until}"
        )

    async def days(self, store: Store) -> Sequence[int]:
        """Give the days of which events are over. Raises: Unavailable."""
        rows = await store.select_after_write(
            "SELECT DISTINCT toUInt16(toDate(occurred_at)) AS day FROM events"
            f" WHERE {self.events} ORDER BY day"
        )
        return [int(day) for (day,) in rows]


def _instant(day: int) -> str:
    return f"toDateTime64(toDate({max(day, 0)}), 3, 'UTC')"


async def believed_today(store: Store, clock_day: int) -> int | None:
    """Give the day that it is at least, however wrong one clock may be; None while too little was
    received to tell.

    Units: days since 1970, UTC. A clock that is ahead makes a day or two of its own, and one that
    is behind only waits."""
    days = await store.select(
        "SELECT toUInt16(toDate(received_at)) AS day FROM fates WHERE fate = 'stored'"
        f" GROUP BY day ORDER BY day DESC LIMIT {_DAYS_SEEN}"
    )
    return min(clock_day, int(days[-1][0])) if len(days) == _DAYS_SEEN else None


async def over_on(
    store: Store, sites: Mapping[str, Mapping[str, Keeping]], today: int
) -> Sequence[Over]:
    """Say of every site and class what is over on a day. Raises: Unavailable."""
    known = await first_days(store)
    found = []
    for site, keepings in sites.items():
        for name, keeping in keepings.items():
            first_day = max(today - keeping.days + 1, known.get((site, name), 0))
            found.append(Over(site, name, first_day, today, keeping.orders))
    return found


async def counts(store: Store, one: Over) -> Mapping[str, int]:
    """Count the rows that are over and still there, table by table. Raises: Unavailable."""
    conditions = dict.fromkeys(TABLES, one.facts) | {"events": one.events}
    questions = ", ".join(
        f"(SELECT count() FROM {table} WHERE {condition})"
        for table, condition in conditions.items()
    )
    (row,) = await store.select_after_write(f"SELECT {questions}")
    return {table: int(count) for table, count in zip(TABLES, row, strict=True)}


async def first_days(store: Store) -> Mapping[tuple[str, str], int]:
    """Give the horizon of each site and class that has one. Raises: Unavailable."""
    rows = await store.select_after_write(
        "SELECT site, retention, toUInt16(max(first_day)) FROM horizons GROUP BY site, retention"
    )
    return {(site, name): int(day) for site, name, day in rows}


async def all_classes(store: Store, site: str) -> Mapping[str, int]:
    """Give the horizon of each class that a site's sessions are made of; 0 where nothing is over.
    Raises: Unavailable."""
    known = await first_days(store)
    rows = await store.select_after_write(
        f"SELECT DISTINCT retention FROM visitor_facts WHERE site = '{site}'"
    )
    return {name: known.get((site, name), 0) for (name,) in rows}


class State(NamedTuple):
    """What is stored of a site's class, and how long it stays.

    Shape: `days` is None where no rules name the class; `oldest` is the day of the oldest event,
    of proofs of receipt; `due` rows are over and still there; `deleted` went in the last run, which
    ended at `ended_at`."""

    site: str
    retention: str
    days: int | None
    orders: str | None
    source: str
    oldest: str | None
    rows: int
    due: int
    ended_at: str | None
    deleted: int


async def states(
    store: Store, sites: Mapping[str, Mapping[str, Keeping]], today: int | None
) -> Sequence[State]:
    """Tell of every class that rules name or events have. Raises: Unavailable."""
    stored = {
        (site, name): (str(oldest), int(rows))
        for site, name, oldest, rows in await store.select(
            "SELECT site, retention, toDate(min(occurred_at)), count() FROM events FINAL"
            " GROUP BY site, retention UNION ALL"
            " SELECT site, 'proof', toDate(min(received_at)), count() FROM ("
            "SELECT site, received_at FROM consent_log UNION ALL"
            " SELECT site, received_at FROM consent_proofs) GROUP BY site"
        )
    }
    runs = {
        (site, name): (str(at), int(rows))
        for site, name, at, rows in await store.select(
            "SELECT site, retention, max(ended_at) AS at, sumIf(deleted, ended_at ="
            " last) FROM (SELECT *, max(ended_at) OVER (PARTITION BY site, retention) AS last"
            " FROM retention_runs) GROUP BY site, retention"
        )
    }
    due = {} if today is None else await _due(store, sites, today)
    named = {(site, name): keeping for site in sites for name, keeping in sites[site].items()}
    found = []
    for site, name in sorted(named.keys() | stored.keys()):
        keeping = named.get((site, name))
        oldest, rows = stored.get((site, name), (None, 0))
        ended_at, deleted = runs.get((site, name), (None, 0))
        found.append(
            State(
                site, name, keeping.days if keeping else None, keeping.orders if keeping else None,
                keeping.source if keeping else "", oldest, rows, due.get((site, name), 0),
                ended_at, deleted,
            )
        )  # fmt: skip
    return found


async def _due(
    store: Store, sites: Mapping[str, Mapping[str, Keeping]], today: int
) -> Mapping[tuple[str, str], int]:
    return {
        (one.site, one.retention): sum((await counts(store, one)).values())
        for one in await over_on(store, sites, today)
        if one.retention != PROOF
    }
