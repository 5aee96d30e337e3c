"""Where an event comes from, over HTTP: known while the address is whole, kept where that stays."""

from pathlib import Path
from typing import Any

import pytest

from tests.flow.door import BROWSER, EVENT, SERVER, door
from tests.unit.collector.test_places import GEO, written

IN_ENGLAND, IN_CALIFORNIA = "100.65.0.77", "100.65.1.77"


async def placed(tmp_path: Path, event: dict[str, Any], key: str, **headers: str) -> list[str]:
    """Give the places of what is on the log after an event was posted."""
    settings: dict[str, Any] = {
        "trusted_proxies": ("127.0.0.0/8",),
        "country_header": "CF-IPCountry",
        "country_file": str(written(tmp_path / "geo.mmdb", GEO)),
    }
    async with door(tmp_path, **settings) as front:
        assert (await front.post(event, key, **headers)).status == 202
        records = await front.events()
        assert all(not record.ip or record.ip.endswith(".0") for record in records)
        return [record.place for record in records]


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ({"X_Forwarded_For": IN_ENGLAND}, "GB-ENG"),
        ({"X_Forwarded_For": IN_ENGLAND, "CF_IPCountry": "GB"}, "GB-ENG"),
        ({"X_Forwarded_For": IN_ENGLAND, "CF_IPCountry": "fr"}, "FR"),  # it saw the visitor
        ({"X_Forwarded_For": IN_ENGLAND, "CF_IPCountry": "XX"}, "GB-ENG"),
        ({"CF_IPCountry": "FR"}, "FR"),
        ({}, ""),
    ],
)
async def test_the_visitors_place_is_kept(
    tmp_path: Path, headers: dict[str, str], place: str
) -> None:
    assert await placed(tmp_path, EVENT, BROWSER, **headers) == [place]


async def test_a_server_tells_the_visitors_address_and_its_own_says_nothing(
    tmp_path: Path,
) -> None:
    told = EVENT | {"occurred_at": "2026-11-22T09:59:00Z"}
    theirs = {"X_Forwarded_For": IN_ENGLAND, "CF_IPCountry": "GB"}
    assert await placed(tmp_path, told | {"ip": IN_CALIFORNIA}, SERVER, **theirs) == ["US-CA"]
    assert await placed(tmp_path, told | {"event_id": "e-2"}, SERVER, **theirs) == ["US-CA", ""]


@pytest.mark.parametrize("key", [BROWSER, SERVER])
async def test_it_goes_where_the_address_goes(tmp_path: Path, key: str) -> None:
    order: dict[str, Any] = {
        "name": "purchase",
        "event_id": "e-1",
        "occurred_at": "2026-11-22T09:59:00Z",
        "commerce": {"transaction_id": "T-1"},
        **({"ip": IN_CALIFORNIA} if key == SERVER else {}),
    }
    assert await placed(tmp_path, order, key, X_Forwarded_For=IN_ENGLAND) == [""]
