"""Nothing that consent forbids is ever written: log, store, rejects, log lines (P4)."""

import asyncio
import gzip
import json
import re
import secrets
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from spine.settings_file import load
from tests.flow.houses import BROWSER_KEY, ORIGIN, SERVER_KEY, House, house_of, kafka_house
from tests.kafka_broker import Broker


@pytest.fixture(params=["embedded", "kafka"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    with house_of(request.param, tmp_path, request) as opened:
        yield opened


class Canaries:
    """Values that must not be found again, each of its own: random, so that no compression of the
    LZ4 kind can hide one."""

    def __init__(self) -> None:
        self.values: list[str] = []

    def sing(self) -> str:
        self.values.append(secrets.token_hex(12))
        return self.values[-1]


def forbidden_event(canaries: Canaries, number: int) -> dict[str, Any]:
    """An event without consent; its names and ids may not be kept, whatever is wrong with it."""
    event: dict[str, Any] = {
        "event_id": f"no-{number}" if number % 4 else canaries.sing(),
        "name": "purchase" if number % 4 == 1 else "page_view",
        "occurred_at": "2026-01-01T00:00:00Z",
        "anonymous_id": canaries.sing(),
        "user_id": canaries.sing(),
        "identifiers": {"crm_id": canaries.sing()},
        "page": {"url": f"{ORIGIN}/?q={canaries.sing()}", "referrer": canaries.sing()},
        "properties": {"note": canaries.sing(), canaries.sing(): 1},
        "user_agent": canaries.sing(),
        "ip": "198.51.100.77",
    }
    if number % 4 == 1:
        event["commerce"] = {
            "transaction_id": f"t-{number}",
            "value": 5,
            "coupon": canaries.sing(),
            "items": [{"item_id": "i", "item_name": canaries.sing(), "price": 5}],
        }
    if number % 3 == 1:
        event["consent"] = {"purposes": {"analytics": False}, "tcf": canaries.sing()}
    if number % 3 == 2:
        event["consent"] = [canaries.sing()]
    if number % 8 == 3:
        event[canaries.sing()] = canaries.sing()
    return event


def clicked_event(canaries: Canaries, number: int) -> dict[str, Any]:
    """An event with consent for statistics only: its click ids may not be kept."""
    return {
        "event_id": f"yes-{number}",
        "name": "page_view",
        "occurred_at": "2026-01-01T00:00:00Z",
        "anonymous_id": f"device-{number}",
        "page": {
            "url": f"{ORIGIN}/?gclid={canaries.sing()}&a=1#fbclid={canaries.sing()}",
            "referrer": f"https://x.example/?u=https%3A%2F%2Fy%2F%3Fmsclkid%3D{canaries.sing()}",
        },
        "properties": {"gclid": canaries.sing()},
        "consent": {"purposes": {"analytics": True}},
    }


async def post(house: House, body: bytes, query: str = "", **headers: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{house.url}/v1/events{query}", data=body, headers=headers) as answer,
    ):
        await answer.read()
        return answer.status


async def look(house: House, query: dict[str, str], **headers: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{house.url}/v1/pixel.gif", params=query, headers=headers) as answer,
    ):
        await answer.read()
        return answer.status


def cookies(canaries: Canaries, choice: str) -> str:
    """What consent tools keep in a browser, of two years ago, with the visitor's number of each."""
    return (
        f"CookieConsent={{stamp:%27{canaries.sing()}%27%2Cnecessary:true%2Cpreferences:false%2C"
        f"statistics:{choice}%2Cmarketing:false%2Cmethod:%27explicit%27%2Cutc:1704067200000}}; "
        f"OptanonConsent=consentId={canaries.sing()}&groups=C0001:1,C0002:1; "
        f"OptanonAlertBoxClosed=2024-01-01T00:00:00Z; session={canaries.sing()}; "
        f"euconsent-v2={canaries.sing()}"
    )


_WORD = re.compile(rb"(?=([0-9a-f]{24}))")  # looking ahead: at every place, also within another


def files(*places: Path) -> Iterator[Path]:
    for place in places:
        yield from (path for path in (place, *place.rglob("*")) if path.is_file())


def words_of(places: list[Path]) -> Iterator[tuple[Path, set[bytes]]]:
    """What in each file could be a canary."""
    for path in files(*places):
        yield path, set(_WORD.findall(path.read_bytes()))


def in_tables(house: House, values: list[str]) -> dict[str, int]:
    """In which tables one of the values stands, in any column."""
    tables = house.ask(
        "SELECT name FROM system.tables WHERE database = 'beleg' AND engine LIKE '%MergeTree'"
    )
    assert len(tables) > 10
    counts: Counter[str] = Counter()
    for start in range(0, len(values), 250):  # the engine searches for at most 255 at once
        wanted = ", ".join(f"'{value}'" for value in values[start : start + 250])
        for (name,) in tables:
            row = f"multiSearchAny(toString(tuple(*)), [{wanted}])"
            ((count,),) = house.ask(f"SELECT count() FROM {name} WHERE {row}")
            counts[name] += count
    return dict(+counts)


async def test_no_canary_is_found_in_any_file_or_line(
    house: House, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    canaries = Canaries()
    events = [forbidden_event(canaries, number) for number in range(120)]
    events += [clicked_event(canaries, number) for number in range(40)]
    bearer = {"Authorization": f"Bearer {SERVER_KEY}", "Content-Type": "application/json"}
    body = json.dumps({"events": events}).encode()
    assert await post(house, body, **bearer) == 202
    assert await post(house, gzip.compress(body), **bearer, **{"Content-Encoding": "gzip"}) == 202
    for event in events[:10]:
        assert await post(house, json.dumps(event).encode(), **bearer) == 202
    assert await post(house, body[:-2], **bearer) == 400
    beacon = {"Authorization": f"Bearer {BROWSER_KEY}", "Content-Type": "text/plain"}
    assert await post(house, body, **beacon) == 202
    for choice in ("true", "false"):
        query = f"?gdpr_consent={canaries.sing()}&gpp={canaries.sing()}&utm={canaries.sing()}"
        assert await post(house, body, query, **bearer, Cookie=cookies(canaries, choice)) == 202
    for number in range(20):
        seen = {"name": "page_view", "event_id": f"seen-{number}", "page.title": canaries.sing()}
        seen |= {"key": BROWSER_KEY, "anonymous_id": canaries.sing(), "gcd": canaries.sing()}
        unseen = seen | {"consent": "analytics"} if number % 2 else seen
        assert await look(house, unseen, Cookie=cookies(canaries, "false")) == 200
    kept = 30 + 40  # the stripped purchases and the clicked page views
    await asyncio.to_thread(house.wait_until, "SELECT count() FROM events FINAL", kept)
    assert await asyncio.to_thread(in_tables, house, ["device-7"]), "the scan is blind"
    # Some columns lie compressed on the disk, so the tables are asked, too.
    assert await asyncio.to_thread(in_tables, house, canaries.values) == {}
    for process in house.running.values():
        assert await asyncio.to_thread(process.end) == 0, "".join(process.lines)

    places = [tmp_path]
    if house.store is not None:
        broker: Broker = request.getfixturevalue("kafka_broker")
        topic = load(house.config, {}).log.topic
        places += [broker.directory / "broker.log", *broker.directory.glob(f"data/{topic}-*")]
    lines = "".join(line for process in house.running.values() for line in process.lines)
    forbidden = {value.encode() for value in canaries.values}
    found = {str(path): words & forbidden for path, words in words_of(places)}
    assert {path: words for path, words in found.items() if words} == {}
    assert not forbidden & set(_WORD.findall(lines.encode()))
    contents = [path.read_bytes() for path in files(*places)]
    assert not any(b"198.51.100.77" in content for content in contents)
    assert any(b"device-7" in content for content in contents), "the scan is blind"


async def test_no_canary_is_found_in_a_spill(kafka_broker: Broker, tmp_path: Path) -> None:
    """While Kafka is away everything admitted lies on the collector's disk, killed or not."""
    canaries = Canaries()
    events = [forbidden_event(canaries, number) for number in range(120)]
    events += [clicked_event(canaries, number) for number in range(40)]
    body = json.dumps({"events": events}).encode()
    bearer = {"Authorization": f"Bearer {SERVER_KEY}", "Content-Type": "application/json"}
    with kafka_house(
        tmp_path,
        kafka_broker,
        "log.spill_after_ms = 300\ncollector.withdrawals_max_age_s = 3600",
        ("collect",),
    ) as house:
        await asyncio.to_thread(kafka_broker.kill)
        try:
            assert await post(house, body, **bearer) == 202
            house.running["collect"].end(signal.SIGKILL)
        finally:
            kafka_broker.start()  # in this thread: the broker ends with the one that starts it
        lines = "".join(house.running["collect"].lines)
    forbidden = {value.encode() for value in canaries.values}
    found = {str(path): words & forbidden for path, words in words_of([tmp_path / "data"])}
    assert {path: words for path, words in found.items() if words} == {}
    assert not forbidden & set(_WORD.findall(lines.encode()))
    spilled = b"".join(path.read_bytes() for path in files(tmp_path / "data" / "spill"))
    assert b"198.51.100.77" not in spilled
    assert b"device-7" in spilled, "the scan is blind"
