"""Persons, case by case, in every order of arrival."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from spine.store import Store
from tests.flow.happenings import Happening, records
from tests.flow.passage import process

CASES = json.loads(Path(__file__).with_name("identity_merge_cases.json").read_text())["cases"]
NOON_MS = 1_711_800_000_000


def _told(site: str, events: list[dict[str, Any]]) -> list[Happening]:
    return [
        Happening(
            site,
            "login",
            f"e{number}",
            NOON_MS + number * 1000,
            anonymous_id=event.get("anonymous_id"),
            user_id=event.get("user_id"),
            stripped=not event.get("linked", True),
        )
        for number, event in enumerate(events)
    ]


async def _persons(store: Store, site: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for identifier, person in await store.select(
        "SELECT identifier_type || ':' || identifier, person_id FROM v_persons"
        " WHERE site = {site:String}",
        {"site": site},
    ):
        found.setdefault(person, set()).add(identifier)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
async def test_persons_are_the_same_in_every_order_of_arrival(
    store: Store, case: dict[str, Any]
) -> None:
    expected = sorted(sorted(person) for person in case["persons"])
    orders = list(permutations(range(len(case["events"]))))
    for order in {orders[0], orders[len(orders) // 2], orders[-1]}:
        site = f"s{uuid4().hex[:12]}"
        told = _told(site, case["events"])
        for offset, number in enumerate(order):
            await process(store, f"log-{site}", records([told[number]], first_offset=offset))
        found = await _persons(store, site)
        assert sorted(sorted(person) for person in found.values()) == expected


async def test_of_users_at_one_instant_the_first_has_what_was_before_the_last_what_comes(
    store: Store, site: str
) -> None:
    told = [
        Happening(site, "login", f"e{n}", NOON_MS, anonymous_id="a", user_id=f"u{n}")
        for n in range(6)
    ]
    await process(store, f"log-{site}", records(told))
    first, *_, last = sorted(told, key=lambda happening: happening.identity)
    rows = await store.select(
        "SELECT person_id, toUnixTimestamp64Milli(valid_from), toUnixTimestamp64Milli(valid_to)"
        " FROM v_persons WHERE site = {site:String} AND identifier = 'a' ORDER BY valid_to",
        {"site": site},
    )
    assert rows == [(first.user, None, NOON_MS), (last.user, NOON_MS, None)]


async def test_a_person_keeps_its_id_when_devices_join_and_leave(store: Store, site: str) -> None:
    first = Happening(site, "login", "e1", NOON_MS, anonymous_id="a1", user_id="u1")
    await process(store, f"log-{site}", records([first]))
    before = await _persons(store, site)
    second = first._replace(event_id="e2", anonymous_id="a2")
    earlier = first._replace(event_id="e0", user_id="u0", at_ms=NOON_MS - 1)
    await process(store, f"log-{site}", records([second, earlier], first_offset=1))
    after = await _persons(store, site)
    (person,) = before
    assert after[person] == {"user_id:u1", "anonymous_id:a1", "anonymous_id:a2"}
    assert {"user_id:u0", "anonymous_id:a1"} in after.values()
    assert person == first.user


async def test_every_event_of_a_device_shows_its_person(store: Store, site: str) -> None:
    told = [
        Happening(site, "page_view", "e1", NOON_MS, anonymous_id="a1"),
        Happening(site, "login", "e2", NOON_MS + 1, anonymous_id="a1", user_id="u1"),
        Happening(site, "page_view", "e3", NOON_MS + 2, "server", user_id="u1", path=None),
        Happening(site, "page_view", "e4", NOON_MS + 3, "server", path=None),
    ]
    await process(store, f"log-{site}", records(told))
    rows = await store.select(
        "SELECT event_id, person_id FROM v_events WHERE site = {site:String} ORDER BY event_id",
        {"site": site},
    )
    user = told[1].user
    assert rows == [("e1", user), ("e2", user), ("e3", user), ("e4", None)]
