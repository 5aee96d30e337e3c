"""Rejected records land once the cause is mended, once, and under the rules of that day."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from beleg.commands import opened_log
from spine.log import Record
from spine.settings_file import load
from tests.faults.oracle import settle
from tests.flow.copies import ROOT, Copy
from tests.flow.houses import ORIGIN, House, house_of
from tests.flow.test_trouble import POISON, poison

KEYS = {"shop": "sk_flow_12345678", "club": "sk_club_12345678"}
CANARY = "canary-5b1e77"
NOW = "2026-11-20T10:00:00Z"
VIEWS = ("v_events", "v_sessions", "v_orders", "v_conversions", "v_persons", "v_kpi_daily")


@pytest.fixture(params=["embedded", "kafka"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A shop, and a club whose consent rules are in a file of its own."""
    rules = tmp_path / "club.toml"
    rules.write_text((ROOT / "consent_rules/eu.toml").read_text("utf-8"), "utf-8")
    club = (
        f'sites.club = {{ server_keys = ["{KEYS["club"]}"], consent = "{rules}",'
        ' currency = "EUR", timezone = "Europe/Berlin" }'
    )
    with house_of(request.param, tmp_path, request, club) as opened:
        yield opened


def happened(site: str, number: int, name: str, **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"{site}-{name}-{number}",
        "name": name,
        "occurred_at": NOW,
        "anonymous_id": f"{CANARY}-{number}",
        "page": {"url": f"{ORIGIN}/?u={CANARY}"},
        "consent": {"purposes": {"analytics": True}},
        **more,
    }


def bought(site: str, number: int) -> dict[str, Any]:
    money = {"transaction_id": f"{site}-{number}", "currency": "EUR", "value": 10}
    return happened(site, number, "purchase", commerce=money)


async def post(house: House, site: str, *events: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {KEYS[site]}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{house.url}/v1/events", json={"events": events}) as answer,
    ):
        assert (await answer.json())["accepted"] == len(events)


async def on_the_log(house: House) -> list[Record]:
    settings = load(house.config, {})
    async with opened_log(settings) as log:
        bounds = await log.bounds()
        return [
            record
            for partition, bound in bounds.items()
            for record in await log.read(partition, 0, bound.end)
        ]


class Mode:
    """Who reads what today's collector has written."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._is_embedded = "run" in house.running
        self._processor = "run" if self._is_embedded else "process"

    async def collect_only(self) -> None:
        """Let nobody read what is posted from now on."""
        await self.end()
        if self._is_embedded:  # reads, but gathers its batch for so long
            env = {"BELEG__PROCESSORS__BATCH_WAIT_MS": "60000"}
            await asyncio.to_thread(self._house.start, "run", env)

    async def end(self) -> None:
        assert await asyncio.to_thread(self._house.running[self._processor].end) == 0

    async def start(self, program: Copy | None = None) -> None:
        env = program.env if program else {}
        await asyncio.to_thread(self._house.running[self._processor].end, signal.SIGKILL)
        await asyncio.to_thread(self._house.start, self._processor, env)

    async def settle(self) -> None:
        await asyncio.to_thread(settle, self._house, self._processor)


def shown(house: House) -> dict[str, list[tuple[Any, ...]]]:
    return {view: house.ask(f"SELECT * FROM {view} ORDER BY ALL") for view in VIEWS}


def older_program(directory: Path) -> Copy:
    """A program that does not know today's records of events."""
    copy = Copy(directory)
    copy.changed("spine/record.py", 'tag="event.1"', 'tag="event.0"')
    return copy.changed("spine/record.py", "int(known[2]) > 1", "int(known[2]) > 0")


async def test_rejected_records_land_once_when_an_older_processor_is_mended(
    house: House, tmp_path: Path
) -> None:
    mode = Mode(house)
    await mode.collect_only()
    await post(house, "shop", happened("shop", 1, "page_view"), bought("shop", 1))
    await poison(house)
    await post(house, "shop", bought("shop", 2), bought("shop", 1))
    await post(house, "club", happened("club", 3, "page_view"), bought("club", 3))
    await mode.start(older_program(tmp_path / "older"))
    await asyncio.to_thread(house.wait_until, "SELECT count() FROM rejects", 6 + len(POISON))
    assert house.ask("SELECT count() FROM v_events") == [(0,)]
    await mode.end()
    await mode.start()

    # The club's rules ask for more meanwhile: what was kept whole is stripped or dropped now.
    rules = tmp_path / "club.toml"
    text = rules.read_text("utf-8").replace('needs = ["analytics"]', 'needs = ["cross_device"]')
    rules.write_text(text.replace('version = "', 'version = "stricter-'), "utf-8")

    before = await on_the_log(house)
    died = house.run("replay", check=False, env={"BELEG_FAILPOINT": "before the replay's append"})
    assert died.returncode == -signal.SIGKILL
    assert await on_the_log(house) == before
    # Killed when records are on the log: they land, and the next replay leaves them out.
    died = house.run("replay", check=False, env={"BELEG_FAILPOINT": "after the replay's append"})
    assert died.returncode == -signal.SIGKILL
    assert len(await on_the_log(house)) > len(before)
    await mode.settle()
    ended = house.run("replay", check=False)
    assert (ended.returncode, f"{len(POISON)} left" in ended.stdout) == (1, True)
    await mode.settle()

    after = await on_the_log(house)
    assert len(after) == len(before) + 5
    numbers = shown(house)
    again = house.run("replay", check=False)
    assert f"0 appended, 5 landed already, 1 dropped by consent or erasure, {len(POISON)} left" in (
        again.stdout
    )
    assert (again.returncode, "unreadable_record: 4" in again.stdout) == (1, True)
    await mode.settle()
    assert await on_the_log(house) == after
    assert shown(house) == numbers
    assert house.ask("SELECT fate, count() FROM fates FINAL GROUP BY fate ORDER BY fate") == [
        ("duplicate", 1), ("rejected", 6 + len(POISON)), ("stored", 4),
    ]  # fmt: skip
    assert house.ask("SELECT transaction_id, net FROM v_orders ORDER BY ALL") == [
        ("club-3", 10), ("shop-1", 10), ("shop-2", 10),
    ]  # fmt: skip

    # What the club's rules forbid by now is not on the log again, and the shop's is as it was.
    again_on_log = [record.value for record in after if record not in before]
    assert {value for value in again_on_log if b"shop" in value} == {
        record.value for record in before if b'"site":"shop"' in record.value
    }
    (stripped,) = [value for value in again_on_log if b'"site":"club"' in value]
    assert CANARY.encode() not in stripped
    assert b'"version":"club@stricter-' in stripped
