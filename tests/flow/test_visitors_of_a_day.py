"""Who is told by an id of the day has sessions and orders, and is nobody else, nor for longer."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.canary import contents
from tests.faults.oracle import settle
from tests.flow.clock import Clock, library
from tests.flow.houses import BROWSER, BROWSER_KEY, ORIGIN, House, house_of

EXTRA = """
erasure.key = "a secret of more than thirty-two characters"
collector.trusted_proxies = ["127.0.0.1/32"]
"""
ONE, OTHER = "203.0.113.77", "198.51.100.9"
HOUR_S = 3_600


@pytest.fixture(params=["embedded", "kafka"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with house_of(request.param, tmp_path, request, EXTRA) as opened:
        for process in opened.running.values():
            assert process.end() == 0
        with opened.config.open("a") as config:
            config.write('consent = "fr_cookieless"\n')
        for role in list(opened.running):
            opened.start(role)
        yield opened


def tell(house: House, address: str, *events: dict[str, Any]) -> None:
    async def go() -> bool:
        headers = {
            "Authorization": f"Bearer {BROWSER_KEY}",
            "Origin": ORIGIN,
            "User-Agent": BROWSER,
            "X-Forwarded-For": address,
        }
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{house.url}/v1/events", json={"events": events}) as answer,
        ):
            told = await answer.json()
            assert answer.status == 503 or told["accepted"] == len(events), told
            return answer.status == 202

    until = time.monotonic() + 60
    while not asyncio.run(go()):  # a slow machine reads the control log late
        assert time.monotonic() < until
        time.sleep(0.5)
    settle(house, next(role for role in ("run", "process") if role in house.running))


def view(page: str) -> dict[str, Any]:
    return {"name": "page_view", "page": {"url": f"{ORIGIN}/{page}"}}


def order(number: int) -> dict[str, Any]:
    commerce = {"transaction_id": f"T-{number}", "currency": "EUR", "value": 10}
    return {"name": "purchase", "page": {"url": f"{ORIGIN}/thanks"}, "commerce": commerce}


def test_they_have_sessions_with_orders_and_make_no_edge_no_person_and_no_new_customer(
    house: House,
) -> None:
    consent = {"purposes": {"analytics": True}}
    tell(house, ONE, view("a"), view("b"), order(1))
    tell(house, OTHER, view("a"))
    tell(house, ONE, *(one | {"anonymous_id": "a-1", "user_id": "u-1", "consent": consent}
                       for one in (view("c"), order(2))))  # fmt: skip
    assert house.ask(
        "SELECT page_views, purchases, visitor_id LIKE '%6f665f646179' FROM v_sessions"
        " ORDER BY page_views, purchases"
    ) == [(1, 0, 1), (1, 1, 0), (2, 1, 1)]
    assert house.ask("SELECT uniqExact(visitor_id) FROM v_events") == [(3,)]
    assert house.ask("SELECT uniqExact(anonymous_key) FROM identity_edges") == [(1,)]
    assert house.ask("SELECT identifier FROM v_persons ORDER BY 1") == [("a-1",), ("u-1",)]
    assert house.ask("SELECT uniqExact(person_id) FROM v_events WHERE user_id = 'u-1'") == [(1,)]
    assert house.ask("SELECT sum(orders), sum(new_customers) FROM v_kpi_daily") == [(2, 1)]
    _ = house.ledger_at_rest()
    assert house.run("ledger").returncode == 0


def test_two_days_later_nothing_of_the_salt_is_left_and_who_comes_again_is_somebody_else(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    clock = Clock(library(), tmp_path / "clock")
    with house_of("embedded", tmp_path, request, EXTRA) as house:
        assert house.running["run"].end() == 0
        with house.config.open("a") as config:
            config.write('consent = "fr_cookieless"\n')
        house.start("run", clock.env)
        tell(house, ONE, view("a"))
        file = tmp_path / "data" / "salts.ndjson"
        half = json.loads(file.read_text().splitlines()[0])["half"]
        assert found_under(tmp_path, half)
        clock.put(26 * HOUR_S, house)
        until = time.monotonic() + 60
        while found_under(tmp_path, half):  # it looks every second
            assert time.monotonic() < until
            time.sleep(0.2)
        tell(house, ONE, view("b"))
        assert house.ask("SELECT uniqExact(visitor_id), count() FROM v_sessions") == [(2, 2)]
        assert not found_under(tmp_path, half)
        assert house.running["run"].end() == 0


def found_under(directory: Path, half: str) -> list[str]:
    forms = half.encode(), bytes.fromhex(half)
    return [
        str(path) for path, content in contents(directory) if any(form in content for form in forms)
    ]
