"""Rules files that change while the collector runs."""

from pathlib import Path

import msgspec

from collector.reloading import Reloading
from tests.flow.copies import ROOT
from tests.flow.door import BROWSER, EVENT, SITES, door

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
