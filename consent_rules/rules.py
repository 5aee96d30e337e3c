"""Read `Rules` from their TOML file, refused when they make no sense."""

import importlib.resources
import re
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from consent_rules.faults import fault_of
from consent_rules.monotone import loosening
from consent_rules.regime import Rules
from spine.errors import Misconfigured

PRESETS = ("eu", "fr_exempt", "fr_cookieless", "us")
"""The regimes that come with Beleg."""

_STEM = re.compile(r"[A-Za-z0-9._-]{1,64}")
_RULE_BEGINS = re.compile(r"^[ \t]*\[\[ *rule *\]\]", re.MULTILINE)


def load(name: str) -> Rules:
    """Read the rules named so in this package, or the file at that path.

    Raises: Misconfigured that names the file and the line's id."""
    stem, content = _read(name)
    place = f"consent rules {name}"
    try:
        text = content.decode()
        tree = tomllib.loads(text)
    except ValueError as error:
        raise Misconfigured(place, f"is not TOML: {error}") from error
    try:
        rules = msgspec.convert(tree, Rules)
    except msgspec.ValidationError as error:
        raise Misconfigured(place, _with_rule(str(error), tree, text)) from error
    if (fault := fault_of(rules)) is not None:
        raise Misconfigured(place, f"{_line_of(text, fault.place)}{fault.why}")
    if (why := loosening(rules)) is not None:
        raise Misconfigured(place, f"less consent lets more through: {why}")
    # A file that changed is another one in every stamp, whatever its own version says.
    digest = sha256(content).hexdigest()[:8]
    return msgspec.structs.replace(rules, version=f"{stem}@{rules.version}+{digest}")


def is_path(name: str) -> bool:
    """Say whether rules are named by a path; else they are of this package."""
    return "/" in name or name.endswith(".toml")


def _read(name: str) -> tuple[str, bytes]:
    stem = Path(name).stem if is_path(name) else name
    if _STEM.fullmatch(stem) is None:
        raise Misconfigured("sites.*.consent", f'no rules "{name}": not a name of a file of rules')
    try:
        if is_path(name):
            return stem, Path(name).read_bytes()
        return stem, importlib.resources.files("consent_rules").joinpath(
            f"{name}.toml"
        ).read_bytes()
    except FileNotFoundError as error:
        known = "no such file" if is_path(name) else f"there are {', '.join(PRESETS)}, or a path"
        raise Misconfigured("sites.*.consent", f'no rules "{name}": {known}') from error
    except (OSError, ValueError) as error:
        raise Misconfigured("sites.*.consent", f'no rules "{name}": {error}') from error


def _with_rule(message: str, tree: dict[str, Any], text: str) -> str:
    """Name the rule that a path such as `$.rule[1].action` counts."""
    found = re.search(r"\$\.rule\[(\d+)\]", message)
    if found is None:
        return message
    rule = tree["rule"][int(found[1])]
    named = f'rule "{rule["id"]}": ' if isinstance(rule, dict) and "id" in rule else ""
    return f"{_line_of(text, int(found[1]))}{named}{message}"


def _line_of(text: str, index: int | None) -> str:
    """Name the line where a rule begins, if it is written as a table."""
    starts = [match.start() for match in _RULE_BEGINS.finditer(text)]
    if index is None or index >= len(starts):
        return ""
    return f"line {text.count(chr(10), 0, starts[index]) + 1}, "
