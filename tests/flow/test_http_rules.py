"""Rules of the visitor's country, over HTTP."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.flow.door import BROWSER, SERVER, SITES, door
from tests.unit.collector.test_places import GEO, written

UNDECIDED: dict[str, Any] = {"name": "page_view", "anonymous_id": "device-1"}
ABROAD = {
    "shop": msgspec.structs.replace(SITES["shop"], regions={"FR": "fr_exempt", "US": "us"}),
}


@pytest.mark.parametrize(
    ("headers", "key", "rule"),
    [
        ([], BROWSER, None),
        ([("CF-IPCountry", "FR")], BROWSER, "exempt"),
        ([("cf-ipcountry", " us ")], BROWSER, "measured"),
        ([("CF-IPCountry", "DE")], BROWSER, None),
        ([("CF-IPCountry", "XX")], BROWSER, None),
        ([("CF-IPCountry", "US-CA")], BROWSER, None),
        ([("CF-IPCountry", "US"), ("CF-IPCountry", "DE")], BROWSER, None),
        ([("CF-IPCountry", "US")], SERVER, None),  # of the server, not of the visitor
        ([("X-Country", "US")], BROWSER, None),
    ],
)
async def test_the_country_that_a_trusted_proxy_tells_chooses_the_rules(
    tmp_path: Path, headers: list[tuple[str, str]], key: str, rule: str | None
) -> None:
    event = {**UNDECIDED, "event_id": "e-1", "occurred_at": "2026-11-22T09:59:00Z"}
    settings: dict[str, Any] = {
        "trusted_proxies": ("127.0.0.0/8",),
        "country_header": "CF-IPCountry",
    }
    async with door(tmp_path, sites=ABROAD, **settings) as front:
        sent = [("Authorization", f"Bearer {key}"), *headers]
        async with front.client.post(front.url, json=event, headers=sent) as answer:
            (result,) = (await answer.json())["results"]
        assert result["status"] == ("dropped" if rule is None else "accepted")
        assert [record.stamp.rule for record in await front.events()] == ([rule] if rule else [])


@pytest.mark.parametrize(
    ("headers", "rule"),
    [
        ([("X-Forwarded-For", "203.0.113.7")], "exempt"),
        ([("X-Forwarded-For", "203.0.113.200")], None),  # of one network, in another country
        ([("X-Forwarded-For", "198.51.100.1, 203.0.113.7")], "exempt"),
        ([("X-Forwarded-For", "198.51.100.1")], "measured"),
        ([("X-Forwarded-For", "198.51.100.1"), ("CF-IPCountry", "FR")], "exempt"),
        ([("X-Forwarded-For", "198.51.100.1"), ("CF-IPCountry", "DE")], None),
        ([("X-Forwarded-For", "9.9.9.9")], None),
        ([], None),
    ],
)
async def test_where_no_proxy_tells_the_whole_address_chooses_the_rules(
    tmp_path: Path, headers: list[tuple[str, str]], rule: str | None
) -> None:
    settings: dict[str, Any] = {
        "trusted_proxies": ("127.0.0.0/8",),
        "country_header": "CF-IPCountry",
        "country_file": str(written(tmp_path / "geo.mmdb", GEO)),
    }
    event = {**UNDECIDED, "event_id": "e-1", "occurred_at": "2026-11-22T09:59:00Z"}
    async with door(tmp_path, sites=ABROAD, **settings) as front:
        sent = [("Authorization", f"Bearer {BROWSER}"), *headers]
        async with front.client.post(front.url, json=event, headers=sent) as answer:
            assert answer.status == 202
        records = await front.events()
        assert [record.stamp.rule for record in records] == ([rule] if rule else [])
        assert not [record for record in records if record.ip not in ("", "198.51.100.0")]


async def test_nobody_else_may_say_where_he_is(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "trusted_proxies": ("10.0.0.0/8",),
        "country_header": "CF-IPCountry",
    }
    async with door(tmp_path, sites=ABROAD, **settings) as front:
        answer = await front.post(UNDECIDED, BROWSER, CF_IPCountry="US")
        assert answer.codes == ["no_consent"]


async def test_of_an_exempt_visit_nothing_but_the_named_fields_is_on_the_log(
    tmp_path: Path,
) -> None:
    canary = "canary-5b1e77"
    settings: dict[str, Any] = {
        "trusted_proxies": ("127.0.0.0/8",),
        "country_header": "CF-IPCountry",
    }
    event = {
        **UNDECIDED,
        "user_id": canary,
        "identifiers": {"crm_id": canary},
        "properties": {canary: canary},
        "page": {"url": f"https://shop.example/a?u={canary}", "title": canary},
    }
    async with door(tmp_path, sites=ABROAD, **settings) as front:
        agent = f"Mozilla/5.0 ({canary}; Linux) Chrome/124.0 Safari/537.36"
        answer = await front.post(event, BROWSER, CF_IPCountry="FR", User_Agent=agent)
        assert answer.status == 202
        (record,) = await front.events()
        assert (record.ip, record.place) == ("", "")
        assert record.user_agent == "Chrome/124 (Linux)"
        assert record.event.page is not None
        assert record.event.page.url == "https://shop.example/a"
        assert record.event.anonymous_id == "device-1"
        (value,) = [each.value for each in await front.log.read(0, 0, 10)]
        assert canary.encode() not in value
