"""Amounts: decimals that the store can hold, never floats."""

from collections.abc import Iterator
from decimal import Decimal

from spine.event import Commerce

MAX_AMOUNT = Decimal(10) ** 14
SCALE = Decimal("0.0001")


def fits(amount: Decimal) -> bool:
    """Say whether an amount is a finite decimal below 10^14 on either side of zero."""
    return amount.is_finite() and -MAX_AMOUNT < amount < MAX_AMOUNT


def rounded(amount: Decimal) -> Decimal:
    """Give an amount that fits with the four decimals the store keeps, half to even."""
    return amount.quantize(SCALE)


def amounts(commerce: Commerce) -> Iterator[tuple[str, Decimal]]:
    """Give every amount with the path of its field, the sum of the items included."""
    for name in ("value", "tax", "shipping", "discount"):
        if (amount := getattr(commerce, name)) is not None:
            yield f"$.commerce.{name}", amount
    for index, item in enumerate(commerce.items or ()):
        if item.price is not None:
            yield f"$.commerce.items[{index}].price", item.price
        if item.discount is not None:
            yield f"$.commerce.items[{index}].discount", item.discount


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


def unfit(commerce: Commerce) -> str | None:
    """Give the path of the first amount that does not fit, or nothing."""
    for path, value in amounts(commerce):
        if not fits(value):
            return path
    total = amount(commerce)
    return "$.commerce.items" if total is not None and not fits(total) else None
