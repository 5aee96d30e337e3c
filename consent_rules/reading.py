"""`Reading`: how a regime reads signals, the part of a rules file called `[signals]`.

A table that a file gives replaces the default one whole.
"""

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from spine.event import Category, Purpose

TcfPurpose = Annotated[int, Meta(ge=1, le=24)]
"""A purpose of IAB TCF by its number."""

GoogleState = Literal["ad_storage", "analytics_storage", "ad_user_data", "ad_personalization"]
"""A state of Google's consent mode v2."""

CookiebotCategory = Literal["necessary", "preferences", "statistics", "marketing"]
"""A category of Cookiebot."""

_T = TypeVar("_T")
_Map = dict[Purpose, Annotated[tuple[_T, ...], Meta(min_length=1)]]
_SALE = ("ads_measurement", "ads_personalization", "cross_device", "crm_matching")


_TCF: _Map[TcfPurpose] = {
    "device_storage": (1,),
    "analytics": (1, 8, 9),
    "ads_measurement": (1, 7),
    "ads_personalization": (1, 2, 3, 4),
}
_GOOGLE: _Map[GoogleState] = {
    "device_storage": ("ad_storage", "analytics_storage"),
    "analytics": ("analytics_storage",),
    "ads_measurement": ("ad_storage", "ad_user_data"),
    "ads_personalization": ("ad_personalization",),
    "crm_matching": ("ad_user_data",),
}
_COOKIEBOT: _Map[CookiebotCategory] = {
    "functional": ("preferences",),
    "analytics": ("statistics",),
    "ads_measurement": ("marketing",),
    "ads_personalization": ("marketing",),
}
_ONETRUST: _Map[Category] = {
    "functional": ("C0003",),
    "analytics": ("C0002",),
    "ads_measurement": ("C0004",),
    "ads_personalization": ("C0004",),
}
_USERCENTRICS: _Map[Category] = {
    "functional": ("functional",),
    "analytics": ("functional", "marketing"),
    "ads_measurement": ("marketing",),
    "ads_personalization": ("marketing",),
}
_SEGMENT: _Map[Category] = {
    "functional": ("Functional",),
    "analytics": ("Analytics",),
    "ads_measurement": ("Advertising",),
    "ads_personalization": ("Advertising",),
}


class Reading(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    eq=False,
):
    """What of a signal grants and denies which purpose of ours.

    Shape: a purpose is granted by a source when all that stands beside it is. Two readings are
    the same only if they are one object. Units: days.
    Source: IAB TCF v2.2 and v2.3, Google consent mode v2, Cookiebot, OneTrust and Usercentrics as
    they name their categories when nobody has renamed them."""

    max_age_days: Annotated[int, Meta(ge=1, le=3650)] = 365
    """A grant counts for so long."""

    disclosed_vendors: Literal["demanded", "optional"] = "demanded"
    """Whether a TC string made since TCF 2.3 must say which vendors were disclosed."""

    empty_publisher_tc: Literal["refusal", "unused"] = "refusal"
    """What a PublisherTC segment without a purpose means; the official encoder always adds one."""

    tcf_vendor: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """The vendor of a TC string who must have consent; 0 where the site itself, the publisher, is
    asked for."""

    awaiting_reconsent: Literal["undecided", "decided"] = "undecided"
    """What OneTrust's choice means while it waits to ask again."""

    gpc: tuple[Purpose, ...] = _SALE
    """What `Sec-GPC: 1` denies."""

    us_opt_out: tuple[Purpose, ...] = _SALE
    """What an opt-out of sale, sharing or targeted advertising denies, in a GPP string."""

    tcf: _Map[TcfPurpose] = msgspec.field(default_factory=_TCF.copy)
    google: _Map[GoogleState] = msgspec.field(default_factory=_GOOGLE.copy)
    cookiebot: _Map[CookiebotCategory] = msgspec.field(default_factory=_COOKIEBOT.copy)
    onetrust: _Map[Category] = msgspec.field(default_factory=_ONETRUST.copy)
    usercentrics: _Map[Category] = msgspec.field(default_factory=_USERCENTRICS.copy)
    segment: _Map[Category] = msgspec.field(default_factory=_SEGMENT.copy)
