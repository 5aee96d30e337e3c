"""Amounts: decimals that the store can hold, never floats."""

from decimal import Decimal

import msgspec

from spine.event import Commerce, Event

SCALE = Decimal("0.0001")
MAX_AMOUNT = Decimal(10) ** 14
# What is not below these is rounded to an amount that does not fit.
_BELOW, _ABOVE = MAX_AMOUNT - SCALE / 2, SCALE / 2 - MAX_AMOUNT
_NAMES = ("value", "tax", "shipping", "discount")


def fits(amount: Decimal) -> bool:
    """Say whether an amount is finite and, with four decimals, below 10^14 either way."""
    return _ABOVE < amount < _BELOW if amount.is_finite() else False


def rounded(amount: Decimal) -> Decimal:
    """Give an amount that fits with the four decimals the store keeps, half to even."""
    return amount.quantize(SCALE)


def in_four_decimals(commerce: Commerce) -> Commerce:
    """Round what is kept as an amount; the price of one unit may be finer than any amount."""
    value, tax, shipping, discount = (
        commerce.value,
        commerce.tax,
        commerce.shipping,
        commerce.discount,
    )
    return msgspec.structs.replace(
        commerce,
        value=None if value is None else rounded(value),
        tax=None if tax is None else rounded(tax),
        shipping=None if shipping is None else rounded(shipping),
        discount=None if discount is None else rounded(discount),
    )


def amount(commerce: Commerce) -> Decimal | None:
    """Give the value of an event: as claimed, else the sum of its items when all have a price."""
    if commerce.value is not None or not commerce.items:
        return commerce.value
    prices = [
        item.price * (1 if item.quantity is None else item.quantity)
        for item in commerce.items
        if item.price is not None
    ]
    return rounded(sum(prices, Decimal(0))) if len(prices) == len(commerce.items) else None


def with_currency(event: Event, currency: str) -> tuple[Event, bool]:
    """Give the event with that currency where amounts come without one, and whether they did."""
    commerce = event.commerce
    if commerce is None or commerce.currency is not None:
        return event, False
    commerce = msgspec.structs.replace(commerce, currency=currency)
    return msgspec.structs.replace(event, commerce=commerce), True


def unfit(commerce: Commerce) -> str | None:
    """Give the path of the first amount that does not fit, the sum of the items included, or
    nothing."""
    for name in _NAMES:
        value = getattr(commerce, name)
        if value is not None and not fits(value):
            return f"$.commerce.{name}"
    if not commerce.items:
        return None
    for index, item in enumerate(commerce.items):
        if item.price is not None and not fits(item.price):
            return f"$.commerce.items[{index}].price"
        if item.discount is not None and not fits(item.discount):
            return f"$.commerce.items[{index}].discount"
    if commerce.value is not None:  # it is what counts, and it fits
        return None
    total = amount(commerce)
    return "$.commerce.items" if total is not None and not fits(total) else None
