"""Which regime an event is judged by: the site's own, or that of the visitor's country.

Invariants:

1. Where no country is known, or none of the table, the site's own rules decide; so they must be the
   strictest of the site: nothing that another regime drops or strips unasked may they keep.
2. Two files of a site have different names, because a stamp names the file that judged.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from consent_rules.decide import rule_on
from consent_rules.regime import Keeping, Rules, name_of
from consent_rules.rules import load
from consent_rules.standing import Standing
from spine.errors import Misconfigured

_COUNTRY = re.compile(r"[A-Z]{2}")
_SILENCE = Standing(frozenset(), frozenset(), readable=True, signals=(), text="")
_STRICTEST_FIRST = ("drop", "strip", "keep")


class Regimes(NamedTuple):
    """The rules of a site: its own, and those for visitors of other countries.

    Shape: `by_country` is by ISO 3166-1 alpha-2 code."""

    own: Rules
    by_country: Mapping[str, Rules]

    @property
    def versions(self) -> dict[str, str]:
        """The version of each country's rules, and under an empty name of the site's own."""
        return {"": self.own.version} | {c: r.version for c, r in self.by_country.items()}

    @property
    def keepings(self) -> dict[str, Keeping]:
        """How long what is of each class stays: of several rules that differ the shortest."""
        found: dict[str, Keeping] = {}
        for rules in (self.own, *self.by_country.values()):
            for name, keeping in rules.keepings.items():
                if name not in found or keeping.days < found[name].days:
                    found[name] = keeping
        return found

    @property
    def uses_salts(self) -> bool:
        """Whether some rules give visitors an id of the day."""
        return any(rules.uses_salts for rules in (self.own, *self.by_country.values()))

    def of(self, country: str) -> Rules:
        """Give the rules for a visitor; the site's own when nobody knows where he is."""
        return self.by_country.get(country, self.own)

    def named(self, version: str) -> Rules:
        """Give today's rules of the file that a stamp names; the site's own when it is gone."""
        name = name_of(version)
        return next((r for r in self.by_country.values() if name_of(r.version) == name), self.own)


def load_all(site: str, own: str, regions: Mapping[str, str]) -> Regimes:
    """Read all rules of a site. Raises: Misconfigured that names the key or the file."""
    by_name = {name: load(name) for name in dict.fromkeys((own, *regions.values()))}
    by_file: dict[str, str] = {}
    for name, rules in by_name.items():
        other = by_file.setdefault(name_of(rules.version), name)
        if other != name:
            why = f'"{other}" and "{name}" have the same name in stamps: rename one of the files'
            raise Misconfigured(f"sites.{site}.regions", why)
    by_country: dict[str, Rules] = {}
    for told, name in regions.items():
        country = told.upper()  # the environment has no case
        by_country[country] = by_name[name]
        if not _COUNTRY.fullmatch(country):
            why = f'"{country}" is no country: two letters of ISO 3166-1, such as "FR"'
            raise Misconfigured(f"sites.{site}.regions", why)
        if (event := _looser(by_name[own], by_name[name])) is not None:
            raise Misconfigured(
                f"sites.{site}.consent",
                f'"{own}" decides where no country is known, and keeps of {event} what "{name}" of'
                f" {country} does not: make the strictest the site's own",
            )
    return Regimes(by_name[own], by_country)


def _looser(own: Rules, other: Rules) -> str | None:
    """Give an event of which the first keeps more than the second when nothing was said."""
    for name in sorted(own.names | other.names):
        if _unasked(own, name) > _unasked(other, name):
            return "every event" if name == "*" else name
    return None


def _unasked(rules: Rules, name: str) -> int:
    allowed = rules.allowed(frozenset(), frozenset())
    ruling = rule_on(rules, name, _SILENCE, allowed)
    return _STRICTEST_FIRST.index(ruling.rule.action if ruling.rule is not None else "drop")
