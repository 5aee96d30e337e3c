"""`Event`: what a client claims. All limits of the format are in the types.

Nothing here is believed yet: times are the client's clock, amounts the client's word. What the
server observed itself is in the record (`spine.record`).
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

Identifier = Annotated[str, Meta(min_length=1, max_length=200)]
"""An id as the client knows it."""

Word = Annotated[str, Meta(max_length=200)]
"""A short text: a name, a label, a category."""

Text = Annotated[str, Meta(max_length=1000)]
"""A longer text in free properties."""

Url = Annotated[str, Meta(max_length=4096)]
"""A URL as the browser had it."""

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""A SHA-256 in lower-case hexadecimal."""

Instant = Annotated[datetime, Meta(tz=True)]
"""A point in time, RFC 3339 with a zone."""

Whole = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
"""A whole number that every reader of JSON and every store can hold."""


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """The page an event happened on."""

    url: Url | None = None
    referrer: Url | None = None
    title: Text | None = None


class Identifiers(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    """Further ids of the person, hashed by the sender where they name somebody."""

    email_sha256: Sha256 | None = None
    phone_sha256: Sha256 | None = None
    crm_id: Identifier | None = None


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One line of a cart or an order, with GA4's names.

    Units: `price` is one unit's price after discount, in the currency of the event."""

    item_id: Word | None = None
    item_name: Word | None = None
    price: Decimal | None = None
    quantity: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    discount: Decimal | None = None
    coupon: Word | None = None
    affiliation: Word | None = None
    index: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    item_brand: Word | None = None
    item_category: Word | None = None
    item_category2: Word | None = None
    item_category3: Word | None = None
    item_category4: Word | None = None
    item_category5: Word | None = None
    item_list_id: Word | None = None
    item_list_name: Word | None = None
    item_variant: Word | None = None
    location_id: Word | None = None


class Commerce(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    """Money and goods of an event.

    Units: `value` is without tax and shipping (GA4's value, Segment's revenue); all amounts are
    decimals in `currency`, never floats."""

    transaction_id: Identifier | None = None
    currency: Word | None = None
    value: Decimal | None = None
    tax: Decimal | None = None
    shipping: Decimal | None = None
    discount: Decimal | None = None
    coupon: Word | None = None
    items: Annotated[tuple[Item, ...], Meta(max_length=200)] | None = None


Purpose = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")]
"""The name of a purpose. The alphabet leaves no room for an address or a parameter of one, because
the consent object is kept as sent."""

Category = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_. -]{1,64}\Z")]
"""The name that a consent tool gives a category; it has no room for a parameter of an address."""

TcfString = Annotated[str, Meta(max_length=4096, pattern=r"^[A-Za-z0-9_.-]*\Z")]
"""A TC string: base64url segments, joined by dots. Source: IAB TCF v2.2, consent string format."""


GppString = Annotated[str, Meta(max_length=4096, pattern=r"^[A-Za-z0-9_.~-]*\Z")]
"""A GPP string. Source: IAB Global Privacy Platform, consent string specification."""

GoogleSignal = Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9_-]*\Z")]
"""A parameter of Google's hits that tells the consent mode: `gcs` or `gcd`."""


class UsercentricsChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the visitor has chosen, in Usercentrics of version 3.

    Shape: `type` is `EXPLICIT` after a choice. Units: milliseconds since 1970."""

    type: Annotated[str, Meta(pattern=r"^[A-Za-z_]{1,32}\Z")] | None = None
    updated_ms: Annotated[int, Meta(ge=0, le=4_102_444_800_000)] | None = msgspec.field(
        default=None, name="updatedAt"
    )


class UsercentricsCategory(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a category, in Usercentrics of version 3: `ALL_ACCEPTED` is a yes."""

    state: Annotated[str, Meta(pattern=r"^[A-Za-z_]{1,32}\Z")]


class UsercentricsClaim(msgspec.Struct, frozen=True, omit_defaults=True):
    """What Usercentrics tells a page: the detail of its event in version 2, with `type` and
    `ucCategory`, or its consent details in version 3. What else is in them is not read."""

    type: Annotated[str, Meta(pattern=r"^[A-Za-z_]{1,32}\Z")] | None = None
    by_category: Annotated[dict[Category, bool], Meta(max_length=50)] | None = msgspec.field(
        default=None, name="ucCategory"
    )
    consent: UsercentricsChoice | None = None
    categories: Annotated[dict[Category, UsercentricsCategory], Meta(max_length=50)] | None = None


class SegmentClaim(msgspec.Struct, frozen=True, omit_defaults=True):
    """Segment's `context.consent`. What else is in it is not read."""

    by_category: Annotated[dict[Category, bool], Meta(max_length=50)] | None = msgspec.field(
        default=None, name="categoryPreferences"
    )


class ConsentClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The visitor's decision as the page reports it; purposes that are not named are undecided."""

    purposes: Annotated[dict[Purpose, bool], Meta(max_length=50)] | None = None
    tcf: TcfString | None = None
    decided_at: Instant | None = None
    gpp: GppString | None = None
    gcs: GoogleSignal | None = None
    gcd: GoogleSignal | None = None
    usercentrics: UsercentricsClaim | None = None
    segment: SegmentClaim | None = None


Properties = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], Text | Whole | float | bool | None],
    Meta(max_length=100),
]
"""Anything else, flat."""

EventName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
"""GA4's names where they fit, any other printable name of up to 64 characters."""


UNDECIDED = msgspec.Raw()
"""No consent object at all."""


class Event(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """One event as its sender tells it.

    Shape: `consent` stays undecoded, because an unreadable one means "undecided" and not "refuse
    the event"."""

    name: EventName
    event_id: Identifier | None = None
    occurred_at: Instant | None = None
    anonymous_id: Identifier | None = None
    user_id: Identifier | None = None
    identifiers: Identifiers | None = None
    page: Page | None = None
    consent: msgspec.Raw = UNDECIDED
    commerce: Commerce | None = None
    properties: Properties | None = None
    ip: Annotated[str, Meta(max_length=45)] | None = None
    user_agent: Text | None = None


KNOWN_NAMES = frozenset(
    {
        "page_view", "view_item_list", "select_item", "view_item", "search", "add_to_cart",
        "remove_from_cart", "add_to_wishlist", "view_cart", "begin_checkout", "add_shipping_info",
        "add_payment_info", "purchase", "refund", "update_order", "cancel_order", "generate_lead",
        "sign_up", "login", "view_promotion", "select_promotion",
    }
)  # fmt: skip
"""GA4's recommended names and what orders need beside them; tallies and metrics name these and
call all others `(custom)`."""

ORDER_NAMES = frozenset({"purchase", "refund", "update_order", "cancel_order"})
"""What orders are made of."""
