"""What an order is, worked out in plain Python from all its reports at once.

Told as the documentation tells it, in `docs/orders.md`: a step after the other.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from tests.flow.happenings import Happening, Order
from tests.flow.turns_model import Person

NAMES = ("purchase", "refund", "update_order", "cancel_order")

Source = tuple[str, str, str, str]
"""A field, and the event that gave it: its name, id and channel."""


class OrderState(NamedTuple):
    transaction_id: str
    ordered_ms: int | None
    currency: str
    gross: Decimal | None
    refunded: Decimal | None
    tax: Decimal | None
    shipping: Decimal | None
    status: str
    verified: bool
    seen_browser: bool
    seen_server: bool
    visitor: str | None
    session_started_ms: int | None
    odd: frozenset[str] = frozenset()
    sources: frozenset[Source] = frozenset()
    person: Person | None = None
    reversals: tuple[tuple[int, Decimal], ...] = ()


def order(reports: Sequence[Happening]) -> OrderState:
    """Say what an order is after these reports of it, without who visited when."""
    purchases = [e for e in reports if e.name == "purchase"]
    claims = _claims(reports)
    by_gross = next((e for e in claims if value_of(e) is not None), None)
    by_currency = by_gross or (claims or _best_first(reports))[0]
    currency = _told(by_currency).currency or ""
    in_currency = [e for e in claims if _told(e).currency == currency]
    by_tax = next((e for e in in_currency if _told(e).tax), None)
    by_shipping = next((e for e in in_currency if _told(e).shipping), None)
    by_time = min(
        purchases, key=lambda e: (e.at_ms, e.channel == "browser", e.identity), default=None
    )
    by_visitor = _browser_first([e for e in purchases if e.visitor])
    sources: dict[str, Happening | None] = {"currency": by_currency}
    if purchases:
        sources |= {"gross": by_gross, "ordered_at": by_time, "shipping": by_shipping,
                    "tax": by_tax, "visitor": by_visitor}  # fmt: skip
    gross = value_of(by_gross) if purchases and by_gross else None
    refunds = _once([e for e in reports if e.name == "refund"])
    parts = [e for e in refunds if not _is_full(e) and _told(e).currency == currency]
    part = sum((value_of(e) or Decimal(0) for e in parts), Decimal(0))
    cancellations = [e for e in reports if e.name == "cancel_order"]
    whole = [*filter(_is_full, refunds), *cancellations]
    refunded = gross if whole else part
    verified = bool(purchases) and _is_verified(by_gross, purchases)
    state = OrderState(
        _told(reports[0]).transaction_id or "",
        by_time.at_ms if by_time else None,
        currency,
        gross,
        refunded,
        Decimal(_told(by_tax).tax or 0) if purchases and by_tax else None,
        Decimal(_told(by_shipping).shipping or 0) if purchases and by_shipping else None,
        _status(purchases, cancellations, refunds, gross, refunded),
        verified,
        any(e.channel == "browser" for e in reports),
        any(e.channel == "server" for e in reports),
        by_visitor.visitor if by_visitor else None,
        None,
        frozenset(_odd(reports, gross, part, [*refunds, *cancellations] if verified else [])),
        frozenset(_source(field, event) for field, event in sources.items() if event),
    )
    return state._replace(reversals=_reversals(state, parts, whole, part))


def _told(report: Happening) -> Order:
    assert report.order is not None
    return report.order


def _best_first(reports: Iterable[Happening]) -> list[Happening]:
    """Servers know best; among them who corrects, and who corrects last; else who said it first."""
    earliest = sorted(reports, key=lambda e: (e.at_ms, e.identity))
    found = []
    for channel in ("server", "browser"):
        here = [e for e in earliest if e.channel == channel]
        corrections = [e for e in here if e.name == "update_order"]
        found += sorted(corrections, key=lambda e: (-e.at_ms, e.identity))
        found += [e for e in here if e.name != "update_order"]
    return found


def _claims(reports: Iterable[Happening]) -> list[Happening]:
    return [e for e in _best_first(reports) if e.name in ("purchase", "update_order")]


def _browser_first(reports: Iterable[Happening]) -> Happening | None:
    return min(reports, key=lambda e: (e.channel, e.at_ms, e.identity), default=None)


def _once(refunds: Iterable[Happening]) -> list[Happening]:
    """A refund that both sides reported, once: what the server says stands."""
    firsts: dict[str, Happening] = {}
    for refund in _best_first(refunds):
        firsts.setdefault(refund.event_id, refund)
    return list(firsts.values())


def _is_full(refund: Happening) -> bool:
    return _told(refund).value is None and not _told(refund).prices


def _is_verified(by_gross: Happening | None, purchases: Iterable[Happening]) -> bool:
    if by_gross is not None:
        return by_gross.channel == "server"
    return any(e.channel == "server" for e in purchases)


def _status(
    purchases: Sequence[Happening],
    cancellations: Sequence[Happening],
    refunds: Sequence[Happening],
    gross: Decimal | None,
    refunded: Decimal | None,
) -> str:
    if not purchases:
        return "awaiting_purchase"
    if cancellations:
        return "cancelled"
    if any(map(_is_full, refunds)):
        return "refunded"
    if refunded and gross is not None and refunded > 0 and refunded >= gross:
        return "refunded"
    return "partially_refunded" if refunds else "purchased"


def _odd(
    reports: Sequence[Happening],
    gross: Decimal | None,
    part: Decimal,
    against_verified: Sequence[Happening],
) -> Iterable[str]:
    purchases = [e for e in reports if e.name == "purchase" and value_of(e) is not None]
    if len({(value_of(e), _told(e).currency) for e in purchases}) > 1:
        yield "amounts_disagree"
    amounts = [(e, (value_of(e), _told(e).tax, _told(e).shipping)) for e in reports]
    if len({_told(e).currency for e, some in amounts if any(one is not None for one in some)}) > 1:
        yield "currencies_disagree"
    if gross is not None and part > gross:
        yield "over_refunded"
    if any(one is not None and Decimal(one) < 0 for _, some in amounts for one in some):
        yield "negative_amount"
    if any(e.channel == "browser" for e in against_verified):
        yield "reversal_unverified"


def _source(field: str, event: Happening) -> Source:
    return field, event.name, event.event_id, event.channel


def _reversals(
    state: OrderState, parts: Iterable[Happening], whole: Sequence[Happening], part: Decimal
) -> tuple[tuple[int, Decimal], ...]:
    """When an order became less, and by how much: its parts, and then all the rest."""
    if state.ordered_ms is None or state.refunded is None:
        return ()
    found = [(e.at_ms, value_of(e) or Decimal(0)) for e in parts]
    if whole:
        found.append((min(e.at_ms for e in whole), state.refunded - part))
    return tuple(sorted(one for one in found if one[1]))


def value_of(told: Happening) -> Decimal | None:
    if told.order is None:
        return None
    if told.order.value is not None:
        return Decimal(told.order.value)
    if not told.order.prices or None in told.order.prices:
        return None
    return sum((Decimal(price) for price in told.order.prices if price), Decimal(0))
