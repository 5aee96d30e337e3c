"""All identifiers that evidence leads to from some of them, read from the store in bounded steps.

A component that is larger than `MOST` is read no further: it is a bug of a shop or an attack, and
what is in it stays apart (`processors.identity.persons`).

Nearly all are read in one or two steps, from an identifier to its neighbours. A long chain, again a
bug or an attack, would be a step for each of its links: there the store is asked what lies many
links ahead. What it says is a guess, never an answer: it only lets be read in one step what would
be read in many.
"""

import asyncio
import importlib.resources
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from processors.identity.graph import DEVICE, RANKS, Evidence
from processors.retention.kept import kept
from spine.store import Row, Store, packed

MOST = 1_000
"""How many identifiers a component may have."""

_MOST_TURNS = 10_000
_PLAIN_STEPS = 4
_LINKS = 8  # of one question; the time that the engine takes to plan more grows faster than they do
_GUESSES = 16  # questions before what they found is read
_MOST_AHEAD = 10_000
_SPLIT = "(SELECT key, other_key FROM identity_splits FINAL WHERE NOT is_undone)"
_SQL = importlib.resources.files("processors.identity").joinpath("component.sql").read_text("utf-8")


class Identifier(NamedTuple):
    """What is known of an identifier beside its digest."""

    site: str
    kind: str


class Component(NamedTuple):
    """Identifiers that evidence connects.

    Shape: of one that is not whole there is more than was read."""

    identifiers: Mapping[bytes, Identifier]
    evidence: Sequence[Evidence]
    is_whole: bool

    @property
    def kinds(self) -> Mapping[bytes, str]:
        """The kind of each identifier."""
        return {key: identifier.kind for key, identifier in self.identifiers.items()}


class _Known:
    """What has been read so far, and which of it is connected."""

    def __init__(self, seeds: Collection[bytes]) -> None:
        self.identifiers: dict[bytes, Identifier] = {}
        self.evidence: list[Evidence] = []
        self._seeds = seeds
        self.read: set[bytes] = set()
        self._above: dict[bytes, bytes] = {}
        self._sizes: dict[bytes, int] = {}

    def learn(self, keys: Iterable[bytes], rows: Iterable[Row]) -> set[bytes]:
        """Take what was read of these identifiers; give what is to be read next."""
        self.read.update(keys)
        for row in rows:
            self._take(row)
        asked = self._asked()
        unread = self.identifiers.keys() - self.read
        return {key for key in unread if self.is_small(key) and self.top(key) in asked}

    def _asked(self) -> set[bytes]:
        """Which components are of somebody who was asked about: no guess makes one."""
        return {self.top(key) for key in self._seeds if key in self.identifiers}

    def _take(self, row: Row) -> None:
        key, other, site = bytes(row[0]), bytes(row[1]), str(row[4])
        kind, other_kind = str(row[2]), str(row[3])
        self.identifiers[key] = Identifier(site, kind)
        self.identifiers[other] = Identifier(site, other_kind)
        one, two = self.top(key), self.top(other)
        if one != two:
            if self._sizes[one] < self._sizes[two]:
                one, two = two, one
            self._above[two] = one
            self._sizes[one] += self._sizes.pop(two)
        at_ms, identity, channel, is_weak = int(row[5]), bytes(row[6]), str(row[7]), bool(row[8])
        if kind == DEVICE:
            self.evidence.append(Evidence(at_ms, identity, other, key, channel, is_weak))
        elif RANKS[kind] < RANKS[other_kind] and other_kind != DEVICE:
            self.evidence.append(Evidence(at_ms, identity, key, other, channel, is_weak))

    def top(self, key: bytes) -> bytes:
        above = self._above.setdefault(key, key)
        if above == key:
            _ = self._sizes.setdefault(key, 1)
            return key
        self._above[key] = self.top(above)
        return self._above[key]

    def is_small(self, key: bytes) -> bool:
        return self._sizes[self.top(key)] <= MOST

    def components(self) -> Sequence[Component]:
        asked = self._asked()
        members: dict[bytes, dict[bytes, Identifier]] = {}
        for key, identifier in self.identifiers.items():
            members.setdefault(self.top(key), {})[key] = identifier
        evidence: dict[bytes, list[Evidence]] = {}
        for one in self.evidence:
            evidence.setdefault(self.top(one.hub), []).append(one)
        return [
            Component(those, evidence.get(top, []), self.is_small(top))
            for top, those in members.items()
            if top in asked
        ]


async def components(
    store: Store, seeds: Collection[bytes], without: Collection[bytes] = ()
) -> Sequence[Component]:
    """Give the components of these identifiers; of whom there is no evidence there is none.

    Shape: evidence of the events `without` is left out. Raises: Unavailable."""
    known = _Known(seeds)
    ahead: set[bytes] = set(seeds)
    steps = 0
    while ahead:
        if steps >= _PLAIN_STEPS:
            ahead |= await _guessed(store, ahead) - known.read
        rows = await store.select_after_write(evidence_select(ahead, without))
        ahead = await asyncio.to_thread(known.learn, ahead, rows)
        steps += 1
    return await asyncio.to_thread(known.components)


async def _guessed(store: Store, ahead: Collection[bytes]) -> set[bytes]:
    """Give identifiers that may be connected with these, hundreds of links away.

    Shape: not all of them, nor only such; at most about as many as would make each too large."""
    found: set[bytes] = set()
    front = set(ahead)
    for _ in range(_GUESSES):
        rows = await store.select_after_write(_ahead_select(front))
        front = {bytes(key) for (key,) in rows} - found
        found |= front
        if not front or len(found) > MOST * len(ahead):
            break
    return found


def _ahead_select(keys: Iterable[bytes]) -> str:
    """Write the question for what lies `_LINKS` links from these, or an even number less."""
    within = packed(keys)
    for _ in range(_LINKS):
        within = (
            "(SELECT DISTINCT other_key FROM identity_evidence"
            f" WHERE key IN {within} LIMIT {_MOST_AHEAD})"
        )
    return within


def evidence_select(keys: Iterable[bytes], without: Collection[bytes] = ()) -> str:
    """Write the question for the evidence that names these identifiers."""
    counts = f"{kept('e')} AND (e.key, e.other_key) NOT IN {_SPLIT}"
    if without:
        counts += f" AND e.identity NOT IN {packed(without)}"
    return _SQL.format(keys=packed(keys), counts=counts, most_turns=_MOST_TURNS)
