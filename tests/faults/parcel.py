"""What a client sends, and what of it must land."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from tests.faults.sites import Site
from tests.flow.happenings import Happening, Order

_GRANT, _DENY = {"purposes": {"analytics": True}}, {"purposes": {"analytics": False}}


class Saying(NamedTuple):
    """One event as a client sends it.

    Shape: `told` is what must land when it is accepted; None when it must not be accepted."""

    body: Mapping[str, Any]
    told: Happening | None


class Parcel(NamedTuple):
    """The events of one request."""

    site: Site
    channel: Literal["browser", "server"]
    sayings: tuple[Saying, ...]


def said(told: Happening, consented: bool, site_currency: str) -> Saying:
    """Say it: without consent an order is stripped and the rest dropped; an amount without a
    currency is in the site's."""
    body = _body(told, consented)
    if told.order is not None and told.order.currency is None:
        told = told._replace(order=told.order._replace(currency=site_currency))
    if consented:
        return Saying(body, told)
    if told.name not in ("purchase", "refund"):
        return Saying(body, None)
    bare = told._replace(anonymous_id=None, user_id=None, path=None, campaign=None, stripped=True)
    return Saying(body, bare)


def misspelt(told: Happening) -> Saying:
    """Say it with a field that nobody knows."""
    return Saying({**_body(told, True), "evnt": "x"}, None)


def _body(told: Happening, consented: bool) -> Mapping[str, Any]:
    at = datetime.fromtimestamp(told.at_ms // 1000, UTC).replace(
        microsecond=told.at_ms % 1000 * 1000
    )
    body: dict[str, Any] = {
        "event_id": told.event_id,
        "name": told.name,
        "occurred_at": at.isoformat(),
        "anonymous_id": told.anonymous_id,
        "user_id": told.user_id,
        "page": {"url": told.page_url} if told.path is not None else None,
        "commerce": _commerce(told.order) if told.order else None,
        "consent": _GRANT if consented else _DENY,
    }
    return {name: value for name, value in body.items() if value is not None}


def _commerce(order: Order) -> Mapping[str, Any]:
    items = [{"item_id": "i", "price": price, "quantity": 1} for price in order.prices]
    told = {**order._asdict(), "prices": None, "items": items or None}
    return {name: value for name, value in told.items() if value is not None}
