"""Who is one person, worked out plainly: lists that are searched from one end to the other.

Shares no code with the product, only the rules of decision 0042: in the order of time and identity,
one user id a person, at most five of every other kind, of devices within a week.
"""

from collections.abc import Iterable, Mapping
from typing import Any

WEEK_MS = 7 * 86_400_000
ORDER = ["user_id", "crm_id", "email_sha256", "phone_sha256", "anonymous_id"]

Told = tuple[int, bytes, bytes, bytes, bool]
"""Time, identity, the identifier of higher priority, the other one, and whether it is weak."""


def persons(told: Iterable[Told], kinds: Mapping[bytes, str]) -> dict[bytes, list[Any]]:
    """Give each identifier's persons in turn: since when (None is ever), and its accounts."""
    groups: list[dict[bytes, int]] = []
    turns: dict[bytes, list[tuple[int, bytes]]] = {}

    def of(account: bytes, at_ms: int) -> dict[bytes, int]:
        for group in groups:
            if account in group:
                return group
        groups.append({account: at_ms})
        return groups[-1]

    for at_ms, _, hub, other, weak in sorted(
        told, key=lambda one: (*one[:2], ORDER.index(kinds[one[3]]), *one[2:])
    ):
        host = of(hub, at_ms)
        device = kinds[other] == "anonymous_id"
        guest = turns[other][-1][1] if device and turns.get(other) else None if device else other
        if guest is not None:
            theirs = of(guest, at_ms)
            if theirs is not host and not weak and _fits(host, theirs, at_ms, kinds):
                groups.remove(theirs)
                for key, since_ms in theirs.items():
                    host[key] = min(since_ms, host.get(key, since_ms))
        if device and _fits(host, {other: at_ms}, at_ms, kinds):
            host.setdefault(other, at_ms)
            turns.setdefault(other, []).append((at_ms, hub))
    found: dict[bytes, list[Any]] = {}
    for key, kind in kinds.items():
        if kind != "anonymous_id":
            found[key] = [(None, _accounts(of(key, 0), kinds))]
            continue
        whose: dict[int, frozenset[bytes]] = {}
        for at_ms, hub in turns.get(key, []):
            whose[at_ms] = _accounts(of(hub, 0), kinds)
        first = [(None, _accounts(of(hub, 0), kinds)) for _, hub in turns.get(key, [])[:1]]
        found[key] = first or [(None, frozenset({key}))]
        for since_ms, person in sorted(whose.items()):
            if person != found[key][-1][1]:
                found[key].append((since_ms, person))
    return found


def _accounts(group: dict[bytes, int], kinds: Mapping[bytes, str]) -> frozenset[bytes]:
    return frozenset(key for key in group if kinds[key] != "anonymous_id")


def _fits(
    one: Mapping[bytes, int], two: Mapping[bytes, int], at_ms: int, kinds: Mapping[bytes, str]
) -> bool:
    both = {**one, **two}
    for kind in ORDER:
        mine = [key for key in both if kinds[key] == kind]
        if kind == "anonymous_id":
            mine = [key for key in mine if both[key] > at_ms - WEEK_MS]
        if len(mine) > (1 if kind == "user_id" else 5):
            return False
    return True
