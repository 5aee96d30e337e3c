"""All that the store knows of one person, by any identifier that was ever seen. Only reads.

Who a person is, says decision 0042: identifiers that evidence joins, or one that belongs to nobody
else. Whatever carries one of these identifiers is the person's, also where another user stands on
it, and an order is whose reports carry one. A device that several persons used in turn is nobody's
identifier: of what was done on it the person's is what names the person, and in its turns what
names nobody. An order makes no evidence of its own: two who both report it, a browser and a server,
are one person only where evidence says so.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple

from processors.judge import NOBODY
from spine.digest import identifier_id
from spine.event import ORDER_NAMES
from spine.store import Store, packed

Kind = Literal["anonymous_id", "user_id", "order", "crm_id", "email_sha256", "phone_sha256"]
"""By what somebody is looked for; `order` is the transaction id of any order of theirs."""

KEYS = ("visitor_id", "user_key", "crm_key", "email_key", "phone_key")
"""The columns of an event that name somebody by digest, the first a device if there is one."""

SENT = ("anonymous_id", "user_id", "crm_id", "email_sha256", "phone_sha256")
"""The columns that have the same as it was sent."""


class Landed(NamedTuple):
    """An event that has landed, and where it stands on the log.

    Units: `occurred_ms` is milliseconds since 1970 UTC."""

    identity: bytes
    event_key: bytes
    channel: str
    occurred_ms: int
    log_id: str
    partition: int
    offset: int


class Person(NamedTuple):
    """A person as the store knows it.

    Shape: `subjects` are the digests of its identifiers, devices and users
    (`spine.digest.identifier_id`), those too that nothing raw is left of; `order_keys` are of the
    orders that it reported. `events` are in the order of their time."""

    site: str
    subjects: frozenset[bytes]
    anonymous_ids: Sequence[str]
    user_ids: Sequence[str]
    order_keys: Sequence[bytes]
    events: Sequence[Landed]
    decisions: int

    @property
    def is_known(self) -> bool:
        """Say whether there is anything of this person at all."""
        return bool(self.events) or self.decisions > 0


async def find(store: Store, site: str, kind: Kind, value: str) -> Person:
    """Give the person behind an identifier; nobody known where there is none. Raises: Unavailable.

    An order that was reported by several persons gives all of them."""
    subjects = await subjects_of(store, site, kind, value)
    if not subjects:
        return Person(site, subjects, (), (), (), (), 0)
    ((anonymous_ids, user_ids),) = await store.select(
        "SELECT groupUniqArrayIf(anonymous_id, isNotNull(anonymous_id)),"
        " groupUniqArrayIf(user_id, isNotNull(user_id))"
        f" FROM events WHERE {theirs(subjects)}"
    )
    ((decisions,),) = await store.select(
        f"SELECT count() FROM consent_log FINAL WHERE subject IN {packed(subjects)}"
    )
    landed = await events_of(store, subjects)
    return Person(
        site,
        subjects,
        _own(site, "anonymous_id", anonymous_ids, subjects),
        _own(site, "user_id", user_ids, subjects),
        await _orders(store, landed),
        landed,
        int(decisions),
    )


async def subjects_of(store: Store, site: str, kind: Kind, value: str) -> frozenset[bytes]:
    """Give the digests of all identifiers of the person behind one; the one asked for is among
    them, whether it is known or not. Raises: Unavailable."""
    seeds = (
        await _who_ordered(store, site, value)
        if kind == "order"
        else {identifier_id(site, kind, value)}
    )
    return frozenset(await linked(store, seeds))


def carries(subjects: Iterable[bytes]) -> str:
    """Write the condition that an event carries one of these identifiers."""
    named = packed(subjects)
    return f"({' OR '.join(f'{key} IN {named}' for key in KEYS)})"


def in_turns(subjects: Iterable[bytes]) -> str:
    """Write the condition that an event names nobody, and was done on a device of several persons
    while it was the turn of one of these."""
    turns = f"FROM person_slices WHERE is_shared AND person_key IN {packed(subjects)}"
    nameless = " AND ".join(f"e.{key} = toFixedString('', 16)" for key in KEYS[1:])
    return (
        f"identity IN (SELECT e.identity FROM events AS e INNER JOIN (SELECT * {turns}) AS t"
        f" ON e.visitor_id = t.visitor_key WHERE e.visitor_id IN (SELECT visitor_key {turns})"
        f" AND {nameless} AND (isNull(t.valid_from) OR e.occurred_at >= t.valid_from)"
        " AND (isNull(t.valid_to) OR e.occurred_at < t.valid_to))"
    )


def theirs(subjects: Collection[bytes]) -> str:
    """Write the condition that an event is of the person with these identifiers."""
    return f"({carries(subjects)} OR {in_turns(subjects)})"


async def events_of(store: Store, subjects: Collection[bytes]) -> Sequence[Landed]:
    """Give every event of the person with these identifiers. Raises: Unavailable."""
    rows = await store.select(
        "SELECT identity, event_key, toString(channel), toUnixTimestamp64Milli(occurred_at),"
        f" log_id, log_partition, log_offset FROM events FINAL WHERE {theirs(subjects)}"
        " ORDER BY occurred_at, identity"
    )
    return [
        Landed(bytes(row[0]), bytes(row[1]), row[2], int(row[3]), row[4], int(row[5]), int(row[6]))
        for row in rows
    ]


def _own(site: str, kind: str, found: Iterable[str], subjects: frozenset[bytes]) -> Sequence[str]:
    """Leave out who stands on an event of this person and is somebody else."""
    return sorted(one for one in found if identifier_id(site, kind, one) in subjects)


async def _who_ordered(store: Store, site: str, transaction_id: str) -> set[bytes]:
    rows = await store.select(
        f"SELECT DISTINCT arrayJoin([{', '.join(KEYS)}]) FROM events"
        " WHERE site = {site:String}"
        f" AND transaction_id = {{transaction_id:String}} AND name IN {tuple(sorted(ORDER_NAMES))}",
        {"site": site, "transaction_id": transaction_id},
    )
    return {bytes(digest) for (digest,) in rows} - {NOBODY}


async def linked(store: Store, seeds: set[bytes]) -> set[bytes]:
    """Add all identifiers of the persons that these belong to; of a device that several persons
    used in turn, none. Raises: Unavailable."""
    if not seeds:
        return seeds
    owners = await store.select(
        "SELECT DISTINCT person_key FROM person_slices"
        f" WHERE visitor_key IN {packed(seeds)} AND NOT is_shared"
    )
    persons = seeds | {bytes(owner) for (owner,) in owners}
    members = await store.select(
        "SELECT visitor_key FROM person_slices"
        f" WHERE person_key IN {packed(persons)} AND NOT is_shared"
    )
    return persons | {bytes(member) for (member,) in members}


async def _orders(store: Store, landed: Sequence[Landed]) -> Sequence[bytes]:
    if not landed:
        return []
    rows = await store.select(
        "SELECT DISTINCT order_key FROM order_facts"
        f" WHERE identity IN {packed(one.identity for one in landed)} ORDER BY order_key"
    )
    return [bytes(key) for (key,) in rows]
