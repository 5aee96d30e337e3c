"""Decide what may be kept of an event. Pure, and closed when in doubt.

Invariants:

1. An undecided, missing or unreadable decision is a refusal of every purpose.
2. A strip is an allow-list: what is not named is gone, whatever it is called.
3. Whatever is kept, and by whichever rule, click ids need their own purposes.
4. Nothing of a dropped event leaves this function but the id of the rule that dropped it.
"""

from functools import lru_cache
from typing import NamedTuple

import msgspec

from consent_rules.reduce import drop_click_ids, strip
from consent_rules.rules import Rule, Rules
from spine.event import UNDECIDED, ConsentClaim, Event
from spine.record import Stamp

_claim = msgspec.json.Decoder(ConsentClaim | None)
_REMEMBERED_BYTES = 2_048  # a longer one is read each time: memory is bounded in bytes, too


class Kept(NamedTuple):
    """What may be written of an event, with the stamp that says why.

    Shape: `event` carries no consent object; the stamp has what may stay of it."""

    event: Event
    stamp: Stamp
    readable: bool


class Dropped(NamedTuple):
    """Nothing may be written of the event."""

    rule: str
    readable: bool


class _Signal(NamedTuple):
    """A visitor's decision, as read: the purposes granted, and the text that proves it."""

    granted: frozenset[str]
    readable: bool
    text: str


class _Ruling(NamedTuple):
    """What a rule says about every event of a name under one decision."""

    rule: Rule | None
    stamp: Stamp
    readable: bool
    click_ids: bool


def decide(rules: Rules, event: Event) -> Kept | Dropped:
    """Apply the first rule that fits. Pure and total."""
    # To these rules all other names are alike: only lines for every event fit them.
    name = event.name if event.name in rules.names else "*"
    consent = bytes(event.consent)
    if len(consent) > _REMEMBERED_BYTES:
        return _apply(_rule(rules, name, _read(consent)), event)
    return _apply(_ruling(rules, name, consent), event)


def decide_again(rules: Rules, event: Event, before: Stamp) -> Kept | Dropped:
    """Apply the rules as they are now to an event that was kept before. Pure and total.

    It never gets more than it had: what was stripped stays stripped, what was no evidence for
    identity becomes none, and a purpose counts if it was granted then and can still be read. A
    strip keeps no purposes, so that under other rules its event counts as undecided."""
    if before.kept == "stripped" and before.version == rules.version:
        for rule in rules.rule:
            if rule.id == before.rule and rule.action == "strip":
                return Kept(strip(event, frozenset(rule.keep)), before, readable=True)
    told = _read(before.signal.encode())
    told = told._replace(granted=told.granted.intersection(before.purposes))
    decision = _apply(_rule(rules, event.name, told), event)
    if isinstance(decision, Dropped):
        return decision
    stamp = msgspec.structs.replace(
        decision.stamp,
        kept="stripped" if before.kept == "stripped" else decision.stamp.kept,
        linked=before.linked and decision.stamp.linked,
    )
    return decision._replace(stamp=stamp)


def _apply(ruling: _Ruling, event: Event) -> Kept | Dropped:
    rule, stamp, readable, click_ids = ruling
    if rule is None:
        return Dropped(stamp.rule, readable)
    if rule.action == "strip":
        kept = strip(event, frozenset(rule.keep))
    else:
        kept = msgspec.structs.replace(event, consent=UNDECIDED)
    return Kept(kept if click_ids else drop_click_ids(kept), stamp, readable)


@lru_cache(maxsize=8_192)  # visitors decide seldom and say it with every event
def _ruling(rules: Rules, name: str, consent: bytes) -> _Ruling:
    return _rule(rules, name, _read(consent))


def _rule(rules: Rules, name: str, signal: _Signal) -> _Ruling:
    granted, readable, text = signal
    for rule in rules.rule:
        if ("*" in rule.events or name in rule.events) and granted.issuperset(rule.needs):
            break
    else:  # `rules.load` refuses rules without a last line that fits everything
        return _Ruling(None, _stamp(rules, "none"), readable, click_ids=False)
    if rule.action == "drop":
        return _Ruling(None, _stamp(rules, rule.id), readable, click_ids=False)
    click_ids = granted.issuperset(rules.needs.click_ids)
    if rule.action == "strip":
        return _Ruling(rule, _stamp(rules, rule.id), readable, click_ids)
    stamp = Stamp(
        rule=rule.id,
        version=rules.version,
        kept="whole",
        purposes=tuple(sorted(granted)),
        linked=granted.issuperset(rules.needs.identity),
        signal=text,
    )
    return _Ruling(rule, stamp, readable, click_ids)


def _stamp(rules: Rules, rule_id: str) -> Stamp:
    return Stamp(rule=rule_id, version=rules.version, kept="stripped")


def _read(consent: bytes) -> _Signal:
    if not consent:
        return _Signal(frozenset(), readable=True, text="")
    try:
        claim = _claim.decode(consent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Signal(frozenset(), readable=False, text="")
    decided = (claim.purposes if claim else None) or {}
    granted = frozenset(purpose for purpose, granted in decided.items() if granted)
    return _Signal(granted, readable=True, text=consent.decode())
