"""Worked examples of rules: an event, what was said, and what must become of it."""

import importlib.resources
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from consent_rules.explain import Explanation, explain
from consent_rules.regime import Rules
from consent_rules.rules import is_path, load
from consent_rules.standing import TEXTS, Carried, carrying
from spine.errors import Misconfigured
from spine.event import Event


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One example.

    Shape: `event` names one of the file's `[events]`, whose consent object the case may give; `at`
    is when it happened; `carried` has what a request carries, by the names of `Carried`, a list of
    what it carries several times. Of what is kept either `stays` or `gone` says every field; what
    is not said is as by default. Those that are `shown` stand in the documentation."""

    title: str
    shown: bool = False
    rules: str
    event: str
    at: datetime
    consent: dict[str, Any] | None = None
    carried: dict[str, str | bool | list[str]] = {}
    rule: str
    outcome: str
    stays: tuple[str, ...] | None = None
    gone: tuple[str, ...] | None = None
    reduced: tuple[str, ...] = ()
    url: str = "whole"
    referrer: str = "whole"
    ip: str = ""
    user_agent: str = ""
    id_mode: str = "none"
    linked: bool = False
    retention: str = ""
    exports: tuple[str, ...] = ()


class Cases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of examples."""

    schema: int
    events: dict[str, dict[str, Any]]
    case: tuple[Case, ...]


def read(path: Path | None = None) -> Cases:
    """Read a file of examples; without one, those of the rules that come with Beleg.

    Rules are named as in the settings; a relative path begins at the file. Raises: Misconfigured
    that names the file."""
    try:
        if path is None:
            file = importlib.resources.files("consent_rules").joinpath("cases.toml")
            text = file.read_text("utf-8")
        else:
            text = path.read_text("utf-8")
        cases = msgspec.convert(tomllib.loads(text), Cases)
    except (OSError, ValueError) as error:  # of TOML, of UTF-8 and of a wrong field
        raise Misconfigured(str(path or "cases.toml"), str(error)) from error
    if path is None:
        return cases
    named = [msgspec.structs.replace(case, rules=_beside(path, case.rules)) for case in cases.case]
    return msgspec.structs.replace(cases, case=tuple(named))


def _beside(path: Path, rules: str) -> str:
    return str(path.parent / rules) if is_path(rules) else rules


def sample(cases: Cases, name: str) -> Event:
    """Give an event of a file of examples. Raises: Misconfigured when it is none."""
    return _event(cases, name, None)


def explained(cases: Cases, case: Case, rules: Rules) -> Explanation:
    """Say what becomes of an example under rules. Raises: Misconfigured when it cannot be read."""
    at_ms = round(case.at.timestamp() * 1000)
    return explain(rules, _event(cases, case.event, case.consent), _carried(case), at_ms)


def _carried(case: Case) -> Carried:
    told: dict[str, list[str]] = {}
    for name, value in case.carried.items():
        known = name == "gpc" if isinstance(value, bool) else name in TEXTS
        if not known:
            raise Misconfigured(f'case "{case.title}"', f"a request carries no such {name}")
        if not isinstance(value, bool):
            told[name] = [value] if isinstance(value, str) else value
    return carrying(case.carried.get("gpc") is True, told)


def _event(cases: Cases, name: str, consent: Mapping[str, Any] | None) -> Event:
    if name not in cases.events:
        raise Misconfigured("cases", f'no event "{name}" in [events]')
    told = dict(cases.events[name])
    if consent is not None:
        told["consent"] = consent
    try:
        return msgspec.json.decode(msgspec.json.encode(told), type=Event)
    except msgspec.ValidationError as error:
        raise Misconfigured(f"events.{name}", str(error)) from error


def differences(case: Case, told: Explanation) -> list[str]:
    """Say where an example is not as it must be; empty when it is."""
    fields = ["rule", "outcome"]
    if case.outcome != "dropped":
        fields += [
            "reduced",
            "url",
            "referrer",
            "ip",
            "user_agent",
            "id_mode",
            "linked",
            "retention",
            "exports",
        ]
        fields += ["stays" if case.stays is not None else "gone"]
    found = []
    for field in fields:
        wanted, got = getattr(case, field) or (), getattr(told, field) or ()
        if isinstance(wanted, tuple) and isinstance(got, tuple):
            wanted, got = tuple(sorted(wanted)), tuple(sorted(got))
        if wanted != got:
            found.append(f"{field} is {_shown(got)}, should be {_shown(wanted)}")
    return found


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "nothing"
    return str(value)


def failures(cases: Cases, rules: Mapping[str, Rules]) -> list[str]:
    """Run all examples; say what is not as it must be, and which line of rules has no example.

    Shape: `rules` has those that the examples name. Raises: Misconfigured."""
    found = []
    for case in cases.case:
        told = explained(cases, case, rules[case.rules])
        found += [f"{case.title}: {difference}" for difference in differences(case, told)]
    return [*found, *_without_example(cases.case, rules)]


def _without_example(cases: Sequence[Case], rules: Mapping[str, Rules]) -> Iterable[str]:
    shown = {(case.rules, case.rule) for case in cases}
    for name, regime in rules.items():
        for rule in regime.rule:
            if (name, rule.id) not in shown:
                yield f'{name}: rule "{rule.id}" has no example'


def rules_of(cases: Cases) -> dict[str, Rules]:
    """Read the rules that examples are of. Raises: Misconfigured."""
    return {name: load(name) for name in dict.fromkeys(case.rules for case in cases.case)}
