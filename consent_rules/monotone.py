"""Prove of rules that less consent never lets more through. Pure, by trying every standing."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Literal

from consent_rules.decide import fits
from consent_rules.faults import keepable_paths
from consent_rules.reduce import limits_of
from consent_rules.regime import Rule, Rules

Said = Literal["denied", "undecided", "granted"]
_MORE: Mapping[Said, Said] = {"denied": "undecided", "undecided": "granted"}
_STATES: tuple[Said, ...] = ("denied", "undecided", "granted")
_EXTENTS = ("origin", "path", "whole")
_AGENTS = ("drop", "family", "whole")
_MOST_PURPOSES = 8


def loosening(rules: Rules) -> str | None:
    """Say for which event a visitor who consents to less gives away more; nothing when there is
    none.

    What [needs] and [exports] ask for is allowed or not, so only the lines have to be tried."""
    purposes = sorted({p for rule in rules.rule for p in (*rule.needs, *rule.unless)})
    if len(purposes) > _MOST_PURPOSES:
        return f"the lines name more than {_MOST_PURPOSES} purposes, too many to try"
    for name in sorted(rules.names | {"*"}):
        for states in product(_STATES, repeat=len(purposes)):
            standing = dict(zip(purposes, states, strict=True))
            rule = _first(rules, name, standing)
            for purpose, more in _with_more(standing):
                other = _first(rules, name, more)
                if other.id != rule.id and not _leaves(rule) <= _leaves(other):
                    event = "an event" if name == "*" else name
                    return (
                        f'of {event} "{rule.id}" keeps what "{other.id}" does not, though'
                        f" {purpose} is {standing[purpose]} and not {more[purpose]}"
                    )
    return None


def _with_more(standing: Mapping[str, Said]) -> Iterator[tuple[str, dict[str, Said]]]:
    for purpose, said in standing.items():
        if said in _MORE:
            yield purpose, {**standing, purpose: _MORE[said]}


def _first(rules: Rules, name: str, standing: Mapping[str, Said]) -> Rule:
    granted = frozenset(purpose for purpose, said in standing.items() if said == "granted")
    denied = frozenset(purpose for purpose, said in standing.items() if said == "denied")
    allowed = rules.allowed(granted, denied)
    return next(rule for rule in rules.rule if fits(rule, name, allowed, denied))


def _leaves(rule: Rule) -> frozenset[str]:
    """Give everything that a line may leave of an event, extents as all that are within them."""
    if rule.action == "drop":
        return frozenset()
    limits = limits_of(rule)
    if rule.action == "strip":
        paths = set(rule.keep)
    else:
        paths = set(keepable_paths()) - {"anonymous_id", "user_id"}
        paths |= {*limits.ids, "page.title", "page.url", "page.referrer"}
    if rule.id_mode == "daily_salt" or "anonymous_id" in paths:  # a lasting id says more
        paths |= {"id of the day"}
    paths |= {"ip"} if limits.ip == "cut" else set()
    for path, extent in (("page.url", limits.url), ("page.referrer", limits.referrer)):
        if path in paths:
            paths |= {f"{path} {each}" for each in _EXTENTS[: _EXTENTS.index(extent) + 1]}
    agents = _AGENTS[1 : _AGENTS.index(limits.user_agent) + 1]
    return frozenset(paths).union(f"user agent {each}" for each in agents)
