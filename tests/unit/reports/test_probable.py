"""Customers who are probably one person: they are found, and where there are none, nobody is."""

import random
from collections.abc import Sequence

from reports.crm_file import Customers, read_customers
from reports.probable import probable_pairs
from tests.unit.reports.shop_customers import Row, customers, written, written_again

TWICE = 60


def told(rows: Sequence[Row]) -> Customers:
    found = read_customers(written(rows))
    assert isinstance(found, Customers), found
    return found


def file_with_doubles() -> list[Row]:
    chance = random.Random(7)
    rows = customers(600, chance)
    return [*rows, *(written_again(row, chance) for row in rows[:TWICE])]


def test_who_is_there_twice_is_found_and_hardly_anybody_else() -> None:
    pairs = probable_pairs(told(file_with_doubles()), 0.95)
    right = [pair for pair in pairs if pair.other_crm_id == f"{pair.crm_id}-again"]
    assert len(right) >= 0.9 * TWICE and len(right) >= 0.98 * len(pairs), (len(right), len(pairs))
    assert all(0.95 <= pair.probability <= 1 for pair in pairs)
    assert all(pair.alike and not set(pair.alike) & set(pair.unlike) for pair in pairs)


def test_where_nobody_is_there_twice_nobody_is_found() -> None:
    assert probable_pairs(told(customers(600, random.Random(3))), 0.95) == []


def test_the_order_of_the_file_changes_nothing() -> None:
    rows = file_with_doubles()
    found = {(one.crm_id, one.other_crm_id) for one in probable_pairs(told(rows), 0.95)}
    random.Random(1).shuffle(rows)
    again = probable_pairs(told(rows), 0.95)
    assert {(one.crm_id, one.other_crm_id) for one in again} == found
    assert [one.probability for one in again] == sorted(one.probability for one in again)[::-1]


def test_two_who_live_together_are_two_unless_born_on_one_day() -> None:
    rows = customers(600, random.Random(5))
    partner = {**rows[0], "crm_id": "K-partner", "given_name": "Zacharias"}
    for born, found in (("1999-09-09", 0), ("", 0), (rows[0]["birth_on"], 1)):
        pairs = probable_pairs(told([*rows, {**partner, "birth_on": born}]), 0.5)
        beside = [pair for pair in pairs if "K-partner" in (pair.crm_id, pair.other_crm_id)]
        assert len(beside) == found, (born, beside)
        assert all(pair.unlike == ["given_name"] for pair in beside)


def test_a_column_that_nobody_has_filled_says_nothing() -> None:
    rows = [{**row, "phone": "", "email": ""} for row in file_with_doubles()]
    pairs = probable_pairs(told(rows), 0.95)
    assert len(pairs) >= 0.9 * TWICE
    assert not any({"phone", "email"} & {*pair.alike, *pair.unlike} for pair in pairs)


def test_of_few_customers_nothing_is_said() -> None:
    row = customers(1, random.Random(1))[0]
    assert probable_pairs(told([row, {**row, "crm_id": "K-again"}]), 0.5) == []
