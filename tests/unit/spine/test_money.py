"""Amounts: what fits, what an event is worth."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.event import Commerce, Item
from spine.money import SCALE, amount, fits, rounded, unfit


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("0", True), ("-99999999999999.9999", True), ("99999999999999.9999", True),
        ("100000000000000", False), ("-1E+14", False), ("1E+400", False), ("NaN", False),
        ("sNaN", False), ("Infinity", False), ("1E-400", True),
    ],
)  # fmt: skip
def test_an_amount_fits_below_ten_to_the_fourteenth(text: str, fitting: bool) -> None:
    assert fits(Decimal(text)) is fitting


@given(st.decimals(-(10**13), 10**13, allow_nan=False))
def test_rounding_keeps_four_decimals_and_moves_at_most_half_of_the_last(value: Decimal) -> None:
    kept = rounded(value)
    assert kept == rounded(kept)
    assert abs(kept - value) <= SCALE / 2


@pytest.mark.parametrize(
    ("commerce", "worth"),
    [
        (Commerce(), None),
        (Commerce(value=Decimal("5"), items=(Item(price=Decimal(9)),)), "5"),
        (Commerce(items=(Item(price=Decimal("1.5"), quantity=2), Item(price=Decimal(1)))), "4"),
        (Commerce(items=(Item(price=Decimal("1.5"), quantity=0),)), "0"),
        (Commerce(items=(Item(price=Decimal(1)), Item(quantity=2))), None),
        (Commerce(items=(Item(price=Decimal("0.33333"), quantity=3),)), "1"),
        (Commerce(items=()), None),
    ],
)
def test_a_value_is_claimed_or_the_sum_of_priced_items(
    commerce: Commerce, worth: str | None
) -> None:
    assert amount(commerce) == (None if worth is None else Decimal(worth))


@pytest.mark.parametrize(
    ("commerce", "path"),
    [
        (Commerce(value=Decimal("NaN")), "$.commerce.value"),
        (Commerce(tax=Decimal("1E+14")), "$.commerce.tax"),
        (Commerce(items=(Item(), Item(price=Decimal("Infinity")))), "$.commerce.items[1].price"),
        (Commerce(items=(Item(discount=Decimal("1E+99")),)), "$.commerce.items[0].discount"),
        (Commerce(items=(Item(price=Decimal(10) ** 13, quantity=10),)), "$.commerce.items"),
        (Commerce(value=Decimal(1), shipping=Decimal(-1)), None),
    ],
)
def test_the_first_amount_that_does_not_fit_is_named(commerce: Commerce, path: str | None) -> None:
    assert unfit(commerce) == path


def test_the_worth_of_the_largest_cart_is_a_number() -> None:
    cart = Commerce(items=(Item(price=Decimal("99999999999999.9999"), quantity=1_000_000),) * 200)
    assert unfit(cart) == "$.commerce.items"
