"""What happens to an event, by which line, and why: what `decide` decides, told in full. Pure."""

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import msgspec

from consent_rules.decide import Dropped, Kept, decide, fits, heeded, rule_on
from consent_rules.regime import Rule, Rules
from consent_rules.standing import Carried, Standing, hear, standing
from spine.event import UNDECIDED, Event

_WIDTH = 98


class Line(msgspec.Struct, frozen=True):
    """A line of the rules that was asked: whether it fits, and why."""

    rule: str
    fits: bool
    why: str


class Explanation(msgspec.Struct, frozen=True):
    """What was decided about an event.

    Shape: `lines` ends with the one that fits. Fields are dotted paths: those that stay as they
    are, those of which a part stays, and those that are gone."""

    event: str
    rules: str
    model: str
    signals: tuple[str, ...]
    unheard: dict[str, str]
    readable: bool
    granted: tuple[str, ...]
    denied: tuple[str, ...]
    lines: tuple[Line, ...]
    rule: str
    source: str
    outcome: str
    stays: tuple[str, ...] = ()
    reduced: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    url: str = "whole"
    referrer: str = "whole"
    ip: str = ""
    user_agent: str = ""
    id_mode: str = "none"
    linked: bool = False
    retention: str = ""
    exports: tuple[str, ...] = ()


def explain(rules: Rules, event: Event, carried: Carried, at_ms: int) -> Explanation:
    """Say what `decide` decides about an event, and why. Pure and total."""
    consent = bytes(event.consent)
    stands = heeded(rules, standing(consent, carried, rules.signals, at_ms))
    unheard: dict[str, str] = {}
    for kind, why in hear(consent, carried, rules.signals).unheard:
        unheard[kind] = f"{unheard[kind]}, {why}" if kind in unheard else why
    lines = _lines(rules, event.name, stands)
    by_id = {rule.id: rule for rule in rules.rule}
    decision = decide(rules, event, carried, at_ms)
    if isinstance(decision, Dropped):
        rule_id, outcome = decision.rule, "dropped"
    else:
        rule_id, outcome = decision.stamp.rule, decision.stamp.kept
    told = Explanation(
        event=event.name,
        rules=rules.version,
        model=rules.model,
        signals=stands.signals,
        unheard=unheard,
        readable=stands.readable,
        granted=tuple(sorted(stands.granted)),
        denied=tuple(sorted(stands.denied)),
        lines=lines,
        rule=rule_id,
        source=by_id[rule_id].source if rule_id in by_id else "",
        outcome=outcome,
    )
    return told if isinstance(decision, Dropped) else _kept(told, event, decision)


def _kept(told: Explanation, event: Event, kept: Kept) -> Explanation:
    before, after = _values(_tree(event)), _values(_tree(kept.event))
    return msgspec.structs.replace(
        told,
        stays=tuple(path for path in before if after.get(path) == before[path]),
        reduced=tuple(path for path in before if after.get(path, before[path]) != before[path]),
        gone=tuple(path for path in before if path not in after),
        url=kept.limits.url,
        referrer=kept.limits.referrer,
        ip=kept.limits.ip,
        user_agent=kept.limits.user_agent,
        id_mode="daily_salt" if kept.by_day else "none",
        linked=kept.stamp.linked,
        retention=kept.stamp.retention,
        exports=kept.stamp.exports,
    )


def _lines(rules: Rules, name: str, stands: Standing) -> tuple[Line, ...]:
    allowed = rules.allowed(stands.granted, stands.denied)
    decides = rule_on(rules, name, stands, allowed).stamp.rule
    lines: list[Line] = []
    for rule in rules.rule:
        if rule.id == decides and fits(rule, name, allowed, stands.denied):
            return (*lines, Line(rule.id, fits=True, why=_why(rule)))
        lines.append(Line(rule.id, fits=False, why=_why_not(rule, name, allowed, stands)))
    return tuple(lines)


def _why(rule: Rule) -> str:
    conditions = [f"{purpose} is allowed" for purpose in rule.needs]
    conditions += [f"{purpose} is not denied" for purpose in rule.unless]
    return " and ".join(conditions) or "it asks for nothing"


def _why_not(rule: Rule, name: str, allowed: frozenset[str], stands: Standing) -> str:
    if "*" not in rule.events and name not in rule.events:
        return f"is for {', '.join(rule.events)}"
    for purpose in rule.needs:
        if purpose not in allowed:
            is_denied = purpose in stands.denied
            return f"needs {purpose}, which {'is denied' if is_denied else 'nothing grants'}"
    refused = next(purpose for purpose in rule.unless if purpose in stands.denied)
    return f"is not for who denied {refused}"


def _tree(event: Event) -> Any:
    return msgspec.to_builtins(msgspec.structs.replace(event, consent=UNDECIDED), str_keys=True)


def _values(tree: Any, at: str = "") -> dict[str, list[Any]]:
    """Give the values under every dotted path; those of a list stand together."""
    found: dict[str, list[Any]] = {}
    if isinstance(tree, Mapping):
        parts = [(f"{at}.{name}" if at else name, inside) for name, inside in tree.items()]
    elif isinstance(tree, list | tuple):
        parts = [(at, inside) for inside in tree]
    else:
        return {at: [tree]}
    for path, inside in parts:
        for name, values in _values(inside, path).items():
            found.setdefault(name, []).extend(values)
    return found


def in_words(told: Explanation) -> str:
    """Give an explanation as text for people."""
    rows = [
        ("signals", ", ".join(told.signals) or "none that counts"),
        *(("", f"{kind}: {why}") for kind, why in told.unheard.items()),
        ("granted", ", ".join(told.granted) or "nothing"),
        ("denied", ", ".join(told.denied) or "nothing"),
        ("", ""),
        *((line.rule, f"{'fits: ' if line.fits else 'no: '}{line.why}") for line in told.lines),
        ("", ""),
        *_result(told),
        ("source", told.source),
    ]
    width = max(len(name) for name, _ in rows)
    model = "opt-in" if told.model == "opt_in" else "opt-out"
    head = f"{told.event} under {told.rules} ({model})\n\n"
    return head + "".join(_row(name, text, width) for name, text in rows)


def _row(name: str, text: str, width: int) -> str:
    lines = wrap(text, _WIDTH - width, break_long_words=False, break_on_hyphens=False) or [""]
    names = [name, *[""] * (len(lines) - 1)]
    return "".join(
        f"{name:<{width}}  {line}".rstrip() + "\n" for name, line in zip(names, lines, strict=True)
    )


def _result(told: Explanation) -> list[tuple[str, str]]:
    if told.outcome == "dropped":
        return [("dropped", f"by {told.rule}: nothing is written, the event is counted")]
    rows = [
        (told.outcome, f"by {told.rule}"),
        ("stays", ", ".join(told.stays)),
        ("in part", ", ".join(told.reduced)),
        ("gone", ", ".join(told.gone)),
        ("page", f"its {told.url}" if told.url != "whole" else ""),
        ("referrer", f"its {told.referrer}" if told.referrer != "whole" else ""),
        ("address", "cut to its network" if told.ip == "cut" else "dropped"),
        ("user agent", told.user_agent if told.user_agent != "drop" else "dropped"),
        ("visitor", "by an id of the day" if told.id_mode == "daily_salt" else ""),
        ("links ids", "yes" if told.linked else "no"),
        ("retention", told.retention),
        ("exports", ", ".join(told.exports) or "to nobody"),
    ]
    return [(name, text) for name, text in rows if text]
