"""Decide what may be kept of an event. Pure, and closed when in doubt.

Invariants:

1. A purpose that nothing readable grants may not be used, in a regime of opt-in; one that anything
   denies may not be used in any. What cannot be read, or heard, may be a refusal.
2. A strip is an allow-list: what is not named is gone, whatever it is called.
3. Whatever is kept, and by whichever rule, click ids need their own purposes.
4. What was withdrawn is not granted, whatever the event says.
5. Nothing of a dropped event leaves this function but the id of the rule that dropped it.
"""

from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple

import msgspec

from consent_rules.reduce import (
    NO_LIMITS,
    Limits,
    drop_click_ids,
    limited,
    limits_of,
    reduced_agent,
    strip,
)
from consent_rules.regime import Rule, Rules
from consent_rules.remembered import Remembered
from consent_rules.standing import Carried, Standing, hear, standing
from spine.control.withdrawal import NOTHING as NOT_WITHDRAWN
from spine.control.withdrawal import Withdrawn
from spine.event import UNDECIDED, Event
from spine.record import Stamp

_MOST_REMEMBERED_BYTES = 16 << 20
_BYTES_BESIDE_TEXT = 2_000
_encoder = msgspec.json.Encoder()


class Ruling(msgspec.Struct, frozen=True, dict=True):
    """What a rule says about every event of a name under one standing; without one, drop."""

    rule: Rule | None
    stamp: Stamp
    readable: bool
    click_ids: bool = False
    limits: Limits = NO_LIMITS

    @cached_property
    def takes_nothing(self) -> bool:
        """Whether all of an event stays but its consent object."""
        keeps = self.rule is not None and self.rule.action == "keep"
        return keeps and self.click_ids and self.limits == NO_LIMITS

    @cached_property
    def by_day(self) -> bool:
        """Whether the visitor is told by an id of the day."""
        return self.rule is not None and self.rule.id_mode == "daily_salt"

    @cached_property
    def stamp_json(self) -> bytes:
        """The stamp as a record has it: the same for all events of a decision."""
        return _encoder.encode(self.stamp)


class Kept(msgspec.Struct, frozen=True, gc=False):
    """What may be written of an event, and the ruling that says why.

    Shape: `event` carries no consent object; the stamp has what may stay of it."""

    event: Event
    ruling: Ruling

    @property
    def stamp(self) -> Stamp:
        """What was decided."""
        return self.ruling.stamp

    @property
    def readable(self) -> bool:
        """Whether the event's consent object could be read."""
        return self.ruling.readable

    @property
    def by_day(self) -> bool:
        """Whether the visitor is told by an id of the day."""
        return self.ruling.by_day

    @property
    def limits(self) -> Limits:
        """What the rule takes from the events that it keeps."""
        return self.ruling.limits

    def observed(self, ip: str, user_agent: str) -> tuple[str, str]:
        """Give what may be written of an address, cut already, and of a user agent."""
        limits = self.ruling.limits
        if limits is NO_LIMITS:
            return ip, user_agent
        ip = "" if limits.ip == "drop" else ip
        return ip, reduced_agent(user_agent, limits.user_agent)

    def place(self, place: str) -> str:
        """Give what may be written of where an address is: it stays with the address only."""
        return "" if self.ruling.limits.ip == "drop" else place

    def hints(self, client_hints: str) -> str:
        """Give what may be written of client hints: they stay with the whole user agent only."""
        return client_hints if self.ruling.limits.user_agent == "whole" else ""


class Dropped(NamedTuple):
    """Nothing may be written of the event."""

    rule: str
    readable: bool


class _Rulings(NamedTuple):
    """What a rule says to what somebody said: between two of `changes_ms` always the same."""

    changes_ms: list[int]
    by_stretch: list[Ruling | None]


_Key = tuple[Rules, str, bytes, Carried]

_rulings: Remembered[_Key, _Rulings] = Remembered(_MOST_REMEMBERED_BYTES)


def decide(
    rules: Rules,
    event: Event,
    carried: Carried,
    at_ms: int,
    withdrawn: Withdrawn = NOT_WITHDRAWN,
) -> Kept | Dropped:
    """Apply the first rule that fits. Pure and total.

    Units: `at_ms` is when the event happened, milliseconds since 1970."""
    # To these rules all other names are alike: only lines for every event fit them.
    name = event.name if event.name in rules.names else "*"
    key = (rules, name, bytes(event.consent), carried)
    if withdrawn is not NOT_WITHDRAWN:  # by few
        return _apply(_ruling(key, at_ms, withdrawn), event)
    known = _rulings.find(key)  # visitors decide seldom and say it with every event
    if known is None:
        known = _remembered(key)
    stretch = bisect_right(known.changes_ms, at_ms)
    ruling = known.by_stretch[stretch]
    if ruling is None:
        ruling = known.by_stretch[stretch] = _ruling(key, at_ms, withdrawn)
    return _apply(ruling, event)


def _ruling(key: _Key, at_ms: int, withdrawn: Withdrawn) -> Ruling:
    rules, name, consent, carried = key
    stands = heeded(rules, standing(consent, carried, rules.signals, at_ms))
    stands = _less(stands, withdrawn, rules.purposes)
    return rule_on(rules, name, stands, rules.allowed(stands.granted, stands.denied))


def _less(stands: Standing, withdrawn: Withdrawn, purposes: frozenset[str]) -> Standing:
    """Give the standing without what was withdrawn, which is denied, whatever else was said."""
    taken = withdrawn.of((stands.granted | purposes) - stands.denied)
    if not taken:
        return stands
    return stands._replace(
        granted=stands.granted - taken,
        denied=stands.denied | taken,
        signals=(*stands.signals, "withdrawal"),
    )


def _remembered(key: _Key) -> _Rulings:
    rules, _, consent, carried = key
    changes_ms = hear(consent, carried, rules.signals).changes_ms
    known = _Rulings(changes_ms, [None] * (len(changes_ms) + 1))
    texts_bytes = len(consent) + carried.size_characters
    _rulings.keep(key, known, 6 * texts_bytes + _BYTES_BESIDE_TEXT)
    return known


def decide_again(
    rules: Rules, event: Event, before: Stamp, withdrawn: Withdrawn = NOT_WITHDRAWN
) -> Kept | Dropped:
    """Apply the rules as they are now to an event that was kept before. Pure and total.

    It never gets more than it had: what was stripped stays stripped, what was no evidence for
    identity becomes none, and whom it might not be sent to it may not. Purposes are those of the
    stamp, without what was withdrawn: signals that are gone are not judged anew. A strip keeps no
    purposes, so that under other rules its event counts as undecided."""
    rule = _stripped_by(rules, before)
    if rule is not None and not withdrawn.of(frozenset((*rule.needs, *rule.unless))):
        # What click ids had to go are gone: which these are, depended on purposes.
        click_ids = not withdrawn.of(frozenset(rules.needs.click_ids))
        return _apply(Ruling(rule, before, True, click_ids, limits_of(rule)), event)
    stripped = before.kept == "stripped"
    stands = Standing(
        frozenset(before.purposes),
        frozenset(before.denied),
        readable=True,
        signals=before.signals,
        text=before.signal,
    )
    less = _less(stands, withdrawn, rules.purposes)
    # Of a strip nobody knows any more what was denied: what is undecided is not allowed then.
    allowed = less.granted if stripped else rules.allowed(less.granted, less.denied)
    if stripped and less is not stands:
        less = less._replace(denied=rules.purposes)
    decision = _apply(rule_on(rules, event.name, less, allowed), event)
    if isinstance(decision, Dropped):
        return decision
    stamp = msgspec.structs.replace(
        decision.stamp,
        kept="stripped" if stripped else decision.stamp.kept,
        linked=before.linked and decision.stamp.linked,
        exports=tuple([name for name in decision.stamp.exports if name in before.exports]),
    )
    return Kept(decision.event, msgspec.structs.replace(decision.ruling, stamp=stamp))


def rests_on(rules: Rules, before: Stamp, withdrawn: Withdrawn) -> bool:
    """Say whether a withdrawal can take anything of an event that was kept before."""
    if (rule := _stripped_by(rules, before)) is not None:
        return bool(withdrawn.of(frozenset((*rule.needs, *rule.unless, *rules.needs.click_ids))))
    return bool(withdrawn.of(rules.purposes.union(before.purposes).difference(before.denied)))


def _stripped_by(rules: Rules, before: Stamp) -> Rule | None:
    if before.kept == "stripped" and before.version == rules.version:
        for rule in rules.rule:
            if rule.id == before.rule and rule.action == "strip":
                return rule
    return None


def _apply(ruling: Ruling, event: Event) -> Kept | Dropped:
    if ruling.takes_nothing:  # as nearly always
        return Kept(msgspec.structs.replace(event, consent=UNDECIDED), ruling)
    rule, limits = ruling.rule, ruling.limits
    if rule is None:
        return Dropped(ruling.stamp.rule, ruling.readable)
    if rule.action == "strip":
        kept = strip(event, frozenset(rule.keep))
        if limits.user_agent == "family":
            kept = msgspec.structs.replace(kept, user_agent=event.user_agent)
    else:
        kept = msgspec.structs.replace(event, consent=UNDECIDED)
    if not ruling.click_ids:
        kept = drop_click_ids(kept)
    return Kept(limited(kept, limits), ruling)


def fits(rule: Rule, name: str, allowed: frozenset[str], denied: frozenset[str]) -> bool:
    """Say whether a rule is for events of this name under these purposes."""
    named = "*" in rule.events or name in rule.events
    return named and allowed.issuperset(rule.needs) and denied.isdisjoint(rule.unless)


def heeded(rules: Rules, stands: Standing) -> Standing:
    """Give the standing, and of who sent a consent object that cannot be read the safest one.

    It may have been a refusal, which rules that do not wait for a yes would pass over."""
    if stands.readable:
        return stands
    return stands._replace(denied=stands.denied | (rules.purposes - stands.granted))


def rule_on(rules: Rules, name: str, stands: Standing, allowed: frozenset[str]) -> Ruling:
    """Give the first rule that fits, and what it says. Pure and total."""
    for rule in rules.rule:
        if fits(rule, name, allowed, stands.denied):
            break
    else:  # `rules.load` refuses rules without a last line that fits everything
        return Ruling(None, Stamp("none", rules.version, "stripped"), stands.readable)
    stamp = Stamp(rule.id, rules.version, "stripped", retention=rule.retention or "")
    if rule.action == "drop":
        return Ruling(None, stamp, stands.readable)
    click_ids = allowed.issuperset(rules.needs.click_ids)
    if rule.action == "strip":
        return Ruling(rule, stamp, stands.readable, click_ids, limits_of(rule))
    receivers = [to for to, needs in rules.exports.items() if allowed.issuperset(needs)]
    stamp = Stamp(
        rule=rule.id,
        version=rules.version,
        kept="whole",
        purposes=tuple(sorted(stands.granted - stands.denied)),
        linked=allowed.issuperset(rules.needs.identity),
        signal=stands.text,
        signals=stands.signals,
        denied=tuple(sorted(stands.denied)),
        retention=rule.retention or "",
        exports=tuple(sorted(receivers)),
    )
    return Ruling(rule, stamp, stands.readable, click_ids, limits_of(rule))
