"""What an older version wrote is opened, and what a newer one wrote is left alone."""

import asyncio
import json
import sqlite3
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from spine.migrations import migrations
from tests.faults.oracle import settle
from tests.flow.copies import Copy
from tests.flow.houses import House, embedded_house, house_of
from tests.flow.test_replay import bought, happened, post, shown
from tests.flow.test_start import beleg, refused

# A data directory of `beleg run` as version 0.1.0 with the migrations up to 0004 left it, and what
# its views said. It has every kind of record: copies from browser and server, retries, an order
# with a refund, a lead, a person with two devices, a stripped order, a tally, poison.
WRITTEN = Path(__file__).parent / "written_by_0004"
# Since then a day on which something only went back has a row, too.
_ROWS = {"v_kpi_daily": "sessions + orders + leads > 0"}
FATES = {"stored": 10, "duplicate": 3, "rejected": 5, "control": 1}


def said_then() -> Mapping[str, list[list[str]]]:
    return dict(json.loads((WRITTEN / "views.json").read_text("utf-8")))


def said_now(house: House) -> dict[str, list[list[str]]]:
    """The same columns of the same views; a newer version may have more of both."""
    with house.client() as client:
        texts = {
            view: client.raw_query(
                f"SELECT {', '.join(rows[0])} FROM {view}"
                f" WHERE {_ROWS.get(view, '1')} ORDER BY ALL",
                fmt="TSVWithNames",
            )
            for view, rows in said_then().items()
        }
    return {
        view: [line.split("\t") for line in text.decode().splitlines()]
        for view, text in texts.items()
    }


def fates(house: House) -> dict[str, int]:
    (partition,) = house.ledger()["partitions"]
    return {fate: count for fate, count in partition["fates"].items() if count}


async def test_a_data_directory_of_an_older_version_opens_and_its_numbers_stay(
    tmp_path: Path,
) -> None:
    with tarfile.open(WRITTEN / "data.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    with embedded_house(tmp_path) as house:
        done = house.ask("SELECT number FROM migrations FINAL ORDER BY number")
        assert [number for (number,) in done] == list(migrations())
        assert said_now(house) == said_then()
        assert house.ledger()["holds"] is True
        assert fates(house) == FATES
        # What it has landed is still known: a copy of it, sent today, counts no second time.
        known = {"event_id": "refund-10", "name": "refund", "occurred_at": "2026-11-22T09:00:00Z"}
        await post(house, "shop", {**bought("shop", 1), **known}, bought("shop", 2))
        await asyncio.to_thread(settle, house, "run")
        assert fates(house) == {**FATES, "stored": 11, "duplicate": 4}
        assert house.ask("SELECT transaction_id, net FROM v_orders ORDER BY ALL") == [
            ("T1", 30), ("T2", 5), ("shop-2", 10),
        ]  # fmt: skip
        assert house.run("audit").returncode == 0


@pytest.fixture(params=["embedded", "kafka"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with house_of(request.param, tmp_path, request) as opened:
        yield opened


def newer_program(directory: Path) -> Copy:
    """A program that has a migration more."""
    return Copy(directory).with_file(
        "spine/tables/0999_made_up.sql",
        "ALTER TABLE events ADD COLUMN IF NOT EXISTS made_up String DEFAULT 'x';\n",
    )


async def test_a_newer_version_takes_over_and_then_the_older_one_refuses(
    house: House, tmp_path: Path
) -> None:
    processor = next(role for role in ("run", "process") if role in house.running)
    newer = newer_program(tmp_path / "newer")
    await post(house, "shop", happened("shop", 1, "page_view"), bought("shop", 1))
    await asyncio.to_thread(settle, house, processor)
    numbers = shown(house)
    assert house.running[processor].end() == 0
    if processor == "process":
        house.run("migrate", env=newer.env)
    house.start(processor, newer.env)
    assert shown(house) == numbers
    await post(house, "shop", bought("shop", 1), bought("shop", 2))
    await asyncio.to_thread(settle, house, processor)
    assert house.ask("SELECT made_up, count() FROM events FINAL GROUP BY made_up") == [("x", 3)]
    assert house.running[processor].end() == 0
    refused(
        house.run(processor, check=False),
        "the store was migrated by a newer version of Beleg; run that version",
    )


async def test_a_log_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "log.sqlite"
    path.parent.mkdir()
    with sqlite3.connect(path) as log:
        log.executescript(
            "PRAGMA journal_mode = WAL; CREATE TABLE made_up (x); PRAGMA user_version = 99;"
        )
    log.close()
    before = path.read_bytes()
    done = beleg("run", cwd=tmp_path, BELEG__DATA_DIR=str(path.parent))
    refused(done, f"the log {path} was made by a newer version; run that version")
    assert path.read_bytes() == before
