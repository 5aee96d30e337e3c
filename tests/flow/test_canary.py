"""Nothing that consent forbids is ever written, anywhere, by no way (P4); and the scan that says so
finds what may be kept."""

import asyncio
import json
import re
import resource
import signal
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.canary import Canaries, Count, found_in, places, report
from tests.flow.canary_traffic import (
    SERVER,
    allowed,
    by_every_way,
    clicked,
    forbidden,
    heads,
    sender,
)
from tests.flow.houses import House, embedded_house, kafka_house
from tests.flow.test_trouble import poison
from tests.kafka_broker import Broker

_TRUSTED = 'collector.trusted_proxies = ["127.0.0.1/32"]\nlog.spill_after_ms = 300\n'
_ALONE = {"PYTHONUNBUFFERED": "1"}  # so that it starts from nothing, where the test stands
# Which say nothing, or are emptied; with Kafka the rows are those of withdrawals: digests.
_SILENT = {"admin", "broker", "log lines", "spill", "SQLite rows"}
_SILENT_ALONE = _SILENT - {"SQLite rows"}


class Scanned(NamedTuple):
    """A house, its broker if it has one, and the process that collects."""

    house: House
    broker: Broker | None
    role: str

    def scan(self, no: Canaries, yes: Canaries) -> list[Count]:
        """Count, having found nothing of what is forbidden."""
        somewhere = list(places(self.house, self.broker))
        forbidden = found_in(somewhere, no)
        assert forbidden == []
        return report(somewhere, forbidden, found_in(somewhere, yes))


def blind(counts: Iterable[Count]) -> set[str]:
    """In which kinds of place not even that is found which may be kept."""
    return {count.kind for count in counts if not count.allowed}


def shown(column: int) -> list[tuple[str, bool]]:
    """Give the places that docs/proof.md tells of, and whether anything was found there."""
    page = (Path(__file__).parents[2] / "docs/proof.md").read_text("utf-8")
    section = page.partition("## The canary scan")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \|(.*?)\|(.*?)\|$", section, re.MULTILINE)
    cells = [(row[0], row[column].strip()) for row in rows]
    return [(kind, cell == "found") for kind, cell in cells if cell in ("found", "nothing")]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a house is, with its temporary files, and the memory of what crashes."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.fixture(params=["embedded", "kafka"])
async def scanned(request: pytest.FixtureRequest, directory: Path) -> AsyncIterator[Scanned]:
    if request.param == "embedded":
        with embedded_house(directory, _TRUSTED) as house:
            yield Scanned(house, None, "run")
    else:
        broker: Broker = request.getfixturevalue("kafka_broker")
        patient = f"{_TRUSTED}collector.withdrawals_max_age_s = 3600"
        with kafka_house(directory, broker, patient) as house:
            yield Scanned(house, broker, "collect")


async def again(scanned: Scanned, number: int) -> None:
    """Let the collector die of a signal and come back."""
    process = scanned.house.running[scanned.role]
    assert await asyncio.to_thread(process.end, number) == -number, process.lines
    if number == signal.SIGABRT:
        assert any("Fatal Python error: Aborted" in line for line in process.lines), (
            "no crash output"
        )
    await asyncio.to_thread(scanned.house.start, scanned.role, _ALONE)


async def sent(scanned: Scanned, no: Canaries, yes: Canaries, numbers: range) -> None:
    """Send events with consent and without, and let the collector be killed with more under way."""
    async with sender(scanned.house) as to:
        for number in (each for each in numbers if each % 50 == 0):
            while await to.events(allowed(yes, f"ok-{number}", "purchase")) == 503:
                await asyncio.sleep(0.1)  # it has just started, and not heard who withdrew
        events = [forbidden(no, number) for number in numbers]
        events += [clicked(no, number) for number in numbers if number % 5 == 0]
        await by_every_way(to, no, events)
        bodies = [
            json.dumps({"events": [forbidden(no, -n) for n in range(40)]}).encode()
            for _ in range(3)
        ]
        under_way = [
            asyncio.create_task(to.send("POST", "/v1/events", body, SERVER)) for body in bodies
        ]
        await asyncio.sleep(0)
        await again(scanned, signal.SIGABRT if numbers.start else signal.SIGKILL)
        await asyncio.gather(*under_way)


async def test_no_canary_is_found_anywhere_whatever_happens(scanned: Scanned) -> None:
    house, broker, _ = scanned
    no, yes = Canaries(), Canaries()
    await again(scanned, signal.SIGKILL)  # from here on where the test stands
    await sent(scanned, no, yes, range(350))
    await poison(house)
    if broker is not None:
        broker.kill()
    try:
        await sent(scanned, no, yes, range(350, 700))
        if broker is not None:
            counts = await asyncio.to_thread(scanned.scan, no, yes)
            assert {"spill", "topic"}.isdisjoint(blind(counts))
    finally:
        if broker is not None:
            broker.start()  # in this thread: the broker ends with the one that starts it
    await sent(scanned, no, yes, range(700, 1000))
    purchases = "event_id LIKE 'ok-%' AND name = 'purchase'"
    await asyncio.to_thread(
        house.wait_until, f"SELECT count() FROM v_events WHERE {purchases}", 1000 // 50
    )
    await asyncio.to_thread(house.ledger_at_rest)
    counts = await asyncio.to_thread(scanned.scan, no, yes)
    assert blind(counts) <= (_SILENT_ALONE if broker is None else _SILENT)
    here = [(count.kind, bool(count.allowed)) for count in counts if count.kind != "spill"]
    assert here == shown(1 if broker is None else 2), "\n".join(map(str, counts))


async def test_nothing_is_found_of_who_withdrew_before(scanned: Scanned) -> None:
    house, _, _ = scanned
    gone, stays = Canaries(), Canaries()
    device, user = gone.sing(), gone.mail()
    for told in ({"anonymous_id": device}, {"user_id": user}):
        async with sender(house) as to:
            decision = json.dumps({"action": "withdraw", "text_version": "v1", **told}).encode()
            assert await to.send("POST", "/v1/consent", decision, SERVER | heads(gone)) == 202
            for name in ("page_view", "purchase"):
                for number in range(20):
                    event = allowed(gone, f"gone-{name}-{number}", name) | told
                    assert await to.events(event) == 202
            assert await to.events(allowed(stays, f"stays-{len(told)}")) == 202
        await again(scanned, signal.SIGKILL)
        async with sender(house) as to:
            assert await to.events(allowed(gone, "after", "purchase") | told) == 202
    kept = "SELECT count(), countIf(event_id LIKE 'gone-purchase%') FROM v_events"
    await asyncio.to_thread(house.ledger_at_rest)
    assert await asyncio.to_thread(house.ask, kept) == [(22, 20)]
    counts = await asyncio.to_thread(scanned.scan, gone, stays)
    assert blind(counts) <= _SILENT
