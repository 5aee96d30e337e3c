"""Who is one person: from the evidence that names two identifiers at once. Pure.

Invariants:

1. The answer is a function of the set of evidence: it is taken in the order of its time, ties by
   the identity of its event, never in the order in which it came.
2. A person has one user id. What would give it two, or more of a kind than the limits allow, is not
   joined: of the two identifiers the one of lower priority stays where it is.
3. A device goes with whoever is on it: where two persons cannot become one, it is theirs in turn,
   each from their evidence to the next one's, and the first one's before.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

KINDS = ("user_id", "crm_id", "email_sha256", "phone_sha256", "anonymous_id")
"""The kinds of identifiers, by priority."""

RANKS = {kind: rank for rank, kind in enumerate(KINDS)}
"""The priority of each kind, the highest first."""

DEVICE = "anonymous_id"
_WEEK_MS = 7 * 86_400_000

LIMITS: Mapping[str, tuple[int, int | None]] = {
    "user_id": (1, None),
    "crm_id": (5, None),
    "email_sha256": (5, None),
    "phone_sha256": (5, None),
    DEVICE: (5, _WEEK_MS),
}
"""How many of a kind a person may have, ever or within so many milliseconds.

Source: Segment, identity resolution settings: user_id 1 ever, others 5, anonymous ids 5 a week."""

Verdict = Literal["joined", "known", "shared_device", "two_users", "limit_exceeded", "weak"]
"""What became of evidence: it joined two, told what was known, or which guard kept them apart."""


class Evidence(NamedTuple):
    """Two identifiers on one event.

    Shape: `hub` is of the higher priority. `is_weak` is what a public key told where the site wants
    a server's word. Units: milliseconds since 1970, UTC."""

    at_ms: int
    identity: bytes
    hub: bytes
    other: bytes
    channel: str = "server"
    is_weak: bool = False


class Slice(NamedTuple):
    """Whose an identifier is from a time on, until the next slice; None is since ever."""

    since_ms: int | None
    person: bytes


class Resolved(NamedTuple):
    """The persons of a component, and what became of each piece of evidence, in its order."""

    slices: Mapping[bytes, Sequence[Slice]]
    verdicts: Sequence[tuple[Evidence, Verdict]]


class _Group:
    """Identifiers that are one person so far, each with its first time, by kind."""

    def __init__(self) -> None:
        self.members: dict[str, dict[bytes, int]] = {}

    def add(self, kind: str, key: bytes, at_ms: int) -> None:
        members = self.members.setdefault(kind, {})
        members[key] = min(members.get(key, at_ms), at_ms)

    def name(self) -> bytes:
        """Give the first of the highest kind."""
        kind = min(self.members, key=RANKS.__getitem__)
        return min((at_ms, key) for key, at_ms in self.members[kind].items())[1]


class _Graph:
    def __init__(self, kinds: Mapping[bytes, str]) -> None:
        self._kinds = kinds
        self._groups: dict[bytes, _Group] = {}
        self.turns: dict[bytes, list[tuple[int, bytes]]] = {}

    def group_of(self, key: bytes, at_ms: int) -> _Group:
        found = self._groups.get(key)
        if found is None:
            found = self._groups[key] = _Group()
            found.add(self._kinds[key], key, at_ms)
        return found

    def take(self, one: Evidence) -> Verdict:
        if self._kinds[one.other] != DEVICE:
            return self._join(one, one.other)
        turns = self.turns.setdefault(one.other, [])
        verdict: Verdict = "joined"
        if turns:
            verdict = self._join(one, turns[-1][1])
            if verdict in ("two_users", "limit_exceeded", "weak"):
                verdict = "shared_device"
        host = self.group_of(one.hub, one.at_ms)
        if _exceeded(one.at_ms, host.members, {DEVICE: {one.other: one.at_ms}}) is not None:
            return "limit_exceeded"
        host.add(DEVICE, one.other, one.at_ms)
        turns.append((one.at_ms, one.hub))
        return verdict

    def _join(self, one: Evidence, other: bytes) -> Verdict:
        ours, theirs = self.group_of(one.hub, one.at_ms), self.group_of(other, one.at_ms)
        if ours is theirs:
            return "known"
        if one.is_weak:
            return "weak"
        if (exceeded := _exceeded(one.at_ms, ours.members, theirs.members)) is not None:
            return "two_users" if exceeded == "user_id" else "limit_exceeded"
        for kind, members in theirs.members.items():
            for key, at_ms in members.items():
                ours.add(kind, key, at_ms)
                if kind != DEVICE:
                    self._groups[key] = ours
        return "joined"


def _exceeded(
    at_ms: int, ours: Mapping[str, Mapping[bytes, int]], theirs: Mapping[str, Mapping[bytes, int]]
) -> str | None:
    """Name the kind of which the two together would have more than they may."""
    for kind in ours.keys() & theirs.keys():
        limit, window_ms = LIMITS[kind]
        both = {**ours[kind], **theirs[kind]}
        first_ms = -1 if window_ms is None else at_ms - window_ms
        if len(both) > limit and sum(since > first_ms for since in both.values()) > limit:
            return kind
    return None


def resolve(evidence: Iterable[Evidence], kinds: Mapping[bytes, str]) -> Resolved:
    """Say who is one person, by all the evidence of a component.

    Shape: `kinds` names the kind of every identifier."""
    graph = _Graph(kinds)
    verdicts = [(one, graph.take(one)) for one in sorted(evidence, key=lambda e: _order(e, kinds))]
    slices: dict[bytes, Sequence[Slice]] = {}
    for key, kind in kinds.items():
        if kind == DEVICE:
            turns = [(at, graph.group_of(hub, at).name()) for at, hub in graph.turns.get(key, ())]
            slices[key] = _sliced(turns) or [Slice(None, key)]
        else:
            slices[key] = [Slice(None, graph.group_of(key, 0).name())]
    return Resolved(slices, verdicts)


def _order(one: Evidence, kinds: Mapping[bytes, str]) -> tuple[int, bytes, int, bytes, bytes, bool]:
    return one.at_ms, one.identity, RANKS[kinds[one.other]], one.hub, one.other, one.is_weak


def _sliced(turns: Iterable[tuple[int, bytes]]) -> list[Slice]:
    """Put the turns of a device together; of several at one instant the last one counts."""
    found: list[Slice] = []
    for at_ms, person in turns:
        if found and found[-1].since_ms == at_ms:
            found.pop()
        if not found or found[-1].person != person:
            found.append(Slice(at_ms if found else None, person))
    return found
