"""`Rules`: a consent regime, the shape of its TOML file."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from consent_rules.reading import Reading
from spine.event import Purpose

PURPOSES = frozenset(
    {
        "necessary", "functional", "device_storage", "analytics", "ads_measurement",
        "ads_personalization", "cross_device", "crm_matching",
    }
)  # fmt: skip
"""The purposes that all signals are translated to."""

Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
"""A name that a rules file gives to something."""

Id = Literal["anonymous_id", "user_id", "identifiers"]
"""What of an event says who did it."""

ALL_IDS: tuple[Id, ...] = get_args(Id)
"""Everything of an event that says who did it."""

Extent = Literal["whole", "path", "origin"]
"""How much of an address stays."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the rules: which events, under which purposes, and what happens to them.

    Shape: it fits when all purposes of `needs` are allowed and none of `unless` is denied. `keep`
    belongs to a strip. The rest are limits of what is kept: `ip` and `ids` of action "keep"; a
    strip never has an address, and has the ids it names. Without `user_agent` a strip has none.
    `id_mode` "daily_salt" gives the visitor of a strip an id of that day in place of all others."""

    id: str
    events: Annotated[tuple[str, ...], Meta(min_length=1)]
    needs: tuple[Purpose, ...]
    unless: tuple[Purpose, ...] = ()
    action: Literal["keep", "strip", "drop"]
    source: str
    keep: tuple[str, ...] = ()
    ip: Literal["cut", "drop"] = "cut"
    ids: tuple[Id, ...] = ALL_IDS
    url: Extent = "whole"
    referrer: Extent = "whole"
    user_agent: Literal["whole", "family", "drop"] | None = None
    id_mode: Literal["none", "daily_salt"] = "none"
    retention: Word | None = None


class Keeping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long what is of a class stays.

    Shape: `orders` is the class under which a report of an order stays after that, without who
    ordered; without it the report goes like all else. Units: days since it happened."""

    days: Annotated[int, Meta(ge=8, le=36_500)]  # browsers' events are late by seven days at most
    orders: Word | None = None
    source: str


PROOF = "proof"
"""The class of what proves consent: it stays longer than the events that tell of it."""

KEEPINGS = {
    "usage": Keeping(days=400, orders="accounting", source="GDPR Art. 5(1)(e)"),
    "audience": Keeping(days=760, orders="accounting", source="CNIL délibération 2020-091"),
    "accounting": Keeping(days=4018, source="AO section 147(3), HGB section 257(4)"),
    PROOF: Keeping(days=1826, source="GDPR Art. 7(1), BGB sections 195, 199(1)"),
}
"""The classes where a rules file does not say otherwise; why so many days, stands in `eu.toml` and
`fr_exempt.toml`."""


class Needs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Purposes without which a part of a kept event may not stay or be used."""

    click_ids: tuple[Purpose, ...]
    identity: tuple[Purpose, ...]


class Rules(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, eq=False, dict=True
):
    """A whole regime. The last rule fits everything, so every event has an outcome.

    Two regimes are the same only if they are one object, so that a look-up costs nothing.
    Shape: `model` says what an undecided purpose is: denied (`opt_in`) or allowed (`opt_out`).
    `exports` has the purposes that each receiver of data needs, `retention` the classes that the
    file itself says something about. As `load` gives it, `version` is
    the file's name, its own version, and eight digits of its SHA-256: `eu@2026-11-29+0a1b2c3d`."""

    schema: Literal[1]
    version: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
    model: Literal["opt_in", "opt_out"] = "opt_in"
    own_purposes: tuple[Purpose, ...] = ()
    signals: Reading = Reading()
    needs: Needs
    exports: dict[Word, tuple[Purpose, ...]] = {}
    retention: dict[Word, Keeping] = {}
    rule: tuple[Rule, ...]

    @cached_property
    def names(self) -> frozenset[str]:
        """The event names that some rule names; to these rules all others are alike."""
        return frozenset(name for rule in self.rule for name in rule.events)

    @cached_property
    def uses_salts(self) -> bool:
        """Whether some line gives visitors an id of the day."""
        return any(rule.id_mode == "daily_salt" for rule in self.rule)

    @cached_property
    def purposes(self) -> frozenset[str]:
        """The purposes that decide something here."""
        named = [purpose for rule in self.rule for purpose in (*rule.needs, *rule.unless)]
        named += [purpose for needs in self.exports.values() for purpose in needs]
        return frozenset(named).union(self.needs.click_ids, self.needs.identity)

    @cached_property
    def keepings(self) -> Mapping[str, Keeping]:
        """How long what is of each class stays; where the file does not say it, orders stay after
        that only if a line keeps some under the same class."""
        named = {rule.retention for rule in self.rule}
        defaults = {
            name: keeping if keeping.orders in named else replace(keeping, orders=None)
            for name, keeping in KEEPINGS.items()
        }
        return defaults | self.retention

    def allowed(self, granted: frozenset[str], denied: frozenset[str]) -> frozenset[str]:
        """Give the purposes that may be used: an undecided one only in a regime of opt-out."""
        if self.model == "opt_out":
            granted = granted | self.purposes
        return granted - denied


def name_of(version: str) -> str:
    """Give the name of the regime under whose version something was stamped; empty when the stamp
    is older than such names."""
    name, at, _ = version.rpartition("@")
    return name if at else ""
