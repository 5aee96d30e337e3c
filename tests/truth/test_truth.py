"""A shop whose truth is known comes out of Beleg as it was: sessions, money, persons."""

from decimal import Decimal

import pytest

from tests.flow.houses import house_of
from tests.truth.__main__ import told_to
from tests.truth.report import report
from tests.truth.truth import Likeness, likeness, truth


@pytest.mark.parametrize("mode", ["embedded", "kafka"])
def test_every_figure_is_true(
    mode: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    with house_of(mode, tmp_path_factory.mktemp("truth"), request) as house:
        happened, figures = told_to(house, people=150, seed=7)
        assert [one for one in figures if not one.holds] == []
        # Controls: the report sees what is wrong.
        true = truth(happened)
        number, order = next(iter(true.orders.items()))
        wrong = true._replace(
            sessions=true.sessions[1:],
            orders={**true.orders, number: order._replace(gross=order.gross + Decimal("0.01"))},
            persons=dict.fromkeys(true.persons, "somebody else"),
            evidence=dict.fromkeys(true.evidence, "all the same"),
        )
        seen = {one.what for one in report(house.ask, wrong) if not one.holds}
        assert {
            "sessions",
            "orders with the same amounts",
            "gross of all orders, EUR",
            "recall of what evidence proves",
            "v_kpi_daily: sessions",
            "v_kpi_daily: gross",
        } <= seen


def test_likeness_is_of_pairs() -> None:
    persons = {"1": "a", "2": "a", "3": "a", "4": "b"}
    assert likeness({"1": "x", "2": "x", "3": "x", "4": "y"}, persons, persons) == (1.0, 1.0)
    # All put together: of six pairs three are right, and all that is provable is there.
    assert likeness(dict.fromkeys(persons, "x"), persons, persons) == Likeness(0.5, 1.0)
    # Nobody put together: nothing is wrong, and nothing of three pairs is found.
    assert likeness({each: each for each in persons}, persons, persons) == Likeness(1.0, 0.0)
    # What proves nothing is not missed.
    unproven = {**persons, "3": ""}
    assert likeness({"1": "x", "2": "x", "3": "y", "4": "z"}, persons, unproven) == (1.0, 1.0)
