"""Where settings come from: one TOML file, then environment `BELEG__SECTION__KEY`, nothing else."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from spine.errors import Misconfigured
from spine.settings import Secret, Settings, SiteSettings
from spine.settings_check import check

ENVIRONMENT_PREFIX = "BELEG__"
DEFAULT_FILE = "beleg.toml"

Section = TypeVar("Section")


def load(file: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings, check every value and how they fit together.

    Without `file`, `beleg.toml` of the working directory if there is one. Raises: Misconfigured
    that names the key."""
    tree = _read(file)
    for name, text in sorted(environment.items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            _put(tree, name, text)
    sites = tree.get("sites", {})
    if isinstance(sites, dict):  # one by one, so that a message names the site
        tree["sites"] = {name: _as(SiteSettings, f"sites.{name}", sites[name]) for name in sites}
    settings = _as(Settings, "", tree)
    check(settings)
    return settings


def packed(settings: Settings) -> bytes:
    """Give settings as one line, for a process of ours that must have the same; it has secrets."""
    return msgspec.json.encode(settings, enc_hook=str) + b"\n"  # a Secret is unknown to msgspec


def unpacked(line: bytes) -> Settings:
    """Give the settings that were packed."""
    return _as(Settings, "", msgspec.json.decode(line))


def _as(kind: type[Section], at: str, tree: object) -> Section:
    try:
        return msgspec.convert(tree, kind, strict=False, dec_hook=_secret)
    except msgspec.ValidationError as error:
        why, _, path = str(error).partition(" - at `$")
        if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", why, re.DOTALL):
            path, why = f"{path.rstrip('`')}.{unknown[1]}", "there is no such setting"
        raise Misconfigured(f"{at}{path.rstrip('`')}".lstrip(".") or "settings", why) from error


def _secret(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise ValueError(f"Expected `str`, got `{type(value).__name__}`")


def _read(file: Path | None) -> dict[str, Any]:
    path = file or Path(DEFAULT_FILE)
    if file is None and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(str(path), f"cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(str(path), f"is not TOML: {error}") from error


def _put(tree: dict[str, Any], name: str, text: str) -> None:
    keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
    for key in keys[:-1]:
        tree = tree.setdefault(_as_written(key, tree), {})
        if not isinstance(tree, dict):
            raise Misconfigured(name, "names a key below one that is not a section")
    tree[_as_written(keys[-1], tree)] = _value(name, text)


def _as_written(key: str, tree: Mapping[str, Any]) -> str:
    """Find a key whatever its case: a site may be called `Shop`, but not by the environment."""
    return next((written for written in tree if written.lower() == key), key)


def _value(name: str, text: str) -> object:
    if not (text.startswith("[") and text.endswith("]")):  # `[::1]:8080` is no list
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(name, f'is not a TOML list such as ["a", "b"]: {error}') from error
