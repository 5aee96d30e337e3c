"""Who is one person, of devices and users: worked out from the whole set at once, like
`derive_model`, and as independent of the product."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tests.flow.happenings import Happening

Person = frozenset[tuple[str, str]]
"""All identifiers of a person, each with its kind."""


class Turn(NamedTuple):
    """Whose an identifier is from a time on, up to another one."""

    since_ms: int | None
    until_ms: int | None
    person: Person


Turns = Mapping[tuple[str, str], tuple[Turn, ...]]
"""Of each identifier, in the order of time."""


def persons(happened: Iterable[Happening]) -> Turns:
    """Give each identifier with all identifiers of its person; a device with its users in turn."""
    users: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    identifiers: set[tuple[str, str]] = set()
    for told in happened:
        if told.anonymous_id is not None:
            identifiers.add(("anonymous_id", told.anonymous_id))
        if told.user_id is not None:
            identifiers.add(("user_id", told.user_id))
        if told.anonymous_id is not None and told.user_id is not None and not told.stripped:
            users[told.anonymous_id].append((told.at_ms, told.identity, told.user_id))
    turns = {device: _turns(sorted(evidence)) for device, evidence in users.items()}
    groups: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for kind, name in identifiers:
        if kind == "user_id":
            groups[name].add((kind, name))
        for _, user in turns.get(name, ()) if kind == "anonymous_id" else ():
            groups[user].add((kind, name))
    found: dict[tuple[str, str], tuple[Turn, ...]] = {}
    for kind, name in identifiers:
        mine: list[tuple[int | None, str]] = [(None, name)]
        if kind == "anonymous_id":
            mine = turns.get(name, [])
        ends = [*(since_ms for since_ms, _ in mine[1:]), None]
        found[kind, name] = tuple(
            Turn(since_ms, until_ms, frozenset(groups[user]))
            for (since_ms, user), until_ms in zip(mine, ends, strict=False)
        ) or (Turn(None, None, frozenset({(kind, name)})),)
    return found


def _turns(evidence: Iterable[tuple[int, str, str]]) -> list[tuple[int | None, str]]:
    """Of several at one moment the last one stays, but the first of all is there since ever."""
    found: list[tuple[int | None, str]] = []
    for at_ms, _, user in evidence:
        found = [turn for turn in found if turn[0] != at_ms]
        if not found or found[-1][1] != user:
            found.append((at_ms if found else None, user))
    return found


def owners_of(happened: Iterable[Happening], turns: Turns) -> Mapping[str, Sequence[Turn]]:
    """Give each visitor's persons in turn: a visitor is the anonymous id, else the user id."""
    found: dict[str, Sequence[Turn]] = {}
    for told in happened:
        if told.visitor is not None:
            kind = "user_id" if told.anonymous_id is None else "anonymous_id"
            found[told.visitor] = turns[kind, told.anonymous_id or told.user_id or ""]
    return found


def owner_at(turns: Sequence[Turn], at_ms: int) -> Person:
    """Give whose turn it is at a time."""
    return [turn.person for turn in turns if turn.since_ms is None or turn.since_ms <= at_ms][-1]
