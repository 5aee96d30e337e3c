"""The GA4 default channel group of a touch, by the dated rules of `channel_groups.toml`."""

import re
from collections.abc import Callable
from functools import lru_cache
from importlib import resources

import msgspec

_Fits = Callable[[str, str, str], bool]


class _Alternative(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    category: str | None = None
    source: str | None = None
    medium: str | None = None
    campaign: str | None = None


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    group: str
    any: list[_Alternative]


class _Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    sources: list[str]
    otherwise: str
    patterns: dict[str, str]
    rule: list[_Rule]


class _Categories(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    sources: list[str]
    categories: dict[str, list[str]]


_ROOM = resources.files("processors.enrichment")
_RULES = msgspec.toml.decode(_ROOM.joinpath("channel_groups.toml").read_bytes(), type=_Rules)
_CATEGORIES = msgspec.toml.decode(
    _ROOM.joinpath("source_categories.toml").read_bytes(), type=_Categories
)


@lru_cache(maxsize=4096)
def channel_group(source: str, medium: str, campaign: str) -> str:
    """Return the group of this source, medium and campaign, in any case of letters."""
    for group, fits in _ORDERED:
        if fits(source.lower(), medium.lower(), campaign.lower()):
            return group
    return _RULES.otherwise


def _compiled(alternative: _Alternative) -> _Fits:
    def searched(name: str | None) -> Callable[[str], object]:
        return re.compile(_RULES.patterns[name] if name else "").search

    category = alternative.category
    known = frozenset(_CATEGORIES.categories[category]) if category else None
    in_source = searched(alternative.source)
    in_medium = searched(alternative.medium)
    in_campaign = searched(alternative.campaign)
    return lambda source, medium, campaign: bool(
        (known is None or source in known)
        and in_source(source)
        and in_medium(medium)
        and in_campaign(campaign)
    )


_ORDERED = [(rule.group, _compiled(one)) for rule in _RULES.rule for one in rule.any]
