"""Which events are of the erased, and not later than their marks. Only reads."""

from collections.abc import Mapping
from typing import NamedTuple

from processors.erasure.masking import QUIET
from processors.identity.person import KEYS, SENT, carries, in_turns
from processors.judge import NOBODY
from spine.store import Store


class Doomed(NamedTuple):
    """What is to go, as it stands in `events`.

    Shape: `visitors` are whom these events name, a friend's device among them; `identifiers` are
    those of them that are erased, as they were sent."""

    identities: set[bytes]
    visitors: set[bytes]
    identifiers: set[str]


async def doomed_of(store: Store, subjects: Mapping[bytes, int]) -> Doomed:
    """Look up which events carry these identifiers and are not later than their marks."""
    rows = await store.select_after_write(
        f"SELECT identity, toUnixTimestamp64Milli(occurred_at), [{', '.join(KEYS)}],"
        f" [{', '.join(SENT)}] FROM events WHERE {carries(subjects)} SETTINGS {QUIET}"
    )
    doomed = Doomed(set(), set(), set())
    for identity, at_ms, digests, sent in rows:
        keys = [bytes(digest) for digest in digests]
        if at_ms > max(subjects.get(one, -1) for one in keys):
            continue
        doomed.identities.add(bytes(identity))
        doomed.visitors.update(keys)
        named = zip(keys, sent, strict=True)
        doomed.identifiers.update(one for key, one in named if one is not None and key in subjects)
    doomed.visitors.discard(NOBODY)
    return doomed


async def unnamed_of(store: Store, subjects: Mapping[bytes, int]) -> Doomed:
    """Look up what was done on devices of several persons in the turns of these, naming nobody."""
    doomed = Doomed(set(), set(), set())
    for until_ms in set(subjects.values()):  # nearly always of one erasure
        those = [subject for subject, until in subjects.items() if until == until_ms]
        rows = await store.select_after_write(
            "SELECT identity, visitor_id FROM events"
            f" WHERE toUnixTimestamp64Milli(occurred_at) <= {until_ms} AND {in_turns(those)}"
            f" SETTINGS {QUIET}"
        )
        doomed.identities.update(bytes(row[0]) for row in rows)
        doomed.visitors.update(bytes(row[1]) for row in rows)
    return doomed
