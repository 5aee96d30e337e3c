"""What a signal comes to: purposes granted and denied, and how certain it is when."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

_T = TypeVar("_T")


class Said(NamedTuple):
    """What one signal says of a visitor's decision.

    Shape: `kind` says where it came from, `proof` what it was, without what names a visitor.
    Units: the decision was made at `since_ms` at the earliest and at `until_ms` at the latest,
    milliseconds since 1970; unknown is None."""

    kind: str
    granted: frozenset[str]
    denied: frozenset[str]
    since_ms: int | None = None
    until_ms: int | None = None
    proof: str = ""


class NoSignal(NamedTuple):
    """Something was sent, and says nothing; `why` is a stable word."""

    kind: str
    why: str


NOTHING: frozenset[str] = frozenset()
"""No purpose."""


def by_purpose(
    wanted: Mapping[str, tuple[_T, ...]], states: Mapping[_T, bool]
) -> tuple[frozenset[str], frozenset[str]]:
    """Give the purposes that all of their parts grant, and those that some part denies.

    Of a purpose whose parts are partly unknown nothing is said, unless a known one denies."""
    granted, denied = set(), set()
    for purpose, parts in wanted.items():
        known = [states.get(part) for part in parts]
        if False in known:
            denied.add(purpose)
        elif None not in known:
            granted.add(purpose)
    return frozenset(granted), frozenset(denied)
