"""Rules as a table for people, in Markdown."""

from collections.abc import Iterable, Sequence

from consent_rules.reduce import limits_of
from consent_rules.regime import ALL_IDS, PROOF, Rule, Rules

_MODELS = {
    "opt_in": "Opt-in: what nobody granted is denied.",
    "opt_out": "Opt-out: what nobody denied is allowed.",
}


def table(rules: Rules) -> str:
    """Give the lines of rules in their order, and what else they ask for."""
    head = ("rule", "events", "visitor", "what happens", "retention", "legal source")
    lines = [
        (f"`{r.id}`", _events(r), _visitor(r, rules.model), _done(r), r.retention or "–", r.source)
        for r in rules.rule
    ]
    also = [
        ("click ids in addresses and properties stay", _granted(rules.needs.click_ids)),
        ("an anonymous id is linked with a user id", _granted(rules.needs.identity)),
        *((f"it may be sent to {to}", _granted(needs)) for to, needs in rules.exports.items()),
    ]
    allowed = "only if granted" if rules.model == "opt_in" else "only if none is denied"
    return (
        f"Version `{rules.version}`. {_MODELS[rules.model]}\n\n{markdown(head, lines)}\n"
        f"{markdown(('of an event that is kept', allowed), also)}\n"
        f"{markdown(('class', 'days', 'then', 'source'), _keepings(rules))}"
    )


def _keepings(rules: Rules) -> Iterable[Sequence[str]]:
    named = {rule.retention for rule in rules.rule} | {PROOF}
    for name, keeping in rules.keepings.items():
        if name in named:
            orders = f"orders stay as `{keeping.orders}`" if keeping.orders else "–"
            yield f"`{name}`", str(keeping.days), orders, keeping.source


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a table; a bar within a cell becomes another character that looks like one."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '∣') for cell in line)} |\n" for line in lines)


def _events(rule: Rule) -> str:
    return "all" if "*" in rule.events else _named(rule.events)


def _visitor(rule: Rule, model: str) -> str:
    said = "has granted" if model == "opt_in" else "has not denied"
    parts = [f"{said} {_named(rule.needs)}"] if rule.needs else []
    parts += [f"has not denied {_named(rule.unless)}"] if rule.unless else []
    return ", ".join(parts) or "whatever was said"


def _granted(needs: Sequence[str]) -> str:
    return _named(needs) or "–"


def _named(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _done(rule: Rule) -> str:
    if rule.action == "drop":
        return "not written anywhere; counted"
    limits = limits_of(rule)
    parts = ["kept whole"] if rule.action == "keep" else [f"kept, stripped to {_named(rule.keep)}"]
    if rule.action == "keep":
        parts += ["without the address"] if limits.ip == "drop" else []
        lost = [name for name in ALL_IDS if name not in limits.ids]
        parts += [f"without {_named(lost)}"] if lost else []
    for what, extent in (("page", limits.url), ("referrer", limits.referrer)):
        parts += [f"of the {what} the {extent}"] if extent != "whole" else []
    if limits.user_agent == "family":
        parts += ["of the user agent the family"]
    elif rule.action == "keep" and limits.user_agent == "drop":
        parts += ["without the user agent"]
    parts += ["the visitor by an id of the day"] if rule.id_mode == "daily_salt" else []
    return "; ".join(parts)
