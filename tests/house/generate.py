"""The parts of the documentation that are made from the code: `make docs` writes them.

A page says where such a part stands with two comment lines, `<!-- made: NAME -->` and
`<!-- end -->`; what is between them is replaced, the rest of the page is written by hand.
`tests/house/test_docs.py` fails when a page is not what this module would write.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric

from beleg.__main__ import cli
from beleg.openapi import description
from consent_rules.cases import explained, read, rules_of
from consent_rules.explain import in_words
from consent_rules.reading import Reading
from consent_rules.rules import PRESETS, load
from consent_rules.table import markdown
from consent_rules.table import table as rules_table
from spine.codes import CODES
from spine.column_dictionary import columns
from spine.counted import Counted, Measured
from spine.metrics import Metrics
from spine.migrations import migrations, views
from spine.settings import Settings, SiteSettings

ROOT = Path(__file__).parents[2]
_MADE = re.compile(r"(<!-- made: ([a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_LIMITS = (("ge", "≥"), ("gt", ">"), ("le", "≤"))


def written(page: str) -> str:
    """The page as it would be written now."""
    return _MADE.sub(lambda m: f"{m[1]}{PARTS[m[2]]()}{m[3]}", page)


def pages() -> dict[Path, str]:
    """Every file that has something made in it, and its whole text as it must be."""
    found = {
        ROOT / "settings.example.toml": example(),
        ROOT / "docs/openapi.json": description().decode(),
        ROOT / "tests/house/landed.txt": landed(),
    }
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        text = path.read_text("utf-8")
        if _MADE.search(text):
            found[path] = written(text)
    return found


def landed() -> str:
    """The digest of every migration, and of all views as of the last: what has landed stays as it
    is, and views change only under a new number."""
    lines = [f"{_digest(text)} {name}" for name, text in migrations().values()]
    lines.append(f"{_digest(*views())} views as of migration {max(migrations())}")
    return "\n".join(lines) + "\n"


def _digest(*texts: str) -> str:
    return sha256("\0".join(texts).encode()).hexdigest()


def codes() -> str:
    rows = (
        (f"`{one.name}`", one.kind, str(one.http_status or "–"), one.meaning)
        for one in CODES.values()
    )
    return markdown(("code", "kind", "HTTP status", "meaning"), rows)


class Setting(msgspec.Struct, frozen=True):
    """One key: where it stands, what it is without being set, and what it says."""

    section: str
    name: str
    value: str
    limits: str
    says: str


def settings() -> list[Setting]:
    """Every key of the settings tree, in its order; those of a site under `sites.NAME`."""
    found: list[Setting] = []
    for field, hint in _fields(Settings):
        section = SiteSettings if field == "sites" else hint
        if isinstance(section, type) and issubclass(section, msgspec.Struct):
            name = "sites.NAME" if field == "sites" else field
            found += [_setting(name, section, key, hint) for key, hint in _fields(section)]
        else:
            found.append(_setting("", Settings, field, hint))
    return found


def _fields(struct: type[msgspec.Struct]) -> list[tuple[str, Any]]:
    hints = get_type_hints(struct, include_extras=True)
    return [(name, hints[name]) for name in struct.__struct_fields__]


def _setting(section: str, struct: type[msgspec.Struct], name: str, hint: Any) -> Setting:
    default = struct.__struct_defaults__[struct.__struct_fields__.index(name)]
    default = default.factory() if hasattr(default, "factory") else default
    (meta,) = [each for each in get_args(hint) if isinstance(each, msgspec.Meta)]
    limits = [
        f"{sign} {getattr(meta, key):,}" for key, sign in _LIMITS if getattr(meta, key) is not None
    ]
    return Setting(section, name, _toml(default), ", ".join(limits), meta.description or "")


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def settings_table() -> str:
    rows = (
        (f"`{f'{one.section}.{one.name}'.lstrip('.')}`", f"`{one.value}`", one.limits, one.says)
        for one in settings()
    )
    return markdown(("key", "default", "limits", "meaning"), rows)


def example() -> str:
    """A settings file in which every key has its default, and a site to begin with."""
    lines = ["# Every setting with its default; made by `make docs`. A key left out is the same."]
    section = ""
    for one in settings():
        if one.section != section:
            section = one.section
            lines += ["", f"[{section.replace('NAME', 'shop')}]"]
        value = _EXAMPLE_SITE.get(one.name, one.value) if section == "sites.NAME" else one.value
        lines += [f"# {one.says}", f"{one.name} = {value}"]
    return "\n".join(lines) + "\n"


_EXAMPLE_SITE = {
    "timezone": '"Europe/Berlin"',
    "origins": '["https://shop.example"]',
    "browser_keys": '["bk_replace_this_one"]',
    "server_keys": '["sk_replace_this_one"]',
}


def metrics() -> str:
    rows = []
    for name, metric in sorted(vars(Metrics("0")).items()):
        family: Metric
        if isinstance(metric, Counted | Measured):
            (family,) = metric.collect()
            names = metric.labels
        elif isinstance(metric, Counter | Gauge | Histogram):
            (family,) = metric.describe()
            names = metric._labelnames
        elif isinstance(metric, CollectorRegistry):
            continue
        else:
            raise AssertionError(f"{name} is no metric")
        suffix = "_total" if family.type == "counter" else ""
        labels = ", ".join(f"`{label}`" for label in names) or "–"
        rows.append((f"`{family.name}{suffix}`", family.type, labels, family.documentation))
    rows.append(("`beleg_build_info`", "gauge", "`version`", "Always 1; the version is the label."))
    return markdown(("name", "type", "labels", "meaning"), rows)


def metric_names() -> frozenset[str]:
    """Every name under which a sample may appear."""
    families = Metrics("0").registry.collect()
    names = {family.name for family in families}
    return frozenset(
        f"{name}{suffix}"
        for name in names
        for suffix in ("", "_total", "_bucket", "_sum", "_count")
    )


def commands() -> str:
    context = click.Context(cli, info_name="beleg", terminal_width=100, **cli.context_settings)
    return f"```text\n{cli.get_help(context)}\n```\n{''.join(_helps(cli, context))}"


def _helps(group: click.Group, context: click.Context) -> Iterator[str]:
    for name, command in group.commands.items():
        inner = click.Context(command, parent=context, info_name=name, terminal_width=100)
        yield f"\n## {inner.command_path}\n\n```text\n{command.get_help(inner)}\n```\n"
        if isinstance(command, click.Group):
            yield from _helps(command, inner)


def consent() -> str:
    return "\n".join(f"### `{name}`\n\n{rules_table(load(name))}" for name in PRESETS)


def explanations() -> str:
    cases = read()
    rules = rules_of(cases)
    return "\n".join(
        f"**{case.title}.**\n\n```text\n{in_words(explained(cases, case, rules[case.rules]))}```\n"
        for case in cases.case
        if case.shown
    )


def signals() -> str:
    reading = Reading()
    names = ("tcf", "google", "cookiebot", "onetrust", "usercentrics", "segment")
    tables: list[dict[str, tuple[object, ...]]] = [getattr(reading, name) for name in names]
    purposes = dict.fromkeys(purpose for table in tables for purpose in table)
    rows = (
        (f"`{purpose}`", *(", ".join(map(str, one.get(purpose, ()))) or "–" for one in tables))
        for purpose in purposes
    )
    return markdown(("purpose", *(f"`{name}`" for name in names)), rows)


def columns_of(view: str) -> str:
    rows = ((f"`{c.name}`", c.type, c.unit, c.meaning) for c in columns() if c.view == view)
    return markdown(("column", "type", "unit", "meaning"), rows)


PARTS: Mapping[str, Callable[[], str]] = {
    "codes": codes,
    "settings": settings_table,
    "metrics": metrics,
    "commands": commands,
    "consent": consent,
    "signals": signals,
    "explanations": explanations,
    **{view: partial(columns_of, view) for view in {column.view for column in columns()}},
}


def main() -> None:
    """Write every page that has something made in it."""
    for path, text in pages().items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
