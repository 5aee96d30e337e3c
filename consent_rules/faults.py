"""What makes no sense in rules that are well-formed. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from consent_rules.regime import ALL_IDS, PROOF, PURPOSES, Rule, Rules
from spine.event import Commerce, Event, Item

_EVERY_RECORD_HAS = {"name", "event_id", "occurred_at"}
_IDS = {"anonymous_id", "user_id"}
_ADDRESSES = {"page.url": "url", "page.referrer": "referrer"}


class Fault(NamedTuple):
    """Why rules are refused, and which rule by its place, if it is one."""

    why: str
    place: int | None = None


def fault_of(rules: Rules) -> Fault | None:
    """Give the first thing that makes no sense, if there is one."""
    known = PURPOSES.union(rules.own_purposes)
    if unknown := rules.purposes - known:
        return Fault(
            f'nothing grants "{min(unknown)}": a purpose of your own is named in own_purposes'
        )
    if (why := _keeping_fault(rules)) is not None:
        return Fault(why)
    last = rules.rule[-1] if rules.rule else None
    if last is None or last.events != ("*",) or last.needs or last.unless:
        return Fault('the last rule must fit every event: events = ["*"], needs = []')
    for index, rule in enumerate(rules.rule):
        if (why := _rule_fault(rules, rules.rule[:index], rule)) is not None:
            return Fault(f'rule "{rule.id}" {why}', index)
    return None


def _rule_fault(rules: Rules, earlier: Sequence[Rule], rule: Rule) -> str | None:
    if any(rule.id == other.id for other in earlier):
        return "stands twice"
    if before := next((other.id for other in earlier if _covers(other, rule)), None):
        return f'never decides: "{before}" before it always fits first'
    if (why := _keep_fault(rule) or _limit_fault(rule)) is not None:
        return why
    if rule.retention is not None and rule.retention not in rules.keepings.keys() - {PROOF}:
        return _no_class(rule.retention)
    return None


def _keeping_fault(rules: Rules) -> str | None:
    for name, keeping in rules.keepings.items():
        if keeping.orders is None:
            continue
        after = rules.keepings.get(keeping.orders)
        if after is None or keeping.orders == PROOF:
            return f"retention.{name} {_no_class(keeping.orders)}"
        if after.orders is not None or after.days <= keeping.days:
            return (
                f'retention.{name} leaves orders to "{keeping.orders}", which must keep them for'
                " longer, and to their end"
            )
    return None


def _no_class(name: str) -> str:
    return f'names no class of events: "{name}"; say [retention.{name}] with days and source'


def _covers(earlier: Rule, later: Rule) -> bool:
    fits = "*" in earlier.events or set(later.events) <= set(earlier.events)
    # What is needed is allowed, and so not denied.
    not_denied = set(earlier.unless) <= {*later.unless, *later.needs}
    return fits and set(earlier.needs) <= set(later.needs) and not_denied


def _keep_fault(rule: Rule) -> str | None:
    if rule.id_mode != "none" and (rule.action != "strip" or not _IDS.isdisjoint(rule.keep)):
        return "is contradictory: id_mode is for a strip that keeps no id"
    if (rule.action == "strip") != bool(rule.keep):
        return 'is contradictory: `keep` belongs to action "strip", and to no other'
    if unknown := set(rule.keep) - keepable_paths():
        return f"keeps no known field: {min(unknown)}"
    if rule.keep and (missing := _EVERY_RECORD_HAS - set(rule.keep)):
        return f'must keep "{min(missing)}", which every record has'
    return None


def _limit_fault(rule: Rule) -> str | None:
    if both := set(rule.needs) & set(rule.unless):
        return f'is contradictory: "{min(both)}" is needed, so it is not denied anyway'
    if rule.action == "drop" and (rule.retention or _is_limited(rule)):
        return 'is contradictory: of action "drop" nothing is left to be limited'
    if rule.action == "strip" and (rule.ip != "cut" or rule.ids != ALL_IDS):
        return "is contradictory: a strip has no address, and of ids what `keep` names"
    if rule.action == "strip" and rule.user_agent == "whole":
        return 'is contradictory: of a user agent a strip has the "family", or nothing'
    for path, limit in _ADDRESSES.items():
        if rule.action == "strip" and (path in rule.keep) != (getattr(rule, limit) != "whole"):
            return f'must say how much of {path} it keeps: {limit} = "path" or "origin"'
    return None


def _is_limited(rule: Rule) -> bool:
    addresses = (rule.url, rule.referrer) != ("whole", "whole")
    return addresses or rule.ip != "cut" or rule.ids != ALL_IDS or rule.user_agent is not None


def keepable_paths() -> frozenset[str]:
    """Give the dotted paths of all fields that a strip may keep.

    What names a device or its place is none: the collector drops it from whatever is stripped."""
    unkeepable = {"page", "identifiers", "commerce", "consent", "ip", "user_agent"}
    paths = {field for field in Event.__struct_fields__ if field not in unkeepable}
    paths |= {f"commerce.{field}" for field in Commerce.__struct_fields__ if field != "items"}
    paths |= {f"commerce.items.{field}" for field in Item.__struct_fields__}
    return frozenset(paths | set(_ADDRESSES))
