"""The keys of derived rows, in ranges small enough to hold: what `rebuild` and `audit` walk over.

Keys are digests, so that ranges of equal width hold about equally many.
"""

from typing import NamedTuple

from processors.derive import Touched
from spine.store import Store, packed

DAYS = (0, 65_535)
"""All days there are, since 1970."""

_KEYS = 1 << 128


class Kind(NamedTuple):
    """A derived table, its key, and the facts that its rows are functions of."""

    table: str
    key: str
    facts: str
    facts_key: str


KINDS = (
    Kind("visitor_days", "visitor_id", "visitor_facts", "visitor_id"),
    Kind("orders", "order_key", "order_facts", "order_key"),
    Kind("persons", "visitor_id", "identity_evidence", "key"),
)


class KeyRange(NamedTuple):
    """Keys of one kind from `first` to `last`, both included.

    Units: the numbers that the digests are, big end first."""

    kind: Kind
    first: int
    last: int

    def holds(self, column: str) -> str:
        """Write the condition that a column's key is in this range."""
        first, last = (number.to_bytes(16, "big").hex() for number in (self.first, self.last))
        return f"{column} BETWEEN unhex('{first}') AND unhex('{last}')"


class KeySet(NamedTuple):
    """Some keys of one kind."""

    kind: Kind
    keys: frozenset[bytes]

    def holds(self, column: str) -> str:
        """Write the condition that a column's key is one of these."""
        return f"{column} IN {packed(self.keys)}"


async def key_ranges(store: Store, rows: int) -> list[KeyRange]:
    """Cut all keys into ranges of about so many rows, stored ones included. Raises: Unavailable."""
    found = []
    for kind in KINDS:
        ((facts, derived),) = await store.select(
            f"SELECT (SELECT count() FROM {kind.facts}), (SELECT count() FROM {kind.table})"
        )
        count = max(facts, derived) // rows + 1
        found += [
            KeyRange(kind, _KEYS * n // count, _KEYS * (n + 1) // count - 1) for n in range(count)
        ]
    return found


async def keys_with_facts(
    store: Store, keys: KeyRange | KeySet, days: tuple[int, int] = DAYS
) -> Touched:
    """Give those of the keys that have facts on these days. Raises: Unavailable."""
    kind = keys.kind
    rows = await store.select_after_write(
        f"SELECT {kind.facts_key}, groupUniqArray(toUInt16(toDate(occurred_at))) FROM {kind.facts}"
        f" WHERE {keys.holds(kind.facts_key)}"
        f" AND occurred_at >= toDateTime64(toDate({days[0]}), 3, 'UTC')"
        f" AND occurred_at < toDateTime64(toDate({days[1]}), 3, 'UTC') + INTERVAL 1 DAY"
        f" GROUP BY {kind.facts_key}"
    )
    return touched_of(kind, {bytes(key): {int(day) for day in on} for key, on in rows})


def touched_of(kind: Kind, days: dict[bytes, set[int]]) -> Touched:
    """Say of which kind these keys are; only sessions have days of their own."""
    return Touched(
        days if kind.table == "visitor_days" else {},
        set(days) if kind.table == "orders" else set(),
        set(days) if kind.table == "persons" else set(),
    )
