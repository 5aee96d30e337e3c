"""All identifiers that evidence leads to from some of them, read from the store in bounded steps.

A component that is larger than `MOST` is read no further: it is a bug of a shop or an attack, and
what is in it stays apart (`processors.persons`).
"""

import importlib.resources
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from processors.graph import DEVICE, RANKS, Evidence
from processors.kept import kept
from spine.store import Row, Store, packed

MOST = 1_000
"""How many identifiers a component may have."""

_MOST_TURNS = 10_000
_SPLIT = "(SELECT key, other_key FROM identity_splits FINAL WHERE NOT is_undone)"
_SQL = importlib.resources.files("processors").joinpath("component.sql").read_text("utf-8")


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

    def __init__(self) -> None:
        self.identifiers: dict[bytes, Identifier] = {}
        self.evidence: list[Evidence] = []
        self._above: dict[bytes, bytes] = {}
        self._sizes: dict[bytes, int] = {}

    def take(self, row: Row) -> None:
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
        members: dict[bytes, dict[bytes, Identifier]] = {}
        for key, identifier in self.identifiers.items():
            members.setdefault(self.top(key), {})[key] = identifier
        evidence: dict[bytes, list[Evidence]] = {}
        for one in self.evidence:
            evidence.setdefault(self.top(one.hub), []).append(one)
        return [
            Component(those, evidence.get(top, []), self.is_small(top))
            for top, those in members.items()
        ]


async def components(
    store: Store, seeds: Collection[bytes], without: Collection[bytes] = ()
) -> Sequence[Component]:
    """Give the components of these identifiers; of whom there is no evidence there is none.

    Shape: evidence of the events `without` is left out. Raises: Unavailable."""
    known = _Known()
    ahead: set[bytes] = set(seeds)
    read: set[bytes] = set()
    while ahead:
        for row in await store.select_after_write(evidence_select(ahead, without)):
            known.take(row)
        read |= ahead
        ahead = {key for key in known.identifiers.keys() - read if known.is_small(key)}
    return known.components()


def evidence_select(keys: Iterable[bytes], without: Collection[bytes] = ()) -> str:
    """Write the question for the evidence that names these identifiers."""
    counts = f"{kept('e')} AND (e.key, e.other_key) NOT IN {_SPLIT}"
    if without:
        counts += f" AND e.identity NOT IN {packed(without)}"
    return _SQL.format(keys=packed(keys), counts=counts, most_turns=_MOST_TURNS)
