"""The real input is what the flow tests take it for; everything here is plain Python."""

from collections import defaultdict
from decimal import Decimal

import orjson
import pytest

from tests.flow import ecom


@pytest.fixture(scope="module")
def rows() -> list[ecom.Row]:
    return ecom.rows()


def test_the_file_has_the_published_figures(rows: list[ecom.Row]) -> None:
    figures = ecom.figures(rows)
    assert figures.events == 31_106
    assert figures.orders == 470
    assert figures.sessions == 3_605
    assert figures.visitors == 796
    assert figures.persons == 600
    assert figures.revenue == Decimal("113232.45")
    assert sum(figures.sessions_by_channel.values()) == 3_605


@pytest.mark.parametrize("by_platform", [True, False])
def test_thirty_minutes_give_exactly_the_files_own_sessions(
    rows: list[ecom.Row], by_platform: bool
) -> None:
    own: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        own[row.session_id].add(row.number)
    assert ecom.sessions_by_gap(rows, by_platform=by_platform) == set(map(frozenset, own.values()))


def test_a_session_has_one_acquisition_channel(rows: list[ecom.Row]) -> None:
    channels = {(row.session_id, row.acquisition_channel) for row in rows}
    assert len(channels) == 3_605


def test_the_traffic_holds_every_row_and_one_in_twenty_again(rows: list[ecom.Row]) -> None:
    lines = ecom.traffic(rows)
    assert len(lines) == 31_106 + 1_555
    assert len(set(lines)) == 31_106
    assert lines == ecom.traffic(rows)
    assert [orjson.loads(line)["event_id"] for line in lines[:5]] != ["0", "1", "2", "3", "4"]


def test_every_visitor_is_named_once_at_least_and_never_by_two_names(rows: list[ecom.Row]) -> None:
    names = defaultdict(set)
    for event in ecom.events(rows):
        names[event["anonymous_id"]].add(event.get("user_id"))
    assert all(len(found - {None}) == 1 for found in names.values())
    assert sum(None in found for found in names.values()) > 700
    assert len({name for found in names.values() for name in found - {None}}) == 600


def test_the_orders_of_the_traffic_add_up_to_the_revenue(rows: list[ecom.Row]) -> None:
    orders = {}
    for line in ecom.traffic(rows):
        event = orjson.loads(line)
        if event["name"] == "purchase":
            orders[event["commerce"]["transaction_id"]] = Decimal(event["commerce"]["value"])
    assert len(orders) == 470
    assert sum(orders.values()) == ecom.figures(rows).revenue
