"""`Rules`: a consent regime as read from its TOML file, refused when it makes no sense."""

import importlib.resources
import re
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from spine.errors import Misconfigured
from spine.event import Commerce, Event, Item

_EVERY_RECORD_HAS = {"name", "event_id", "occurred_at"}


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the rules: which events, under which purposes, and what happens to them."""

    id: str
    events: Annotated[tuple[str, ...], Meta(min_length=1)]
    needs: tuple[str, ...]
    action: Literal["keep", "strip", "drop"]
    source: str
    keep: tuple[str, ...] = ()


class Needs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Purposes without which a part of a kept event may not stay or be used."""

    click_ids: tuple[str, ...]
    identity: tuple[str, ...]


class Rules(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    cache_hash=True,
    dict=True,
):
    """A whole regime. The last rule fits everything, so every event has an outcome."""

    schema: Literal[1]
    version: str
    needs: Needs
    rule: tuple[Rule, ...]

    @cached_property
    def names(self) -> frozenset[str]:
        """The event names that some rule names; to these rules all others are alike."""
        return frozenset(name for rule in self.rule for name in rule.events)


def load(name: str) -> Rules:
    """Read the rules named so in this package, or the file at that path.

    Raises: Misconfigured that names the file and the line's id."""
    try:
        if "/" in name or name.endswith(".toml"):
            text = Path(name).read_text("utf-8")
        else:
            file = importlib.resources.files("consent_rules").joinpath(f"{name}.toml")
            text = file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise Misconfigured("sites.*.consent", f'no rules "{name}": {error}') from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"consent rules {name}", f"is not TOML: {error}") from error
    try:
        rules = msgspec.convert(tree, Rules)
    except msgspec.ValidationError as error:
        raise Misconfigured(f"consent rules {name}", _with_id(str(error), tree)) from error
    if fault := _fault(rules):
        raise Misconfigured(f"consent rules {name}", fault)
    return rules


def _with_id(message: str, tree: dict[str, Any]) -> str:
    """Name the rule that a path such as `$.rule[1].action` counts."""
    found = re.search(r"\$\.rule\[(\d+)\]", message)
    rule = tree["rule"][int(found[1])] if found else None
    return f'rule "{rule["id"]}": {message}' if isinstance(rule, dict) and "id" in rule else message


def _fault(rules: Rules) -> str | None:
    last = rules.rule[-1] if rules.rule else None
    if last is None or last.events != ("*",) or last.needs:
        return 'the last rule must fit every event: events = ["*"], needs = []'
    for index, rule in enumerate(rules.rule):
        earlier = rules.rule[:index]
        if any(rule.id == other.id for other in earlier):
            return f'rule "{rule.id}" stands twice'
        if before := next((other.id for other in earlier if _covers(other, rule)), None):
            return f'rule "{rule.id}" never decides: "{before}" before it always fits first'
        if fault := _keep_fault(rule):
            return f'rule "{rule.id}" {fault}'
    return None


def _keep_fault(rule: Rule) -> str | None:
    if (rule.action == "strip") != bool(rule.keep):
        return 'is contradictory: `keep` belongs to action "strip", and to no other'
    if unknown := set(rule.keep) - keepable_paths():
        return f"keeps no known field: {min(unknown)}"
    if rule.keep and (missing := _EVERY_RECORD_HAS - set(rule.keep)):
        return f'must keep "{min(missing)}", which every record has'
    return None


def _covers(earlier: Rule, later: Rule) -> bool:
    fits = "*" in earlier.events or set(later.events) <= set(earlier.events)
    return fits and set(earlier.needs) <= set(later.needs)


def keepable_paths() -> frozenset[str]:
    """Give the dotted paths of all fields that a strip may keep.

    What names a device or its place is none: the collector drops it from whatever is stripped."""
    unkeepable = {"page", "identifiers", "commerce", "consent", "ip", "user_agent"}
    paths = {field for field in Event.__struct_fields__ if field not in unkeepable}
    paths |= {f"commerce.{field}" for field in Commerce.__struct_fields__ if field != "items"}
    paths |= {f"commerce.items.{field}" for field in Item.__struct_fields__}
    return frozenset(paths)
