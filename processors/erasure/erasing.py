"""Take out of the store whatever carries an erased identifier, up to its mark.

Invariants:

1. Doing it again, at any time and by several at once, ends in the same rows.
2. Events go last of all: who begins anew after a kill finds by them what is still to be done.
3. No statement that the store keeps names a digest of a person: those stand in the table `erasing`,
   which is in memory.
4. What was derived is derived again from the facts that are left; what has none left goes whole.
"""

import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from processors.erasure.doomed import Doomed, doomed_of, unnamed_of
from processors.erasure.marked import Erased
from processors.erasure.masking import QUIET, delete
from processors.erasure.remains import Position, keep_decisions, proofs_of, rejects_about
from processors.keys import KINDS, KeySet
from processors.rebuild import rederive
from spine.erasure_key import ErasureKey
from spine.failpoint import reach
from spine.store import Store, packed

Blank = Callable[[Sequence[int]], Awaitable[None]]
"""Overwrites these offsets of the embedded log; nothing there is of Kafka's."""

_CHUNK = 2_000
_DAYS, _ORDERS, _PERSONS = KINDS

LEAD_IDENTITY = (
    "toFixedString(concat(substring(event_key, 1, 15), char(CAST(channel, 'Int8'))), 16)"
)
"""The identity of the event that a row of `lead_facts` is of, made of its key."""

_PLAIN = ("visitor_facts", "order_facts")  # these do not collapse


class Place(NamedTuple):
    """Where an erasure takes place, and with what.

    Shape: `blank` is for the embedded log only."""

    store: Store
    log_id: str
    key: ErasureKey
    blank: Blank | None


async def erase(place: Place, subjects: Mapping[bytes, Erased]) -> None:
    """Take these identifiers out, each up to its time. Raises: Unavailable; then do it again."""
    named = sorted(subjects)
    chunks = [
        {subject: subjects[subject] for subject in named[at : at + _CHUNK]}
        for at in range(0, len(named), _CHUNK)
    ]
    for erased in chunks:  # while the evidence of all is there that says whose turn it was
        await _erase_unnamed(place, erased)
    for erased in chunks:
        until_ms = {subject: one.until_ms for subject, one in erased.items()}
        doomed = await doomed_of(place.store, until_ms)
        await _take_out(place, doomed, until_ms, {one.by for one in erased.values()})


async def _erase_unnamed(place: Place, erased: Mapping[bytes, Erased]) -> None:
    subjects = {subject: one.until_ms for subject, one in erased.items()}
    unnamed = await unnamed_of(place.store, subjects)
    if unnamed.identities:
        erasures = {one.by for one in erased.values()}
        named = await doomed_of(place.store, subjects)
        await _count_first(place.store, unnamed, named, subjects, erasures)
        await _take_out(place, unnamed, {}, erasures)


async def _count_first(
    store: Store,
    unnamed: Doomed,
    named: Doomed,
    subjects: Mapping[bytes, int],
    erasures: Collection[str],
) -> None:
    """Note how much there is in all, of what goes in two steps."""
    identities = unnamed.identities | named.identities
    orders = await _orders(store, identities, subjects)
    run = secrets.token_hex(8)
    visitors = {*unnamed.visitors, *named.visitors, *subjects}
    await _stage(store, run, {"event": identities, "visitor": visitors, "order": orders})
    await _count(store, run, (), erasures)
    await store.command(f"ALTER TABLE erasing DELETE WHERE run = '{run}'")


async def _take_out(
    place: Place, doomed: Doomed, subjects: Mapping[bytes, int], erasures: Collection[str]
) -> None:
    store, log_id, key, blank = place
    visitors = {*doomed.visitors, *subjects}
    orders = await _orders(store, doomed.identities, subjects)
    until_ms = max(subjects.values(), default=0)
    rejected = await rejects_about(store, doomed.identifiers, until_ms)
    decisions = await keep_decisions(store, key, subjects)
    proofs = await proofs_of(store, subjects)
    run = secrets.token_hex(8)
    staged = {"event": doomed.identities | decisions, "visitor": visitors, "order": orders}
    told = {"decision": decisions, "proof": proofs, "subject": set(subjects)}
    await _stage(store, run, {**staged, **told})
    await _count(store, run, rejected, erasures)
    if blank is not None:
        await _blank(store, log_id, run, rejected, blank)
    reach("inside the erasure of fates")
    await _rewrite_fates(store, run, rejected)
    if rejected:
        await delete(store, "rejects", f"(log_id, log_partition, log_offset) IN {_in(rejected)}")
    await _take_facts(store, run)
    reach("inside the erasure of facts")
    await delete(store, "consent_log", f"identity IN {_of(run, 'decision')}")
    await delete(store, "consent_proofs", f"identity IN {_of(run, 'proof')}")
    await _derive_again(store, run, visitors, orders)
    reach("inside the erasure of events")
    await delete(store, "events", f"identity IN {_of(run, 'event')}")
    await store.command(f"ALTER TABLE erasing DELETE WHERE run = '{run}'")


async def _orders(
    store: Store, identities: Iterable[bytes], subjects: Mapping[bytes, int]
) -> set[bytes]:
    rows = await store.select_after_write(
        f"SELECT DISTINCT order_key FROM order_facts WHERE identity IN {packed(identities)}"
        f" UNION DISTINCT SELECT order_key FROM orders WHERE visitor_id IN {packed(subjects)}"
        f" SETTINGS {QUIET}"
    )
    return {bytes(key) for (key,) in rows}


async def _stage(store: Store, run: str, staged: Mapping[str, set[bytes]]) -> None:
    rows = [(kind, digest) for kind, digests in staged.items() for digest in sorted(digests)]
    await store.insert(
        "erasing",
        {
            "run": [run] * len(rows),
            "kind": [kind for kind, _ in rows],
            "digest": [digest for _, digest in rows],
        },
    )


def _of(run: str, kind: str) -> str:
    return f"(SELECT digest FROM erasing WHERE run = '{run}' AND kind = '{kind}')"


def _in(positions: Sequence[Position]) -> str:
    return "(" + ", ".join(f"('{log}', {one}, {at})" for log, one, at in positions) + ")"


def _splits(run: str) -> str:
    whose = _of(run, "subject")
    return f"(key IN {whose} OR other_key IN {whose})"


def _lead(run: str) -> str:
    return f"{LEAD_IDENTITY} IN {_of(run, 'event')}"


async def _count(
    store: Store, run: str, rejected: Sequence[Position], erasures: Collection[str]
) -> None:
    """Note how many rows there are before they go."""
    event, visitor, order = (_of(run, kind) for kind in ("event", "visitor", "order"))
    wanted = {
        "events": f"identity IN {event}",
        "visitor_facts": f"identity IN {event}",
        "order_facts": f"identity IN {event}",
        "lead_facts": _lead(run),
        "identity_evidence": f"identity IN {event}",
        "visitor_days": f"visitor_id IN {visitor} AND notEmpty(sessions_of_day)",
        "orders": f"order_key IN {order}",
        "persons": f"visitor_id IN {visitor} AND notEmpty(intervals)",
        "consent_log": f"subject IN {visitor}",
        "consent_proofs": f"identity IN {_of(run, 'proof')}",
        "identity_splits": _splits(run),
        "fates": f"identity IN {event}",
    }
    sums = ", ".join(
        f"(SELECT count() FROM {table}{'' if table in _PLAIN else ' FINAL'} WHERE {where})"
        for table, where in wanted.items()
    )
    (row,) = await store.select_after_write(f"SELECT {sums} SETTINGS {QUIET}")
    counts = {**dict(zip(wanted, map(int, row), strict=True)), "rejects": len(rejected)}
    rows = [(one, *count) for one in sorted(erasures) if one for count in counts.items()]
    if not rows:
        return
    names = ("erasure", "table_name", "found")
    await store.insert(
        "erasure_counts", dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    )


async def _blank(
    store: Store, log_id: str, run: str, rejected: Sequence[Position], blank: Blank
) -> None:
    """Before the fates: they say where on the log the copies stand."""
    rows = await store.select_after_write(
        f"SELECT DISTINCT log_offset FROM fates WHERE log_id = '{log_id}'"
        f" AND identity IN {_of(run, 'event')} SETTINGS {QUIET}"
    )
    offsets = {int(offset) for (offset,) in rows}
    offsets |= {offset for log, _, offset in rejected if log == log_id}
    reach("inside the erasure of the log")
    if offsets:
        await blank(sorted(offsets))


async def _rewrite_fates(store: Store, run: str, rejected: Sequence[Position]) -> None:
    of_rejects = f" OR (log_id, log_partition, log_offset) IN {_in(rejected)}" if rejected else ""
    await store.command(
        "INSERT INTO fates (log_id, log_partition, log_offset, site, received_at, appended_at,"
        " identity, fate, code) SELECT log_id, log_partition, log_offset, site, received_at,"
        " appended_at, toFixedString('', 16), 'erased', 'erased_before' FROM fates FINAL"
        f" WHERE identity IN {_of(run, 'event')}{of_rejects} SETTINGS {QUIET}"
    )


async def _take_facts(store: Store, run: str) -> None:
    event = _of(run, "event")
    # What is left of an order: amounts, currency, times and its number, and nobody's.
    await store.mutate(
        "order_facts",
        "ALTER TABLE order_facts UPDATE visitor_id = toFixedString('', 16)"
        f" WHERE identity IN {event} SETTINGS mutations_sync = 2, {QUIET}",
    )
    for table in ("visitor_facts", "identity_evidence"):
        await delete(store, table, f"identity IN {event}")
    await delete(store, "lead_facts", _lead(run))
    await delete(store, "identity_splits", _splits(run))


async def _derive_again(store: Store, run: str, visitors: set[bytes], orders: set[bytes]) -> None:
    for kind, keys, staged, gone in (
        (_DAYS, visitors, "visitor", "empty(sessions_of_day)"),
        (_ORDERS, orders, "order", "status = ''"),
        (_PERSONS, visitors, "visitor", "empty(intervals)"),
    ):
        if keys:
            token = await rederive(store, KeySet(kind, frozenset(keys)))
            where = f"{kind.key} IN {_of(run, staged)} AND (version < {token} OR {gone})"
            await delete(store, kind.table, where)
