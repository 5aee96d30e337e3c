"""Killed at every line that erases: what was marked goes all the same, and whole."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.machine import ERASURES
from tests.flow.houses import House, embedded_house
from tests.flow.test_erase import KEY, Cast, in_tables, told


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with embedded_house(tmp_path, KEY) as opened:
        yield opened


def die(house: House, point: str, cast: Cast) -> None:
    """Let the process die at a point while it erases, and start it again."""
    house.running["run"].end()
    process = house.start("run", {"BELEG_FAILPOINT": point})
    done = house.run(
        "erase", "--site", "shop", "--id", f"user_id={cast.anna}", "--yes", check=False
    )
    assert done.returncode != 0, done.stdout
    assert process.popen.wait(60) == -9, point
    process.end()
    house.start("run")


def test_an_erasure_is_whole_wherever_its_process_dies(house: House) -> None:
    kept = 0
    for number, point in enumerate(sorted(ERASURES)):
        cast = Cast(number)
        assert told(house, cast.events()) == ["accepted"] * 8
        house.wait_until("SELECT count() FROM v_events", kept + 8)
        die(house, point, cast)
        # Where not even the first mark was durable nobody was erased, and asking again does it.
        again = house.run(
            "erase", "--site", "shop", "--id", f"user_id={cast.anna}", "--yes", check=False
        )
        assert again.returncode in (0, 1), again.stderr
        kept += 3
        house.wait_until("SELECT count() FROM v_events", kept)
        house.wait_until("SELECT countIf(state = 'open') FROM erasures FINAL", 0)
        assert in_tables(house, cast.forms()) == {}, point
        ledger = house.ledger_at_rest()
        assert ledger["holds"] is True, point
    receipts = house.ask("SELECT receipt FROM erasures FINAL")
    assert max(json.loads(receipt)["found"]["events"] for (receipt,) in receipts) == 5
    assert house.run("audit").returncode == 0
