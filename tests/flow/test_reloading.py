"""Rules files that change while the collector runs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import msgspec
import pytest

from collector.reloading import Reloading
from tests.flow.copies import ROOT
from tests.flow.door import BROWSER, EVENT, SITES, door
from tests.flow.houses import house_of

EU = (ROOT / "consent_rules/eu.toml").read_text("utf-8")


async def test_rules_that_change_are_taken_and_broken_ones_are_not(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(EU, "utf-8")
    site = msgspec.structs.replace(SITES["shop"], consent=str(file))
    async with door(tmp_path, sites={"shop": site}) as front:
        reloading = Reloading(front.sources, {"shop": site}, front.metrics)

        async def ruled() -> str:
            answer = await front.post({**EVENT, "event_id": None}, BROWSER)
            assert answer.status == 202
            records = await front.events()
            return records[-1].stamp.rule if answer.json["accepted"] else "none"

        def stale() -> float:
            return front.counted("consent_rules_stale", site="shop")

        await reloading.look()
        await reloading.look()
        assert (await ruled(), stale()) == ("consented", 0)
        # A change is taken at the second look that finds it the same.
        file.write_text(EU.replace('id = "consented"', 'id = "agreed"'), "utf-8")
        await reloading.look()
        assert await ruled() == "consented"
        await reloading.look()
        assert (await ruled(), stale()) == ("agreed", 0)
        # Cut off, contradictory, gone: the last good ones decide, and it is said.
        for text in (EU[:-200], EU.replace('"strip"', '"keep"'), "", None):
            if text is None:
                file.unlink()
            else:
                file.write_text(text, "utf-8")
            await reloading.look()
            await reloading.look()
            assert (await ruled(), stale()) == ("agreed", 1)
        file.write_text(EU.replace('needs = ["analytics"]', 'needs = ["functional"]'), "utf-8")
        await reloading.look()
        await reloading.look()
        assert (await ruled(), stale()) == ("none", 0)


async def test_the_source_of_a_key_keeps_its_quota_when_rules_change(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(EU, "utf-8")
    site = msgspec.structs.replace(SITES["shop"], consent=str(file), events_per_second=5)
    async with door(tmp_path, sites={"shop": site}) as front:
        before = front.sources.find(BROWSER)
        reloading = Reloading(front.sources, {"shop": site}, front.metrics)
        file.write_text(EU + "# another word\n", "utf-8")
        await reloading.look()
        await reloading.look()
        after = front.sources.find(BROWSER)
        assert before is not None
        assert after is not None
        assert after.quota is before.quota
        assert after.regimes.own.version != before.regimes.own.version


async def test_a_running_house_takes_changed_rules_and_no_broken_ones(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file, key = tmp_path / "own.toml", "sk_club_12345678"
    file.write_text(EU, "utf-8")
    club = f'sites.club = {{ server_keys = ["{key}"], consent = "{file}" }}'
    with house_of("embedded", tmp_path, request, club) as house:
        metrics = f"http://{house.addresses['run admin']}/metrics"
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:

            async def accepted() -> bool:
                event = EVENT | {"occurred_at": "2026-11-20T10:00:00Z"}
                async with session.post(f"{house.url}/v1/events", json=event) as answer:
                    return bool((await answer.json())["accepted"])

            async def stale() -> bool:
                async with session.get(metrics) as answer:
                    return 'beleg_consent_rules_stale{site="club"} 1.0' in await answer.text()

            async def becomes(what: bool, asked: Callable[[], Awaitable[bool]]) -> bool:
                until_s = time.monotonic() + 20
                while await asked() is not what and time.monotonic() < until_s:
                    await asyncio.sleep(0.2)
                return await asked() is what

            assert (await accepted(), await stale()) == (True, False)
            file.write_text(EU.replace('needs = ["analytics"]', 'needs = ["functional"]'), "utf-8")
            assert await becomes(False, accepted)
            file.write_text(EU[:-100], "utf-8")
            assert await becomes(True, stale)
            assert not await accepted()
            file.write_text(EU, "utf-8")
            assert await becomes(True, accepted)
            assert not await stale()
        lines = "".join(house.running["run"].lines)
        assert "rules are broken, the last good ones decide" in lines
        assert str(file) in lines
