"""Why two identifiers are one person, or are not: the evidence, and what became of each piece."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from processors.identity.component import Component, components
from processors.identity.graph import Evidence, Resolved, Slice, Verdict, resolve
from processors.identity.person import KEYS, SENT
from spine.store import Store, packed

APART = frozenset({"two_users", "limit_exceeded", "weak"})
"""Verdicts by which evidence joined nothing."""


class Step(NamedTuple):
    """A piece of evidence that leads from one identifier to the next, and what became of it."""

    at: bytes
    to: bytes
    evidence: Evidence
    verdict: Verdict


class Why(NamedTuple):
    """The answer about two identifiers.

    Shape: `person` is whose both are, None where they are nobody's together; `steps` lead from one
    to the other, none where nothing does. `too_large` says that they are in a component in which
    nobody is joined."""

    person: bytes | None
    steps: Sequence[Step]
    too_large: bool = False


class Label(NamedTuple):
    """How an event that is evidence is called, where it is still there.

    Shape: `identifiers` are kind and value of those it carries; one that `is_imported` is a row of
    a file."""

    event_id: str
    identifiers: Mapping[bytes, tuple[str, str]]
    is_imported: bool = False


async def why(store: Store, one: bytes, other: bytes) -> Why:
    """Say why two identifiers are one person, or are not. Raises: Unavailable."""
    for component in await components(store, {one, other}):
        if one in component.identifiers and other in component.identifiers:
            return explain(component, one, other)
    return Why(None, ())


def explain(component: Component, one: bytes, other: bytes) -> Why:
    """Say why two identifiers of a component are one person, or are not. Pure."""
    if not component.is_whole:
        return Why(None, (), too_large=True)
    found = resolve(component.evidence, component.kinds)
    for person in _persons(found.slices[one]):
        if person in _persons(found.slices[other]):
            return Why(person, _path(_of(found, person), one, other))
    return Why(None, _path(found.verdicts, one, other))


def _persons(slices: Sequence[Slice]) -> Sequence[bytes]:
    return [one.person for one in slices]


def _of(found: Resolved, person: bytes) -> Iterable[tuple[Evidence, Verdict]]:
    """Give the evidence that makes this person: what joined, between identifiers of its own."""
    return [
        (one, verdict)
        for one, verdict in found.verdicts
        if verdict not in APART
        and person in _persons(found.slices[one.hub])
        and person in _persons(found.slices[one.other])
    ]


def _path(verdicts: Iterable[tuple[Evidence, Verdict]], one: bytes, other: bytes) -> Sequence[Step]:
    """Give the shortest way between two identifiers, of equal ones the earliest."""
    beside: dict[bytes, list[Step]] = {}
    for evidence, verdict in verdicts:
        for at, to in ((evidence.hub, evidence.other), (evidence.other, evidence.hub)):
            beside.setdefault(at, []).append(Step(at, to, evidence, verdict))
    came: dict[bytes, Step | None] = {one: None}
    ahead = deque([one])
    while ahead and other not in came:
        for step in beside.get(ahead.popleft(), ()):
            if step.to not in came:
                came[step.to] = step
                ahead.append(step.to)
    steps: list[Step] = []
    back = came.get(other)
    while back is not None:
        steps.append(back)
        back = came[back.at]
    return steps[::-1]


async def labels(store: Store, identities: Collection[bytes]) -> Mapping[bytes, Label]:
    """Name the events that are evidence, and who they name, as it was sent. Raises: Unavailable."""
    rows = await store.select(
        f"SELECT identity, event_id, [{', '.join(KEYS)}], [{', '.join(SENT)}],"
        f" has(flags, 'imported') FROM events FINAL WHERE identity IN {packed(identities)}"
    )
    return {
        bytes(identity): Label(
            event_id,
            {
                bytes(key): (kind, value)
                for key, kind, value in zip(keys, SENT, sent, strict=True)
                if value is not None
            },
            bool(is_imported),
        )
        for identity, event_id, keys, sent, is_imported in rows
    }
