"""`Rules`: a consent regime as read from its TOML file, refused when it makes no sense."""

import importlib.resources
import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from spine.errors import Misconfigured
from spine.event import Commerce, Event, Item


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the rules: which events, under which purposes, and what happens to them."""

    id: str
    events: tuple[str, ...]
    needs: tuple[str, ...]
    action: Literal["keep", "strip", "drop"]
    source: str
    keep: tuple[str, ...] = ()


class Needs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Purposes without which a part of a kept event may not stay or be used."""

    click_ids: tuple[str, ...]
    identity: tuple[str, ...]


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole regime. The last rule fits everything, so every event has an outcome."""

    schema: Literal[1]
    version: str
    needs: Needs
    rule: tuple[Rule, ...]


def load(name: str) -> Rules:
    """Read the rules named so in this package, or the file at that path.

    Raises: Misconfigured that names the file and the line's id."""
    try:
        if "/" in name or name.endswith(".toml"):
            text = Path(name).read_text("utf-8")
        else:
            text = importlib.resources.files("consent_rules").joinpath(f"{name}.toml").read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured("sites.*.consent", f'no rules "{name}": {error}') from error
    try:
        rules = msgspec.convert(tomllib.loads(text), Rules)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Misconfigured(f"consent rules {name}", str(error)) from error
    _check(name, rules)
    return rules


def _check(name: str, rules: Rules) -> None:
    last = rules.rule[-1] if rules.rule else None
    if last is None or last.events != ("*",) or last.needs:
        raise Misconfigured(f"consent rules {name}", "the last rule must fit every event")
    paths = keepable_paths()
    seen: set[str] = set()
    for rule in rules.rule:
        if rule.id in seen:
            raise Misconfigured(f"consent rules {name}", f'rule "{rule.id}" stands twice')
        seen.add(rule.id)
        if (rule.action == "strip") != bool(rule.keep):
            raise Misconfigured(
                f"consent rules {name}", f'rule "{rule.id}": `keep` belongs to action "strip"'
            )
        if unknown := set(rule.keep) - paths:
            raise Misconfigured(
                f"consent rules {name}", f'rule "{rule.id}" keeps no known field: {min(unknown)}'
            )
        if rule.action == "strip" and "name" not in rule.keep:
            raise Misconfigured(f"consent rules {name}", f'rule "{rule.id}" must keep "name"')


def keepable_paths() -> frozenset[str]:
    """Give the dotted paths of all fields that a strip may keep."""
    nested = {"page", "identifiers", "commerce", "consent"}
    paths = {field for field in Event.__struct_fields__ if field not in nested}
    paths |= {f"commerce.{field}" for field in Commerce.__struct_fields__ if field != "items"}
    paths |= {f"commerce.items.{field}" for field in Item.__struct_fields__}
    return frozenset(paths)
