"""By which rule the events of a site are cut into sessions: which one is set, and which in force.

Invariants:

1. Deriving goes by the rule in force, a row of the store. It is read after the version of what is
   derived was taken, so that of two rows the one with the higher version is of the later rule.
2. A rule that is set otherwise comes into force with a rebuild, before its first version, so that
   no row of another rule is left when it ends. Until then all rows are of one rule.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from processors.ledger import next_token
from spine.settings import SiteSettings
from spine.store import Store


class SessionRule(NamedTuple):
    """How a site's events are cut into sessions, and when one of these is engaged.

    Shape: `ga4` cuts at gaps alone; `matomo` and `universal` also at midnight of the time zone and
    where the campaign changes, which stands in an address for `matomo`, and for `universal` is
    whatever brought the visitor. The time zone of a rule that has no midnight is UTC."""

    name: str = "ga4"
    timeout_s: int = 1800
    engaged_after_s: int = 10
    timezone: str = "UTC"


def rule_of(site: SiteSettings) -> SessionRule:
    """Give the rule that is set."""
    timezone = "UTC" if site.session_rule == "ga4" else site.timezone
    return SessionRule(site.session_rule, site.session_timeout_s, site.engaged_after_s, timezone)


class SessionRules(NamedTuple):
    """The rules in force, of the sites that have another one than the usual."""

    by_site: Mapping[str, SessionRule]

    @property
    def widest_s(self) -> int:
        """The longest gap within a session of any site."""
        return max([SessionRule().timeout_s, *(rule.timeout_s for rule in self.by_site.values())])

    @property
    def cut_by_gaps_alone(self) -> bool:
        """Whether no site cuts anywhere else."""
        return all(rule.name == "ga4" for rule in self.by_site.values())

    def sql(self, field: str, site: str, times: int = 1) -> str:
        """Write what the rule of a site has in a field, as many times as wanted."""
        usual = _literal(getattr(SessionRule(), field), times)
        found = {name: _literal(getattr(rule, field), times) for name, rule in self.by_site.items()}
        unusual = {name: value for name, value in found.items() if value != usual}
        if not unusual:
            return usual
        names, values = (", ".join(each) for each in (map(repr, unusual), unusual.values()))
        return f"transform(toString({site}), [{names}], [{values}], {usual})"


def _literal(value: str | int, times: int) -> str:
    return f"'{value}'" if isinstance(value, str) else f"toInt64({value * times})"


IN_FORCE = (
    "(SELECT groupArray((site, rule, timeout_s, engaged_after_s, timezone))"
    " FROM session_rules FINAL)"
)
"""The question for the rules in force, as a part of another."""


def session_rules(told: Any) -> SessionRules:
    """Read the answer to `IN_FORCE`."""
    by_site = {site: SessionRule(*rule) for site, *rule in told}
    return SessionRules({site: by_site[site] for site in sorted(by_site)})


async def waiting(store: Store, settings: Mapping[str, SiteSettings]) -> Mapping[str, SessionRule]:
    """Give the rules that are set and not in force, by site. Raises: Unavailable."""
    ((told,),) = await store.select(f"SELECT {IN_FORCE}")
    in_force = session_rules(told).by_site
    wanted = {site: rule_of(one) for site, one in settings.items()}
    return {
        site: rule for site, rule in wanted.items() if in_force.get(site, SessionRule()) != rule
    }


async def begin_with_rules(store: Store, settings: Mapping[str, SiteSettings]) -> None:
    """Put the rules of sites in force of which nothing has landed. Raises: Unavailable."""
    new = await waiting(store, settings)
    if not new:
        return
    names = ", ".join(map(repr, new))  # letters, digits, '-' and '_'
    known = await store.select_after_write(
        f"SELECT DISTINCT site FROM visitor_facts WHERE site IN ({names})"
        f" UNION DISTINCT SELECT site FROM session_rules WHERE site IN ({names})"
    )
    await _enter(store, {site: new[site] for site in new.keys() - {row[0] for row in known}}, 0)


async def put_in_force(store: Store, settings: Mapping[str, SiteSettings]) -> None:
    """Put the rules in force that are set; a rebuild must follow, and is due until one has ended.
    Raises: Unavailable."""
    changed = await waiting(store, settings)
    if changed:
        await _enter(store, changed, await next_token(store))


async def _enter(store: Store, rules: Mapping[str, SessionRule], token: int) -> None:
    await store.insert(
        "session_rules",
        {
            "site": list(rules),
            "rule": [rule.name for rule in rules.values()],
            "timeout_s": [rule.timeout_s for rule in rules.values()],
            "engaged_after_s": [rule.engaged_after_s for rule in rules.values()],
            "timezone": [rule.timezone for rule in rules.values()],
            "token": [token] * len(rules),
        },
    )
