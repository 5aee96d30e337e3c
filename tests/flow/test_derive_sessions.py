"""Sessions, case by case."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spine.store import Store
from tests.flow.happenings import Happening, Order, records
from tests.flow.passage import enter_site, process

CASES = json.loads(Path(__file__).with_name("sessionization_cases.json").read_text())["cases"]
NOON_MS = 1_711_800_000_000


def told_in(site: str, case: dict[str, Any]) -> list[Happening]:
    campaigns = case.get("campaign", [])
    told = []
    for number, at_s in enumerate(case["t"]):
        is_view = number < case.get("pageviews", len(case["t"]))
        campaign = campaigns[number] if number < len(campaigns) else None
        told.append(
            Happening(
                site,
                "page_view" if is_view else "generate_lead" if case.get("key_event") else "scroll",
                f"e{number}",
                NOON_MS + round(at_s * 1000),
                anonymous_id="a",
                campaign=tuple(campaign.split("/")) if campaign else None,
            )
        )
    return told


async def _sessions(store: Store, site: str) -> list[tuple[Any, ...]]:
    return await store.select(
        "SELECT duration_s, purchases, engaged, source || '/' || medium, session_id FROM v_sessions"
        " WHERE site = {site:String} ORDER BY started_at",
        {"site": site},
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
async def test_sessions_are_cut_as_ga4_cuts_them(
    store: Store, site: str, case: dict[str, Any]
) -> None:
    await enter_site(store, site)
    told = told_in(site, case)
    await process(store, f"log-{site}", records(told))
    if "late" in case:
        assert len(await _sessions(store, site)) == case["ga4_before"]
        late = told[0]._replace(event_id="late", at_ms=NOON_MS + case["late"] * 1000)
        await process(store, f"log-{site}", records([late], first_offset=100))
    if "server_purchase" in case:
        purchase = Happening(
            site,
            "purchase",
            "p",
            NOON_MS + round(case["server_purchase"] * 1000),
            "server",
            anonymous_id="a",
            path=None,
            order=Order("t", "10"),
        )
        await process(store, f"log-{site}", records([purchase], first_offset=200))
    found = await _sessions(store, site)
    assert len(found) == case["ga4"]
    if "duration_s" in case:
        assert found[0][0] == case["duration_s"]
    if "purchases" in case:
        assert found[0][1] == case["purchases"]
        ((session_id,),) = await store.select(
            "SELECT session_id FROM v_orders WHERE site = {site:String}", {"site": site}
        )
        assert session_id == (found[0][4] if case["purchases"] else None)
    if "engaged" in case:
        assert bool(found[0][2]) is case["engaged"]
    if "touch" in case:
        assert found[0][3] == case["touch"]


async def test_a_server_event_opens_a_session_only_with_a_device_and_a_page(
    store: Store, site: str
) -> None:
    told = [
        Happening(site, "page_view", "e1", NOON_MS, "server", "a1", None, "/"),
        Happening(site, "page_view", "e2", NOON_MS, "server", "a2", None, None),
        Happening(site, "page_view", "e3", NOON_MS, "server", None, "u1", "/"),
        Happening(site, "page_view", "e4", NOON_MS, "server", None, None, "/"),
        Happening(site, "page_view", "e5", NOON_MS, "browser", None, "u2", "/"),
    ]
    await process(store, f"log-{site}", records(told))
    visitors = await store.select(
        "SELECT visitor_id FROM v_sessions WHERE site = {site:String}", {"site": site}
    )
    assert {row[0] for row in visitors} == {told[0].visitor, told[4].visitor}


async def test_what_nobody_did_joins_no_session(store: Store, site: str) -> None:
    """An order without a visitor lies at the digest of zeros, and so does a forged visitor."""
    stripped = Happening(
        site, "purchase", "p", NOON_MS + 1000, path=None, order=Order("t", "10"), stripped=True
    )
    forged = Happening(site, "page_view", "e", NOON_MS, anonymous_id="a")
    (record,) = records([forged])
    zeroed = msgspec.structs.replace(
        record, value=record.value.replace(str(forged.visitor).encode(), b"0" * 32), offset=1
    )
    await process(store, f"log-{site}", [*records([stripped]), zeroed])
    assert await _sessions(store, site) == []
    assert await store.select(
        "SELECT visitor_id, person_id, session_id FROM v_orders WHERE site = {site:String}",
        {"site": site},
    ) == [(None, None, None)]
